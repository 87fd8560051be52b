/** Answers of range queries as lines on a grid of times. Pure. */
import type { RangeSeries } from '../api/query'
import { differing, selectorOf, shortName, type Differing, type Labels } from '../lib/labels'

export interface Line {
  /** Unique in the plot. */
  id: string
  /** Number of the query it answers. */
  query: number
  labels: Labels
  name: string
  /** A value for each time of the grid; null = no sample. */
  values: (number | null)[]
  last: number | null
  min: number | null
  max: number | null
  avg: number | null
}

export interface Grid {
  startMs: number
  endMs: number
  stepMs: number
}

export function timesOf(g: Grid): number[] {
  const n = Math.floor((g.endMs - g.startMs) / g.stepMs) + 1
  return Array.from({ length: n }, (_, i) => (g.startMs + i * g.stepMs) / 1000)
}

/** A value as PromQL writes it. */
export function parseValue(s: string): number {
  if (s === '+Inf') return Infinity
  if (s === '-Inf') return -Infinity
  return Number(s)
}

/** The lines of one query's answer. Series that hold histograms alone have none. */
export function linesOf(result: RangeSeries[], query: number, g: Grid, points: number): Line[] {
  const lines: Line[] = []
  for (const s of result) {
    if (!s.values) continue
    const values = new Array<number | null>(points).fill(null)
    let last: number | null = null
    let min = Infinity
    let max = -Infinity
    let sum = 0
    let n = 0
    for (const [t, text] of s.values) {
      const i = Math.round((t * 1000 - g.startMs) / g.stepMs)
      if (i < 0 || i >= points) continue
      const v = parseValue(text)
      values[i] = v
      last = v
      if (Number.isNaN(v)) continue
      if (v < min) min = v
      if (v > max) max = v
      sum += v
      n++
    }
    lines.push({
      id: `${query} ${selectorOf(s.metric)}`,
      query,
      labels: s.metric,
      name: '',
      values,
      last,
      min: n > 0 ? min : null,
      max: n > 0 ? max : null,
      avg: n > 0 ? sum / n : null,
    })
  }
  return lines
}

/** Names the lines of a plot by the labels that differ among those of their query. exprs are the queries. */
export function nameLines(lines: Line[], exprs: readonly string[]): Map<number, Differing> {
  const byQuery = new Map<number, Line[]>()
  for (const l of lines) {
    const some = byQuery.get(l.query)
    if (some) some.push(l)
    else byQuery.set(l.query, [l])
  }
  const all = new Map<number, Differing>()
  for (const [query, some] of byQuery) {
    const d = differing(some.map((l) => l.labels))
    all.set(query, d)
    for (const l of some) l.name = shortName(l.labels, d.names, Object.keys(l.labels).length > 0 ? selectorOf(l.labels) : (exprs[query] ?? ''))
  }
  return all
}

/** The lines to draw: all, or the `cap` with the largest maximum, in the order of the answer. */
export function capped(lines: Line[], cap: number): Line[] {
  if (lines.length <= cap) return lines
  const chosen = new Set([...lines].sort((a, b) => (b.max ?? -Infinity) - (a.max ?? -Infinity)).slice(0, cap))
  return lines.filter((l) => chosen.has(l))
}

/** Finite values only, for drawing. On a logarithmic scale only those above zero. */
export function drawn(values: (number | null)[], log: boolean): (number | null)[] {
  const bad = (v: number | null) => v !== null && (!Number.isFinite(v) || (log && v <= 0))
  return values.some(bad) ? values.map((v) => (bad(v) ? null : v)) : values
}

/** Sums from below: each line of the result holds the sum of it and those before. */
export function stack(all: (number | null)[][]): (number | null)[][] {
  const sums: number[] = []
  return all.map((values) =>
    values.map((v, i) => {
      sums[i] = (sums[i] ?? 0) + (v ?? 0)
      return sums[i] ?? null
    }),
  )
}

/** The lines as comma-separated values: a row for each time, a column for each line. */
export function csv(times: number[], lines: Line[]): string {
  const cell = (s: string) => (/[",\n\r]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s)
  const rows = [['time', ...lines.map((l) => selectorOf(l.labels))].map(cell).join(',')]
  times.forEach((t, i) => {
    rows.push([new Date(t * 1000).toISOString(), ...lines.map((l) => (l.values[i] === null || l.values[i] === undefined ? '' : String(l.values[i])))].join(','))
  })
  return rows.join('\r\n') + '\r\n'
}
