/** PromQL: queries and what they cost. */
import { request, type Answer, type RequestOptions } from './client'
import type { Labels } from '../lib/labels'

export type Point = [number, string]

export interface HistogramValue {
  count: string
  sum: string
  /** [rule of the bounds, lower, upper, count] */
  buckets?: [number, string, string, string][]
}

export interface RangeSeries {
  metric: Labels
  values?: Point[]
  histograms?: [number, HistogramValue][]
}

export interface InstantSeries {
  metric: Labels
  value?: Point
  histogram?: [number, HistogramValue]
  values?: Point[]
  histograms?: [number, HistogramValue][]
}

export interface Stats {
  timings: {
    queryPreparationTime: number
    innerEvalTime: number
    execQueueTime: number
    execTotalTime: number
    resultSortTime: number
    resultEncodeTime?: number
  }
  samples?: { samplesRead?: number; totalQueryableSamples: number; peakSamples: number }
  cachedSteps?: number
  bucketsRead?: number
  bucketsReadByTier?: Record<string, number>
}

export interface RangeData {
  resultType: 'matrix'
  result: RangeSeries[]
  stats?: Stats
}

export type InstantData = (
  | { resultType: 'vector'; result: InstantSeries[] }
  | { resultType: 'matrix'; result: InstantSeries[] }
  | { resultType: 'scalar'; result: Point }
  | { resultType: 'string'; result: Point }
) & { stats?: Stats }

const seconds = (ms: number) => ms / 1000

export interface Grid {
  startMs: number
  endMs: number
  stepMs: number
}

/** Options of the queries that views send of their own accord: these do not count as asked for. */
export interface QueryOptions extends RequestOptions {
  uncounted?: boolean
}

export function queryRange(query: string, grid: Grid, options: QueryOptions): Promise<Answer<RangeData>> {
  const { startMs, endMs, stepMs } = grid
  return request('query_range', { query, start: seconds(startMs), end: seconds(endMs), step: seconds(stepMs), stats: 'all', uncounted: options.uncounted }, { ...options, method: 'POST' })
}

/** lookbackMs: how long a sample stands for its series; undefined = as the server is set. */
export function queryInstant(query: string, timeMs: number, options: QueryOptions, lookbackMs?: number): Promise<Answer<InstantData>> {
  return request('query', { query, time: seconds(timeMs), stats: 'all', lookback_delta: lookbackMs && seconds(lookbackMs), uncounted: options.uncounted }, { ...options, method: 'POST' })
}

export function formatQuery(query: string): Promise<Answer<string>> {
  return request('format_query', { query }, { method: 'POST' })
}

export interface Cost {
  series: number
  blocks: number
  chunks: number
  samples: number
  buckets: number
  bytes: number
}

export interface Refused {
  tier: string
  reason: string
  text: string
}

export interface Slice extends Cost {
  start: string
  end: string
  tier: string
  expired: boolean
  refused: Refused[]
  cutBorders: number
}

export interface SelectorCost extends Cost {
  selector: string
  start: string
  end: string
  tier: string
  refused: Refused[]
  slices: Slice[]
  pendingDays?: number
  standInDays?: number
  standInSeries?: number
  newerSeries?: number
  /** Times of deletions that may concern it, and of samples that cannot be read. */
  deleted?: { start: string; end: string }[]
  damaged?: { start: string; end: string }[]
  /** Rises when late samples or deletions change what is read. */
  changes: number
}

export interface Explained {
  selectors: SelectorCost[]
  total: Cost
}

/** What a query would read at most, without reading it. */
export function explain(query: string, grid: Grid, options: RequestOptions): Promise<Answer<Explained>> {
  const { startMs, endMs, stepMs } = grid
  return request('explain', { query, start: seconds(startMs), end: seconds(endMs), step: seconds(stepMs) }, { ...options, method: 'POST' })
}
