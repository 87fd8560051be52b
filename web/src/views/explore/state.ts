/** What Explore shows, and its form in the address. Pure. */
import { duration, parseDuration, parseTime, type Zone } from '../../lib/format'

export interface QueryState {
  expr: string
  /** Kept, but not run. */
  off: boolean
}

export type Tab = 'graph' | 'table' | 'json'
export type Mode = 'lines' | 'stacked' | 'heatmap'

export interface ExploreState {
  queries: QueryState[]
  rangeMs: number
  /** End of the range; undefined = now. */
  endMs: number | undefined
  /** undefined = chosen from range and width. */
  stepMs: number | undefined
  tab: Tab
  mode: Mode
  log: boolean
  /** How often it is asked again; 0 = only on demand. */
  refreshMs: number
  zone: Zone
}

export const maxQueries = 20
const maxRangeMs = 100 * 365 * 86_400_000

export function initial(): ExploreState {
  return {
    queries: [{ expr: '', off: false }],
    rangeMs: 3_600_000,
    endMs: undefined,
    stepMs: undefined,
    tab: 'graph',
    mode: 'lines',
    log: false,
    refreshMs: 0,
    zone: 'local',
  }
}

/** Reads the parameters of an address: our own, or those of Prometheus' page (g0.expr, …). Values that cannot be used are left out. */
export function fromParams(p: URLSearchParams): ExploreState {
  const s = initial()
  if ([...p.keys()].some((k) => /^g\d+\./.test(k))) return fromPrometheus(p, s)
  const exprs = p.getAll('q').slice(0, maxQueries)
  const off = new Set((p.get('off') ?? '').split(',').filter(Boolean).map(Number))
  if (exprs.length > 0) s.queries = exprs.map((expr, i) => ({ expr, off: off.has(i) }))
  s.rangeMs = rangeOf(p.get('range')) ?? s.rangeMs
  s.zone = p.get('tz') === 'utc' ? 'utc' : 'local'
  const end = p.get('end')
  if (end !== null && end !== 'now') s.endMs = parseTime(end, 'utc')
  s.stepMs = parseDuration(p.get('step') ?? '')
  const tab = p.get('tab')
  if (tab === 'table' || tab === 'json') s.tab = tab
  const mode = p.get('mode')
  if (mode === 'stacked' || mode === 'heatmap') s.mode = mode
  s.log = p.get('log') === '1'
  s.refreshMs = parseDuration(p.get('refresh') ?? '') ?? 0
  return s
}

function rangeOf(text: string | null): number | undefined {
  const ms = parseDuration(text ?? '')
  return ms !== undefined && ms <= maxRangeMs ? ms : undefined
}

function fromPrometheus(p: URLSearchParams, s: ExploreState): ExploreState {
  const panels = [...new Set([...p.keys()].map((k) => /^g(\d+)\./.exec(k)?.[1]).filter((n) => n !== undefined))].map(Number).sort((a, b) => a - b)
  const queries = panels.map((n) => p.get(`g${n}.expr`) ?? '').filter((e) => e !== '')
  if (queries.length > 0) s.queries = queries.slice(0, maxQueries).map((expr) => ({ expr, off: false }))
  const g = `g${panels[0]}.`
  // Prometheus' page shows the table unless the link says otherwise.
  const tab = p.get(g + 'tab')
  s.tab = tab === '0' || tab === 'graph' ? 'graph' : 'table'
  s.rangeMs = rangeOf(p.get(g + 'range_input')) ?? s.rangeMs
  const end = p.get(g + 'end_input') ?? (s.tab === 'table' ? p.get(g + 'moment_input') : null)
  if (end) s.endMs = parseTime(end, 'utc')
  s.stepMs = parseDuration(p.get(g + 'step_input') ?? p.get(g + 'res_step') ?? '')
  if (p.get(g + 'stacked') === '1' || p.get(g + 'display_mode') === 'stacked') s.mode = 'stacked'
  if (p.get(g + 'display_mode') === 'heatmap') s.mode = 'heatmap'
  return s
}

/** The parameters of an address; what is as initial is left out. */
export function toParams(s: ExploreState): URLSearchParams {
  const p = new URLSearchParams()
  if (s.queries.length > 1 || s.queries[0]?.expr) for (const q of s.queries) p.append('q', q.expr)
  const off = s.queries.flatMap((q, i) => (q.off ? [i] : []))
  if (off.length > 0) p.set('off', off.join(','))
  p.set('range', duration(s.rangeMs))
  if (s.endMs !== undefined) p.set('end', new Date(s.endMs).toISOString())
  if (s.stepMs !== undefined) p.set('step', duration(s.stepMs))
  if (s.tab !== 'graph') p.set('tab', s.tab)
  if (s.mode !== 'lines') p.set('mode', s.mode)
  if (s.log) p.set('log', '1')
  if (s.refreshMs > 0) p.set('refresh', duration(s.refreshMs))
  if (s.zone === 'utc') p.set('tz', 'utc')
  return p
}

const niceStepsMs = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400].map((s) => s * 1000)

/** A round step that gives about `points` points, at least one second. */
export function autoStep(rangeMs: number, points: number): number {
  const wanted = rangeMs / Math.max(points, 1)
  return niceStepsMs.find((s) => s >= wanted) ?? Math.ceil(wanted / 86_400_000) * 86_400_000
}

/** The times at which a range is evaluated: multiples of the step, so that a graph does not flicker as it moves on, and the cache helps. */
export function gridOf(s: ExploreState, nowMs: number, points: number): { startMs: number; endMs: number; stepMs: number } {
  const stepMs = s.stepMs ?? autoStep(s.rangeMs, points)
  const until = s.endMs ?? nowMs
  const endMs = s.rangeMs < stepMs ? until : Math.floor(until / stepMs) * stepMs
  return { startMs: endMs - Math.floor(s.rangeMs / stepMs) * stepMs, endMs, stepMs }
}

/** Letters of queries: A, B, … */
export function letter(i: number): string {
  return String.fromCharCode(65 + (i % 26))
}
