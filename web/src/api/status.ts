/** What the server tells about itself and what it stores. */
import { request, type Answer, type RequestOptions } from './client'

export interface MetricSize {
  name: string
  type: string
  unit: string
  help: string
  series: number
  headSeries: number
  samples: number
  bytes: number
  /** Of the newest sample in blocks; 0 = none. */
  newestMs: number
  tiers: { tier: string; rows: number; bytes: number }[]
}

export interface MetricSizes {
  metrics: MetricSize[]
  totalMetrics: number
  totalSamples: number
  totalBytes: number
}

/** At most 10,000 metrics, those with the most bytes. */
export function metricSizes(match: string[], options: RequestOptions): Promise<Answer<MetricSizes>> {
  return request('status/metrics', { 'match[]': match, limit: 10_000 }, options)
}

export interface NameStats {
  statsCollectedSince: number
  records: { metricName: string; requestsCount: number; lastRequestTimestamp: number }[]
}

/** How often queries have asked for each metric. */
export function nameStats(options: RequestOptions): Promise<Answer<NameStats>> {
  return request('status/metric_names_stats', { limit: 65_536 }, options)
}

export interface NameCount {
  name: string
  value: number
}

export interface Cardinality {
  totalSeries: number
  totalLabelValuePairs: number
  seriesCountByMetricName: NameCount[]
  labelValueCountByLabelName: NameCount[]
  seriesCountByLabelName: NameCount[]
  seriesCountByLabelValuePair: NameCount[]
  seriesCountByFocusLabelValue?: NameCount[]
}

export interface CardinalityRequest {
  /** A UTC day; empty = all times. */
  date: string
  match: string[]
  focusLabel: string
  topN: number
}

export function cardinality(r: CardinalityRequest, options: RequestOptions): Promise<Answer<Cardinality>> {
  return request('status/tsdb', { date: r.date, 'match[]': r.match, focusLabel: r.focusLabel, topN: r.topN }, options)
}

/** The counts of a name on each of the days; null where only higher ones are kept. */
export interface DailyLine {
  name: string
  counts: (number | null)[]
}

export interface CountedDay {
  date: string
  /** When; the day was not over then if it was running. */
  counted: string
  running: boolean
  series: number
  labelValuePairs: number
  new: number
  gone: number
}

export interface DailyCounts {
  /** The newest first; days that were not counted are left out. */
  days: CountedDay[]
  waitingDays: number
  seriesCountByMetricName: DailyLine[]
  labelValueCountByLabelName: DailyLine[]
  seriesCountByLabelName: DailyLine[]
  seriesCountByLabelValuePair: DailyLine[]
  newSeriesCountByMetricName: DailyLine[]
  newLabelValueCountByLabelName: DailyLine[]
}

/** What the server keeps of the days until one; empty = today. It answers from an overloaded server, too. */
export function dailyCounts(until: string, days: number, topN: number, options: RequestOptions): Promise<Answer<DailyCounts>> {
  return request('status/cardinality', { until, days, topN }, options)
}

export interface Rejected {
  door: string
  reason: string
  requests: number
  samples: number
  last: { time: string; samples: number; series: string; detail: string }[]
}

export function rejected(options: RequestOptions): Promise<Answer<{ since: string; rejected: Rejected[] }>> {
  return request('status/rejected', {}, options)
}

export interface Tier {
  tier: string
  on: boolean
  blocks: number
  bytes: number
  bytesPerDay: number
  standInBytesPerDay: number
  retentionMs: number
  fullBytes: number
  note?: string
}

export interface Job {
  job: string
  phase: 'running' | 'failing' | 'idle'
  since: string
  next: string
  upcoming?: string
  progress: number
}

export interface Snapshot {
  name: string
  taken: string
  temporary: boolean
  bytes: number
  pinnedBytes: number
}

