/** The tables of a day, from what the server keeps of days or from counts made for the request. Pure. */
import type { Cardinality, CountedDay, DailyCounts, DailyLine, NameCount } from '../../api/status'
import { dayBefore } from './rules'

export interface Row {
  name: string
  value: number
  /** On the day before; undefined = not known. */
  before: number | undefined
  /** Of each day of the span, the newest first; undefined = nothing is kept. */
  counts: (number | null)[] | undefined
}

export type Order = 'size' | 'day' | 'span'

export interface Tables {
  series: number
  pairs: number
  seriesBefore: number | undefined
  pairsBefore: number | undefined
  /** The days that the counts of rows are of, the newest first. */
  dates: string[]
  focus: Row[] | undefined
  metrics: Row[]
  values: Row[]
  labels: Row[]
  pairRows: Row[]
  newMetrics: Row[]
  newValues: Row[]
}

/** The tables of the newest day of what is kept, if that is the day. */
export function keptTables(kept: DailyCounts, date: string): Tables | undefined {
  const [now, before] = kept.days
  if (now?.date !== date) return undefined
  const dates = kept.days.map((d) => d.date)
  const beforeAt = before?.date === dayBefore(date) ? 1 : undefined
  const rows = (lines: DailyLine[], fresh = false): Row[] =>
    lines
      .filter((l) => (l.counts[0] ?? 0) > 0)
      .map((l) => ({ name: l.name, value: l.counts[0] ?? 0, before: fresh || beforeAt === undefined ? undefined : (l.counts[beforeAt] ?? undefined), counts: l.counts.length > 1 ? l.counts : undefined }))
  return {
    series: now.series,
    pairs: now.labelValuePairs,
    seriesBefore: beforeAt && before?.series,
    pairsBefore: beforeAt && before?.labelValuePairs,
    dates,
    focus: undefined,
    metrics: rows(kept.seriesCountByMetricName),
    values: rows(kept.labelValueCountByLabelName),
    labels: rows(kept.seriesCountByLabelName),
    pairRows: rows(kept.seriesCountByLabelValuePair),
    newMetrics: rows(kept.newSeriesCountByMetricName, true),
    newValues: rows(kept.newLabelValueCountByLabelName, true),
  }
}

/** The tables of a count, with those of the day before, of which at most rowsBefore rows were asked for. */
export function countedTables(now: Cardinality, before: Cardinality | undefined, rowsBefore: number): Tables {
  const rows = (list: NameCount[], was: NameCount[] | undefined): Row[] => {
    const map = was && new Map(was.map((r) => [r.name, r.value]))
    // What is not among the rows of the day before was not there, unless these were cut.
    return list.map((r) => ({ ...r, before: map && (map.get(r.name) ?? (map.size >= rowsBefore ? undefined : 0)), counts: undefined }))
  }
  return {
    series: now.totalSeries,
    pairs: now.totalLabelValuePairs,
    seriesBefore: before?.totalSeries,
    pairsBefore: before?.totalLabelValuePairs,
    dates: [],
    focus: now.seriesCountByFocusLabelValue && rows(now.seriesCountByFocusLabelValue, before && (before.seriesCountByFocusLabelValue ?? [])),
    metrics: rows(now.seriesCountByMetricName, before?.seriesCountByMetricName),
    values: rows(now.labelValueCountByLabelName, before?.labelValueCountByLabelName),
    labels: rows(now.seriesCountByLabelName, before?.seriesCountByLabelName),
    pairRows: rows(now.seriesCountByLabelValuePair, before?.seriesCountByLabelValuePair),
    newMetrics: [],
    newValues: [],
  }
}

/** What a row has grown since the day before or the first day of the span; undefined = not known. */
export function growth(r: Row, order: Order): number | undefined {
  if (order === 'span') {
    const first = r.counts?.[r.counts.length - 1]
    return first === undefined || first === null ? undefined : r.value - first
  }
  return r.before === undefined ? undefined : r.value - r.before
}

/** The rows in an order; those whose growth is not known come last. */
export function sorted(rows: Row[], order: Order): Row[] {
  if (order === 'size') return rows
  return [...rows].sort((a, b) => (growth(b, order) ?? -Infinity) - (growth(a, order) ?? -Infinity) || b.value - a.value)
}

/** Days without a gap, the oldest first; those that were not counted are undefined. */
export function calendar(days: CountedDay[], last: string, n: number): { date: string; day: CountedDay | undefined }[] {
  const known = new Map(days.map((d) => [d.date, d]))
  return Array.from({ length: n }, (_, i) => dayBefore(last, n - 1 - i)).map((date) => ({ date, day: known.get(date) }))
}
