/** What an answer holds, and what a query would read, in numbers. Pure. */
import type { Explained, InstantData, RangeData } from '../../api/query'

export interface Answered {
  series: number
  points: number
  steps: number
}

export function answeredBy(range: RangeData | undefined, instant: InstantData | undefined, steps: number): Answered | undefined {
  if (range) {
    return { series: range.result.length, points: range.result.reduce((n, s) => n + (s.values?.length ?? 0) + (s.histograms?.length ?? 0), 0), steps }
  }
  if (!instant) return undefined
  if (instant.resultType === 'scalar' || instant.resultType === 'string') return { series: 1, points: 1, steps: 1 }
  return { series: instant.result.length, points: instant.result.reduce((n, s) => n + (s.values?.length ?? 1), 0), steps: 1 }
}

export interface Total {
  series: number
  samples: number
  buckets: number
  bytes: number
  /** Names of the tiers, as people call them. */
  tiers: string[]
}

/** How a tier is called: raw = samples, 1m = minutes, … */
export function tierName(tier: string): string {
  return tier === 'raw' ? 'samples' : `rollup ${tier}`
}

export function totalOf(e: Explained): Total {
  const tiers = new Set<string>()
  for (const s of e.selectors) for (const slice of s.slices) tiers.add(tierName(slice.tier))
  return { series: e.total.series, samples: e.total.samples, buckets: e.total.buckets, bytes: e.total.bytes, tiers: [...tiers] }
}
