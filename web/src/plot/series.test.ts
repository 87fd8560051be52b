import { expect, test } from 'vitest'
import { heatMapOf, onlyHistograms } from './histogram'
import { capped, csv, drawn, linesOf, nameLines, stack, timesOf } from './series'

const grid = { startMs: 1_000_000, endMs: 1_030_000, stepMs: 10_000 }

test('samples lie on the grid, gaps are null', () => {
  expect(timesOf(grid)).toEqual([1000, 1010, 1020, 1030])
  const lines = linesOf(
    [
      { metric: { __name__: 'm', a: '1' }, values: [[1000, '5'], [1020, '+Inf'], [1030, 'NaN']] },
      { metric: { __name__: 'm', a: '2' }, values: [[1010, '-2']] },
      { metric: { __name__: 'h' }, histograms: [] },
    ],
    0, grid, 4,
  )
  expect(lines.map((l) => l.values)).toEqual([[5, null, Infinity, NaN], [null, -2, null, null]])
  expect(lines[0]).toMatchObject({ min: 5, max: Infinity, last: NaN })
  nameLines(lines, ['x'])
  expect(lines.map((l) => l.name)).toEqual(['a="1"', 'a="2"'])
  expect(drawn(lines[0]!.values, false)).toEqual([5, null, null, null])
  expect(drawn(lines[1]!.values, true)).toEqual([null, null, null, null])
  expect(csv(timesOf(grid).slice(0, 2), lines)).toBe('time,"m{a=""1""}","m{a=""2""}"\r\n1970-01-01T00:16:40.000Z,5,\r\n1970-01-01T00:16:50.000Z,,-2\r\n')
})

test('the largest are drawn when there are too many', () => {
  const lines = linesOf(['3', '9', '1', '7'].map((v, i) => ({ metric: { i: String(i) }, values: [[1000, v]] })), 0, grid, 4)
  expect(capped(lines, 2).map((l) => l.max)).toEqual([9, 7])
  expect(capped(lines, 4)).toBe(lines)
})

test('stacked lines add up', () => {
  expect(stack([[1, null], [2, 3]])).toEqual([[1, 0], [3, 3]])
})

test('classic histograms: series that differ in le', () => {
  const h = heatMapOf(
    [
      { metric: { le: '1' }, values: [[1000, '4']] },
      { metric: { le: '+Inf' }, values: [[1000, '10']] },
      { metric: { le: '2' }, values: [[1000, '7']] },
    ],
    grid, 4,
  )
  expect(h?.bounds).toEqual([0.5, 1, 2, 4])
  expect([...h!.counts[0]!]).toEqual([4, 3, 3])
  expect(h).toMatchObject({ max: 4, series: 1, kind: 'classic' })
  expect(heatMapOf([{ metric: {}, values: [[1000, '1']] }], grid, 4)).toBeUndefined()
})

test('native histograms are added up over the rows of all their bounds', () => {
  const h = heatMapOf(
    [
      { metric: { a: '1' }, histograms: [[1000, { count: '3', sum: '1', buckets: [[0, '1', '2', '1'], [0, '2', '4', '2']] }]] },
      { metric: { a: '2' }, histograms: [[1000, { count: '4', sum: '1', buckets: [[0, '1', '4', '4']] }]] },
    ],
    grid, 4,
  )
  expect(h?.bounds).toEqual([1, 2, 4])
  expect([...h!.counts[0]!]).toEqual([3, 4])
  expect(h).toMatchObject({ series: 2, kind: 'native' })
  expect(onlyHistograms([{ metric: {}, histograms: [] }])).toBe(true)
})
