import { expect, test } from 'vitest'
import { distance, nearest } from '../../lib/nearest'
import { matchOf, parseSelector } from './selector'

test('selectors are read as the server writes them', () => {
  expect(parseSelector('up')).toEqual({ metric: 'up', matchers: [] })
  const s = parseSelector('x:y{a="1, }",b!~"c\\"d"}[5m] offset 1h')
  expect(s).toEqual({ metric: 'x:y', matchers: [{ name: 'a', op: '=', value: '1, }' }, { name: 'b', op: '!~', value: 'c"d' }] })
  expect(matchOf(s!)).toBe('{__name__="x:y", a="1, }", b!~"c\\"d"}')
  expect(parseSelector('{"room.°C","the name"="x"}')).toEqual({ metric: 'room.°C', matchers: [{ name: 'the name', op: '=', value: 'x' }] })
  expect(parseSelector('{__name__=~"a.*"}')).toEqual({ metric: undefined, matchers: [{ name: '__name__', op: '=~', value: 'a.*' }] })
  expect(parseSelector('{a')).toBeUndefined()
})

test('the nearest names come first', () => {
  expect(distance('abc', 'acb', 3)).toBe(1)
  expect(distance('abc', 'xyz', 1)).toBe(2)
  const all = ['node_cpu_seconds_total', 'node_memory_bytes', 'go_threads', 'process_cpu_seconds_total']
  expect(nearest('node_cpu_secnds_total', all, 3)[0]).toBe('node_cpu_seconds_total')
  expect(nearest('zzzzzz', all, 3)).toEqual([])
})
