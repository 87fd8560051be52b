/** Runs the queries of Explore and keeps their answers. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { asApiError, isAbort, type ApiError } from '../../api/client'
import { explain, queryInstant, queryRange, type Explained, type InstantData, type RangeData, type Stats } from '../../api/query'
import type { Grid } from '../../plot/series'
import { gridOf, type ExploreState, type Tab } from './state'

export interface Run {
  expr: string
  loading: boolean
  error: ApiError | undefined
  /** The answer of a range query, for the graph. */
  range: RangeData | undefined
  /** The answer at the end of the range, for the table. */
  instant: InstantData | undefined
  stats: Stats | undefined
  warnings: string[]
  infos: string[]
  tookMs: number
  explained: Explained | undefined
}

export interface Runs {
  /** What the answers are for. */
  grid: Grid
  tab: Tab
  /** By the number of the query; undefined = it was not run. */
  runs: (Run | undefined)[]
  running: boolean
  /** When it was last run, Unix milliseconds; 0 = never. */
  atMs: number
}

const fresh = (expr: string): Run => ({
  expr,
  loading: true,
  error: undefined,
  range: undefined,
  instant: undefined,
  stats: undefined,
  warnings: [],
  infos: [],
  tookMs: 0,
  explained: undefined,
})

/** run asks the server for the state's queries; cancel ends what is asked. */
export function useRuns(points: () => number): { runs: Runs; run: (s: ExploreState) => void; cancel: () => void } {
  const [runs, setRuns] = useState<Runs>({ grid: { startMs: 0, endMs: 0, stepMs: 1 }, tab: 'graph', runs: [], running: false, atMs: 0 })
  const control = useRef<AbortController>(null)
  useEffect(() => () => control.current?.abort(), [])

  const run = useCallback((s: ExploreState) => {
    control.current?.abort()
    const c = new AbortController()
    control.current = c
    const now = Date.now()
    const grid = gridOf(s, now, points())
    const instant = s.tab === 'table'
    const asked = s.queries.map((q) => (q.off || q.expr.trim() === '' ? undefined : q.expr))
    setRuns((old) => ({
      grid: old.atMs === 0 || old.tab !== s.tab ? grid : old.grid,
      tab: s.tab,
      // What was shown stays until the answer is there.
      runs: asked.map((expr, i) => {
        if (expr === undefined) return undefined
        const before = old.tab === s.tab ? old.runs[i] : undefined
        return before && before.expr === expr ? { ...before, loading: true } : fresh(expr)
      }),
      running: asked.some((e) => e !== undefined),
      atMs: now,
    }))
    const jobs = asked.map(async (expr): Promise<Run | undefined> => {
      if (expr === undefined) return undefined
      const r = { ...fresh(expr), loading: false }
      try {
        const options = { signal: c.signal }
        if (instant) {
          const a = await queryInstant(expr, s.endMs ?? now, options)
          return { ...r, instant: a.data, stats: a.data.stats, warnings: a.warnings, infos: a.infos, tookMs: a.tookMs }
        }
        const [a, cost] = await Promise.all([queryRange(expr, grid, options), explain(expr, grid, options).catch(() => undefined)])
        return { ...r, range: a.data, stats: a.data.stats, warnings: a.warnings, infos: a.infos, tookMs: a.tookMs, explained: cost?.data }
      } catch (e) {
        if (isAbort(e)) throw e
        return { ...r, error: asApiError(e) }
      }
    })
    Promise.all(jobs).then(
      (done) => {
        if (control.current === c) setRuns({ grid, tab: s.tab, runs: done, running: false, atMs: now })
      },
      () => {
        if (control.current === c) setRuns((old) => ({ ...old, running: false, runs: old.runs.map((r) => r && { ...r, loading: false }) }))
      },
    )
  }, [])
  const cancel = useCallback(() => control.current?.abort(), [])
  return { runs, run, cancel }
}
