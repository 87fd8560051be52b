/** Finds out why a query gives nothing. */
import { request, requestText, type RequestOptions } from '../../api/client'
import { labelNames, labelValues, series } from '../../api/names'
import { explain, queryInstant, type SelectorCost } from '../../api/query'
import { parseExposition } from '../../lib/exposition'
import { dateTime, duration } from '../../lib/format'
import { nearest } from '../../lib/nearest'
import type { Grid } from '../../plot/series'
import { tierName } from './answered'
import { matchOf, parseSelector, type Matcher, type Selector } from './selector'

/** One reason, with what can be done. */
export interface Reason {
  selector: string
  /** What is the matter, in a sentence. */
  text: string
  /** Texts of the query to replace: [old, new]. */
  replace: [string, string][]
  /** When the newest sample was seen, Unix milliseconds. */
  lastMs?: number
}

export interface Rejected {
  door: string
  reason: string
  samples: number
  last: { time: string; series: string; detail: string }[]
}

export interface Diagnosis {
  reasons: Reason[]
  /** Refusals of samples that may concern the query. */
  rejected: Rejected[]
}

const maxSelectors = 5
const maxNames = 10_000
const shown = 5
const yearMs = 365 * 86_400_000

/** grid: the times that were asked for; a table has one. */
export async function diagnose(expr: string, grid: Grid, options: RequestOptions): Promise<Diagnosis> {
  const { data } = await explain(expr, grid, options)
  const texts = [...new Set(data.selectors.map((s) => s.selector))].slice(0, maxSelectors)
  const reasons: Reason[] = []
  for (const text of texts) {
    const s = parseSelector(text)
    const cost = data.selectors.find((c) => c.selector === text)
    if (!s || !cost) continue
    if (cost.series > 0 && (cost.samples > 0 || cost.buckets > 0)) continue
    reasons.push(await reasonOf(s, cost, grid, options))
  }
  if (reasons.length === 0) {
    const text =
      data.selectors.length === 0
        ? 'The expression reads no series and has no value.'
        : 'Every selector has samples in the range; the expression leaves none of them: a comparison holds nowhere, an operator finds no series with equal labels on both sides, or a range is shorter than the distance of two samples.'
    reasons.push({ selector: '', text, replace: [] })
  }
  return { reasons, rejected: await rejectedFor(texts, options) }
}

async function reasonOf(s: Selector, cost: SelectorCost, grid: Grid, options: RequestOptions): Promise<Reason> {
  const reason = (why: string, replace: [string, string][] = []): Reason => ({ selector: cost.selector, text: why, replace })
  const exists = async (match: string) => (await series({ match: [match], limit: 1 }, options)).data.length > 0
  if (s.metric !== undefined && !(await exists(matchOf(s, [])))) {
    const { data: names } = await labelValues('__name__', { limit: maxNames }, options)
    const near = nearest(s.metric, names, shown)
    const metric = s.metric
    return reason(`No series named ${metric} is stored.${near.length > 0 ? ' Names like it:' : ''}`, near.map((n) => [metric, n]))
  }
  if (!(await exists(matchOf(s)))) return reason(...(await wrongMatcher(s, options)))
  const [lastMs, floors] = await Promise.all([lastSample(matchOf(s), options), retentionFloors(options)])
  const gone = expiredBefore(floors, grid.endMs)
  if (gone) return { ...reason(gone), ...(lastMs === undefined ? {} : { lastMs }) }
  if (lastMs === undefined) return reason('Its samples are older than five years, or have left with retention.')
  return { ...reason(noneInRange(cost, grid, lastMs)), lastMs }
}

/** Says that what a selector reads holds no samples although it has some. */
export function noneInRange(cost: { start: string; end: string }, grid: Grid, lastMs: number): string {
  const from = Date.parse(cost.start) // the window or the lookback before the range, too
  const where = grid.startMs < grid.endMs ? 'in the range shown' : `in the ${duration(Math.round((Date.parse(cost.end) - from) / 1000) * 1000)} that it reads for this time`
  return `It has no samples ${where}${lastMs < from ? '; the newest is older.' : ', but newer ones.'}`
}

