import { expect, test } from 'vitest'
import { parseExposition, total, totalsBy } from './exposition'

const text = `# HELP tsdb_x X.
# TYPE tsdb_x counter
tsdb_x{door="a",kind="float"} 3
tsdb_x{door="a",kind="histogram"} 4
tsdb_x{door="b\\"\\n,}",kind="float"} 1e+06
tsdb_y +Inf
go_z 1
`

test('samples are read and added up', () => {
  const all = parseExposition(text, ['tsdb_'])
  expect(all.length).toBe(4)
  expect(total(all, 'tsdb_x')).toBe(1_000_007)
  expect(total(all, 'tsdb_x', { kind: 'float' })).toBe(1_000_003)
  expect(total(all, 'tsdb_y')).toBe(Infinity)
  expect(total(all, 'go_z')).toBeUndefined()
  expect([...totalsBy(all, 'tsdb_x', 'door')]).toEqual([['a', 7], ['b"\n,}', 1_000_000]])
})
