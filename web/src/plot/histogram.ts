/** Histograms over time, native and classic, as cells of a heat map. Pure. */
import type { RangeSeries } from '../api/query'
import { parseValue, type Grid } from './series'

export interface HeatMap {
  /** Bounds of the rows, ascending; row i lies between bounds[i] and bounds[i+1]. */
  bounds: number[]
  /** counts[column][row]; columns are the times of the grid. */
  counts: Float64Array[]
  max: number
  /** How many series are added up. */
  series: number
  kind: 'native' | 'classic'
}

/** The heat map of an answer: of native histograms if it has any, else of series with the label le; undefined without either. */
export function heatMapOf(result: RangeSeries[], g: Grid, points: number): HeatMap | undefined {
  return native(result, g, points) ?? classic(result, g, points)
}

/** Whether an answer can only be shown as a heat map. */
export function onlyHistograms(result: RangeSeries[]): boolean {
  return result.length > 0 && result.every((s) => s.histograms && !s.values)
}

interface Cell {
  column: number
  lower: number
  upper: number
  count: number
}

function native(result: RangeSeries[], g: Grid, points: number): HeatMap | undefined {
  const cells: Cell[] = []
  let series = 0
  for (const s of result) {
    if (!s.histograms) continue
    series++
    for (const [t, h] of s.histograms) {
      const column = Math.round((t * 1000 - g.startMs) / g.stepMs)
      for (const [, lower, upper, count] of h.buckets ?? []) {
        cells.push({ column, lower: parseValue(lower), upper: parseValue(upper), count: parseValue(count) })
      }
    }
  }
  return series > 0 ? rows(cells, points, series, 'native') : undefined
}

function classic(result: RangeSeries[], g: Grid, points: number): HeatMap | undefined {
  // Series that differ in le alone are one histogram.
  const groups = new Map<string, { le: number; values: Map<number, number> }[]>()
  for (const s of result) {
    const le = s.metric['le']
    if (le === undefined || !s.values) continue
    const { le: _, ...rest } = s.metric
    const key = JSON.stringify(Object.entries(rest).sort())
    const values = new Map(s.values.map(([t, v]) => [Math.round((t * 1000 - g.startMs) / g.stepMs), parseValue(v)]))
    const some = groups.get(key) ?? []
    some.push({ le: parseValue(le), values })
    groups.set(key, some)
  }
  if (groups.size === 0) return undefined
  const cells: Cell[] = []
  for (const buckets of groups.values()) {
    buckets.sort((a, b) => a.le - b.le)
    for (let column = 0; column < points; column++) {
      let below = 0
      let lower = -Infinity
      for (const b of buckets) {
        const v = b.values.get(column)
        if (v === undefined) continue
        cells.push({ column, lower, upper: b.le, count: Math.max(0, v - below) })
        below = Math.max(below, v)
        lower = b.le
      }
    }
  }
  return rows(cells, points, groups.size, 'classic')
}

/** Spreads the cells over the rows that all their bounds make; a cell that covers several rows is divided by their number. */
function rows(cells: Cell[], points: number, series: number, kind: HeatMap['kind']): HeatMap | undefined {
  const bounds = boundsOf(cells)
  if (bounds.length < 2) return undefined
  const rowOf = new Map(bounds.map((b, i) => [b, i]))
  const counts = Array.from({ length: points }, () => new Float64Array(bounds.length - 1))
  let max = 0
  for (const c of cells) {
    const column = counts[c.column]
    if (column === undefined || !(c.count > 0)) continue
    const from = c.lower === -Infinity ? 0 : (rowOf.get(c.lower) ?? 0)
    const to = c.upper === Infinity ? bounds.length - 1 : (rowOf.get(c.upper) ?? bounds.length - 1)
    const n = Math.max(to - from, 1)
    for (let r = from; r < from + n; r++) {
      const sum = (column[r] ?? 0) + c.count / n
      column[r] = sum
      if (sum > max) max = sum
    }
  }
  return { bounds, counts, max, series, kind }
}

/** The finite bounds, with one below and one above for what has no finite one. */
function boundsOf(cells: Cell[]): number[] {
  const set = new Set<number>()
  let open = false
  let below = false
  for (const c of cells) {
    if (Number.isFinite(c.lower)) set.add(c.lower)
    else below = true
    if (Number.isFinite(c.upper)) set.add(c.upper)
    else if (c.count > 0) open = true
  }
  const bounds = [...set].sort((a, b) => a - b)
  const first = bounds[0]
  const last = bounds.at(-1)
  if (first === undefined || last === undefined) return []
  const ratio = bounds.length > 1 && first > 0 ? (last / first) ** (1 / (bounds.length - 1)) : 2
  if (below) bounds.unshift(first > 0 ? first / ratio : first - 1)
  if (open) bounds.push(last > 0 ? last * ratio : last + 1)
  return bounds
}
