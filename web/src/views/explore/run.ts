/** Runs the queries of Explore and keeps their answers. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { asApiError, isAbort, type Answer, type ApiError } from '../../api/client'
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
  /** The times that explained is about. */
  explainedGrid: Grid
}

export interface Runs {
  /** What the answers are for. */
  grid: Grid
  tab: Tab
  /** By the number of the query; undefined = it was not run. */
  runs: (Run | undefined)[]
  running: boolean
  /** Whether the user ended the last run before its answer. */
  cancelled: boolean
  /** When the answers were asked for, Unix milliseconds; 0 = never. */
  atMs: number
}

/** Whether a failure may be over in a moment. */
function passing(e: ApiError | undefined): boolean {
  return e?.kind === 'offline' || e?.kind === 'unavailable' || e?.kind === 'timeout'
}

export function hasAnswer(r: Run | undefined): boolean {
  return r?.range !== undefined || r?.instant !== undefined
}

const noGrid: Grid = { startMs: 0, endMs: 0, stepMs: 1 }

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
  explainedGrid: noGrid,
})

/** run asks the server for the state's queries; cancel ends what is asked. */
export function useRuns(points: () => number): { runs: Runs; run: (s: ExploreState) => void; cancel: () => void } {
  const [runs, setRuns] = useState<Runs>({ grid: noGrid, tab: 'graph', runs: [], running: false, cancelled: false, atMs: 0 })
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
      cancelled: false,
      atMs: old.atMs || now,
    }))
    const jobs = asked.map(async (expr): Promise<Run | undefined> => {
      if (expr === undefined) return undefined
      const r = { ...fresh(expr), loading: false }
      try {
        const options = { signal: c.signal }
        const at = s.endMs ?? now
        const explainedGrid = instant ? { startMs: at, endMs: at, stepMs: grid.stepMs } : grid
        const asking: Promise<Answer<InstantData | RangeData>> = instant ? queryInstant(expr, at, options) : queryRange(expr, grid, options)
        const [a, cost] = await Promise.all([asking, explain(expr, explainedGrid, options).catch(() => undefined)])
        const answer = instant ? { instant: a.data as InstantData } : { range: a.data as RangeData }
        return { ...r, ...answer, stats: a.data.stats, warnings: a.warnings, infos: a.infos, tookMs: a.tookMs, explained: cost?.data, explainedGrid }
      } catch (e) {
        if (isAbort(e)) throw e
        return { ...r, error: asApiError(e) }
      }
    })
    Promise.all(jobs).then(
      (done) => {
        if (control.current !== c) return
        setRuns((old) => {
          // A server that is gone or busy for a while does not take the answer away that is shown.
          const stays = done.some(Boolean) && done.every((r, i) => !r || (passing(r.error) && hasAnswer(old.runs[i]) && old.runs[i]?.expr === r.expr))
          if (stays) return { ...old, running: false, runs: done.map((r, i) => r && { ...(old.runs[i] ?? r), loading: false, error: r.error }) }
          return { grid, tab: s.tab, runs: done, running: false, cancelled: false, atMs: now }
        })
      },
      () => {
        if (control.current === c) setRuns((old) => ({ ...old, running: false, cancelled: true, runs: old.runs.map((r) => r && { ...r, loading: false }) }))
      },
    )
  }, [])
  const cancel = useCallback(() => control.current?.abort(), [])
  return { runs, run, cancel }
}
