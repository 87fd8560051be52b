import { expect, test } from 'vitest'
import type { Explained, SelectorCost } from '../../api/query'
import { changesOf, stripRows } from './strip'

const cost = { series: 1, blocks: 0, chunks: 0, samples: 4, buckets: 0, bytes: 8 }
const at = (s: number) => new Date(s * 1000).toISOString()
const selector = (name: string, more: Partial<SelectorCost> = {}): SelectorCost => ({
  ...cost,
  selector: name,
  start: at(0),
  end: at(100),
  tier: 'raw',
  refused: [],
  changes: 3,
  slices: [{ ...cost, start: at(0), end: at(100), tier: 'raw', expired: false, refused: [], cutBorders: 0 }],
  ...more,
})
const explained = (...selectors: SelectorCost[]): Explained => ({ selectors, total: cost })

test('selectors that were read alike share a row', () => {
  const rows = stripRows([explained(selector('a'), selector('b')), explained(selector('a'))], 0, 100_000)
  expect(rows.map((r) => r.selector)).toEqual(['a · b'])
})

test('flaws lie in the range shown, and give a row of their own', () => {
  const flawed = selector('b', { deleted: [{ start: at(-9), end: at(10) }], damaged: [{ start: at(90), end: at(400) }, { start: at(500), end: at(600) }] })
  const rows = stripRows([explained(selector('a'), flawed)], 5000, 100_000)
  expect(rows.map((r) => r.selector)).toEqual(['a', 'b'])
  expect(rows[1]!.flaws).toEqual([
    { kind: 'deleted', fromMs: 5000, toMs: 10_000 },
    { kind: 'damaged', fromMs: 90_000, toMs: 100_000 },
  ])
})

test('changes of all selectors add up', () => {
  expect(changesOf(explained(selector('a'), selector('b')))).toBe(6)
})