/** The times before which samples and buckets of all series have expired, by tier, Unix milliseconds. */
async function retentionFloors(options: RequestOptions): Promise<Map<string, number>> {
  try {
    const { text } = await requestText('metrics', options)
    const all = parseExposition(text, ['tsdb_retention_floor']).filter((r) => r.labels['rule'] === '' && r.value > 0)
    return new Map(all.map((r) => [r.labels['tier'] ?? '', Math.round(r.value * 1000)]))
  } catch {
    return new Map()
  }
}

/** Says so if everything up to a time has left with retention; empty if something may be there. */
export function expiredBefore(floors: ReadonlyMap<string, number>, endMs: number): string {
  if (floors.size === 0 || [...floors.values()].some((f) => endMs >= f)) return ''
  const each = [...floors].sort(([, a], [, b]) => b - a).map(([tier, ms]) => `${tierName(tier)} from ${dateTime(ms, 'utc').slice(0, 10)}`)
  return `The range lies before what retention keeps: ${each.join(', ')} (UTC; --retention.raw and those of the rollups).`
}

/** The first matcher that no series meets. */
async function wrongMatcher(s: Selector, options: RequestOptions): Promise<[string, [string, string][]]> {
  const scope = s.metric === undefined ? [] : [matchOf(s, [])]
  const { data: names } = await labelNames({ match: scope, limit: maxNames }, options)
  for (const m of s.matchers) {
    if (names.includes(m.name)) continue
    if (m.op === '!=' || m.op === '!~' || m.value === '') continue // met by series without the label
    const near = nearest(m.name, names, shown)
    return [`No series of it has the label ${m.name}.${near.length > 0 ? ' Labels like it:' : ` Its labels: ${names.filter((n) => n !== '__name__').slice(0, 10).join(', ')}.`}`, near.map((n) => [m.name, n])]
  }
  for (const m of s.matchers) {
    const { data: all } = await labelValues(m.name, { match: scope, limit: maxNames }, options)
    if (all.some((v) => meets(m, v))) continue
    const near = nearest(m.value, all, shown)
    const values = near.length > 0 ? near : all.slice(0, shown)
    return [`No series of it has ${m.name}${m.op}"${m.value}". ${near.length > 0 ? 'Values like it:' : 'Values that it has:'}`, values.map((v) => [m.value, v])]
  }
  return ['Each matcher alone is met, but no series meets all of them.', []]
}

/** Whether a value meets a matcher; of expressions that only the server knows it says yes. */
function meets(m: Matcher, value: string): boolean {
  if (m.op === '=') return value === m.value
  if (m.op === '!=') return value !== m.value
  try {
    return new RegExp(`^(?:${m.value})$`).test(value) === (m.op === '=~')
  } catch {
    return true
  }
}

/** The time of the newest sample of the last years. */
async function lastSample(match: string, options: RequestOptions): Promise<number | undefined> {
  for (const back of [yearMs / 12, 5 * yearMs]) {
    const a = await queryInstant(`max(timestamp(${match}))`, Date.now(), { ...options, uncounted: true }, back)
    if (a.data.resultType !== 'vector') return undefined
    const value = a.data.result[0]?.value?.[1]
    if (value !== undefined) return Math.round(Number(value) * 1000)
  }
  return undefined
}

/** Refusals whose examples name a metric of the selectors. */
async function rejectedFor(selectors: string[], options: RequestOptions): Promise<Rejected[]> {
  const metrics = selectors.map((t) => parseSelector(t)?.metric).filter((m) => m !== undefined)
  try {
    const { data } = await request<{ rejected: Rejected[] }>('status/rejected', {}, options)
    return data.rejected.filter((r) => r.last.some((l) => metrics.some((m) => l.series.includes(m) || l.detail.includes(m)))).slice(0, shown)
  } catch {
    return []
  }
}
