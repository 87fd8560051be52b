import { expect, test } from 'vitest'
import type { CountedDay, DailyCounts } from '../../api/status'
import { calendar, countedTables, growth, keptTables, sorted } from './source'

const day = (date: string, series: number): CountedDay => ({ date, counted: date + 'T23:00:00Z', running: false, series, labelValuePairs: 2 * series, new: 1, gone: 0 })
const kept: DailyCounts = {
  days: [day('2026-11-30', 9), day('2026-11-29', 7), day('2026-11-20', 3)],
  waitingDays: 0,
  seriesCountByMetricName: [
    { name: 'a', counts: [5, 5, 1] },
    { name: 'b', counts: [4, null, 2] },
  ],
  labelValueCountByLabelName: [],
  seriesCountByLabelName: [],
  seriesCountByLabelValuePair: [],
  newSeriesCountByMetricName: [
    { name: 'a', counts: [0, 7, 1] },
    { name: 'b', counts: [2, 0, 0] },
  ],
  newLabelValueCountByLabelName: [],
}

test('tables of what is kept', () => {
  const t = keptTables(kept, '2026-11-30')!
  expect([t.series, t.seriesBefore, t.pairs, t.pairsBefore, t.dates.length]).toEqual([9, 7, 18, 14, 3])
  expect(t.metrics.map((r) => [r.name, r.value, r.before])).toEqual([
    ['a', 5, 5],
    ['b', 4, undefined],
  ])
  expect(t.metrics.map((r) => growth(r, 'span'))).toEqual([4, 2])
  expect(t.newMetrics.map((r) => [r.name, r.before])).toEqual([['b', undefined]]) // what is new has none before
  expect(keptTables(kept, '2026-11-29')).toBeUndefined()
})

test('the day before is not just any earlier day', () => {
  const t = keptTables({ ...kept, days: kept.days.filter((d) => d.date !== '2026-11-29') }, '2026-11-30')!
  expect([t.seriesBefore, t.metrics[0]!.before]).toEqual([undefined, undefined])
})

test('order by growth', () => {
  const rows = keptTables(kept, '2026-11-30')!.metrics
  expect(sorted(rows, 'size').map((r) => r.name)).toEqual(['a', 'b'])
  expect(sorted(rows, 'day').map((r) => r.name)).toEqual(['a', 'b']) // of b it is not known
  const grown = rows.map((r) => (r.name === 'b' ? { ...r, counts: [4, null, 0] } : { ...r, counts: [5, 5, 3] }))
  expect(sorted(grown, 'span').map((r) => r.name)).toEqual(['b', 'a'])
})

test('tables of a count', () => {
  const empty = { totalSeries: 0, totalLabelValuePairs: 0, seriesCountByMetricName: [], labelValueCountByLabelName: [], seriesCountByLabelName: [], seriesCountByLabelValuePair: [] }
  const now = { ...empty, totalSeries: 3, seriesCountByMetricName: [{ name: 'a', value: 2 }, { name: 'b', value: 1 }] }
  const before = { ...empty, seriesCountByMetricName: [{ name: 'a', value: 1 }] }
  expect(countedTables(now, before, 10).metrics.map((r) => r.before)).toEqual([1, 0])
  expect(countedTables(now, before, 1).metrics.map((r) => r.before)).toEqual([1, undefined]) // there were more
  expect(countedTables(now, undefined, 10).metrics.map((r) => r.before)).toEqual([undefined, undefined])
})

test('days without a gap', () => {
  expect(calendar(kept.days, '2026-11-30', 3).map((d) => [d.date, d.day?.series])).toEqual([
    ['2026-11-28', undefined],
    ['2026-11-29', 7],
    ['2026-11-30', 9],
  ])
})
