/** Rates from two readings of the server's counters. Pure. */
import { totalsBy, total, type Reading } from '../../lib/exposition'

export interface Snapshot {
  atMs: number
  readings: Reading[]
}

/** The increase of a counter a second; undefined without an earlier reading. A counter that fell has begun anew. */
export function rate(now: number | undefined, before: number | undefined, seconds: number): number | undefined {
  if (now === undefined || before === undefined || !(seconds > 0)) return undefined
  return (now >= before ? now - before : now) / seconds
}

export interface DoorRow {
  door: string
  samples: number
  perSecond: number | undefined
  rejected: number
  series: number
  created: number
}

/** What each door takes, the busiest first. */
export function doors(now: Snapshot, before: Snapshot | undefined): DoorRow[] {
  const seconds = before ? (now.atMs - before.atMs) / 1000 : 0
  const samples = totalsBy(now.readings, 'tsdb_ingested_samples_total', 'door')
  const earlier = before && totalsBy(before.readings, 'tsdb_ingested_samples_total', 'door')
  const rejected = totalsBy(now.readings, 'tsdb_rejected_samples_total', 'door')
  const series = totalsBy(now.readings, 'tsdb_door_series', 'door')
  const created = totalsBy(now.readings, 'tsdb_created_series_total', 'door')
  const names = new Set([...samples.keys(), ...rejected.keys(), ...series.keys()])
  return [...names]
    .map((door) => ({
      door,
      samples: samples.get(door) ?? 0,
      perSecond: rate(samples.get(door) ?? 0, earlier && (earlier.get(door) ?? 0), seconds),
      rejected: rejected.get(door) ?? 0,
      series: series.get(door) ?? 0,
      created: created.get(door) ?? 0,
    }))
    .filter((d) => d.samples > 0 || d.rejected > 0 || d.series > 0)
    .sort((a, b) => (b.perSecond ?? 0) - (a.perSecond ?? 0) || b.samples - a.samples)
}

/** The rate of the sum of a counter. */
export function rateOf(now: Snapshot, before: Snapshot | undefined, name: string, labels: Record<string, string> = {}): number | undefined {
  if (!before) return undefined
  return rate(total(now.readings, name, labels) ?? 0, total(before.readings, name, labels) ?? 0, (now.atMs - before.atMs) / 1000)
}

export interface Forecast {
  text: string
  /** Whether it ends badly. */
  short: boolean
}

/** How the disk fills: usedBytes now, fullBytes once every retention is full, growth a day of what is kept for ever. */
export function forecast(f: { usedBytes: number; fullBytes: number; growthPerDay: number; perDay: number; freeBytes: number | undefined }): Forecast {
  if (f.perDay === 0) return { text: 'A day of samples is needed to tell.', short: false }
  if (f.freeBytes === undefined) return { text: '', short: false }
  const missing = f.fullBytes - f.usedBytes
  if (missing > f.freeBytes || f.growthPerDay > 0) {
    const days = Math.floor(f.freeBytes / Math.max(f.perDay, f.growthPerDay, 1))
    if (days > 3650) return { text: 'The disk lasts for more than ten years.', short: false }
    return { text: `The disk is full in about ${days} ${days === 1 ? 'day' : 'days'}, at the rate of the last days.`, short: days < 60 }
  }
  return { text: 'The disk has room for every retention.', short: false }
}