export interface RetentionRule {
  /** Empty = all series that no other rule matches. */
  match: string
  /** By tier: 0 = for ever, -1 = nothing. */
  keepMs: Record<string, number>
  series: number
  bytes: number
  hiddenBytes: number
  nextRewrite?: string
}

export interface StorageStatus {
  incarnation: string
  series: number
  samples: number
  blocks: number
  bytes: number
  bytesPerSample: number
  head: { series: number; samples: number; bytes: number; tableBytes: number }
  wal: { bytes: number; keptBytes?: number; listError?: string }
  tiers: Tier[]
  full: { bytes: number; bytesPerDay: number }
  failingJobs: { job: string; since: string; failures: number; next: string; error: string }[]
  jobs: Job[]
  retention: { active: string; limitBytes: number; usedBytes: number; met: boolean; rawFloor: string }
  retentionRules: RetentionRule[] | null
  deletions: { live: number; unrecorded: number; limit: number }
  history: { keepMs: number; marks: number; oldest?: string; bytes: number }
  snapshots: Snapshot[] | null
  snapshotBytes: number
}

export function storageStatus(options: RequestOptions): Promise<Answer<StorageStatus>> {
  return request('status/storage', {}, options)
}

export interface RollupTier {
  tier: string
  on: boolean
  retentionMs: number
  days: number
  standInDays: number
  lostDays: number
  bytes: number
  oldest?: string
  newest?: string
  uncoveredDays: number
  dirtyDays: number
  behindSeconds: number
}

export function rollups(options: RequestOptions): Promise<Answer<{ tiers: RollupTier[]; step: { why?: string; seriesDone?: number; seriesTotal?: number } | null }>> {
  return request('status/rollups', {}, options)
}

export interface RunningQuery {
  id: number
  query: string
  start: string
  end: string
  step: number
  since: string
  seconds: number
  door: string
  client: string
}

export function activeQueries(options: RequestOptions): Promise<Answer<{ queries: RunningQuery[]; waiting: number }>> {
  return request('status/active_queries', {}, options)
}

export interface TopQuery {
  query: string
  count: number
  errors: number
  totalSeconds: number
  longestSeconds: number
  samplesRead: number
  series: number
  last: string
  /** The page asked of its own accord. */
  background?: boolean
}

export type TopOrder = 'duration' | 'frequency' | 'samples'

export function topQueries(by: TopOrder, background: boolean, options: RequestOptions): Promise<Answer<TopQuery[]>> {
  return request('status/top_queries', { by, limit: 20, background: background ? undefined : '0' }, options)
}

export function cancelQuery(id: number): Promise<Answer<unknown>> {
  return request('admin/cancel_query', { id }, { method: 'POST' })
}

export function flags(options: RequestOptions): Promise<Answer<Record<string, string>>> {
  return request('status/flags', {}, options)
}

export function config(options: RequestOptions): Promise<Answer<{ yaml: string }>> {
  return request('status/config', {}, options)
}

export interface Deletion {
  series: number
  samples: number
  bytes: number
  tiers: { tier: string; series: number; rows: number; bytes: number }[]
  expired: boolean
}

/** How much a deletion concerns; nothing is deleted. */
export function estimateDeletion(match: string, options: RequestOptions): Promise<Answer<Deletion>> {
  return request('admin/tsdb/delete_series', { 'match[]': [match], dry_run: 'true' }, { ...options, method: 'POST' })
}

export function deleteSeries(match: string): Promise<Answer<unknown>> {
  return request('admin/tsdb/delete_series', { 'match[]': [match] }, { method: 'POST' })
}

export interface Target {
  labels: Record<string, string>
  discoveredLabels: Record<string, string>
  scrapePool: string
  scrapeUrl: string
  lastError: string
  lastScrape: string
  lastScrapeDuration: number
  health: 'up' | 'down' | 'unknown'
  scrapeInterval: string
}

export function targets(options: RequestOptions): Promise<Answer<{ activeTargets: Target[]; droppedTargetCounts?: Record<string, number> }>> {
  return request('targets', { state: 'any' }, options)
}
