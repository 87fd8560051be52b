/** Which tier answered which stretch of time, a line for each selector, below the plot. */
import type { Explained } from '../../api/query'
import { dateTime, plural, type Zone } from '../../lib/format'
import { tierName } from './answered'

export interface StripRow {
  selector: string
  slices: { fromMs: number; toMs: number; tier: string; expired: boolean; cost: string }[]
}

/** The slices that lie in the range shown; selectors of equal slices share a row. */
export function stripRows(all: (Explained | undefined)[], startMs: number, endMs: number): StripRow[] {
  const rows = new Map<string, StripRow>()
  for (const e of all) {
    for (const s of e?.selectors ?? []) {
      const slices = s.slices
        .map((p) => ({
          fromMs: Math.max(Date.parse(p.start), startMs),
          toMs: Math.min(Date.parse(p.end), endMs),
          tier: p.tier,
          expired: p.expired,
          cost: p.buckets > 0 ? plural(p.buckets, 'bucket') : plural(p.samples, 'sample'),
        }))
        .filter((p) => p.toMs > p.fromMs)
      if (slices.length === 0) continue
      const key = slices.map((p) => `${p.fromMs} ${p.tier} ${p.expired}`).join()
      const same = rows.get(key)
      if (same) {
        if (!same.selector.split(' · ').includes(s.selector)) same.selector += ` · ${s.selector}`
      } else rows.set(key, { selector: s.selector, slices })
    }
  }
  return [...rows.values()]
}

const maxRows = 4
const shades: Record<string, string> = { raw: '', '1m': 'coarse', '5m': 'coarse' }

interface StripProps {
  explained: (Explained | undefined)[]
  startMs: number
  endMs: number
  left: number
  width: number
  zone: Zone
}

export function TierStrip({ explained, startMs, endMs, left, width, zone }: StripProps) {
  const rows = stripRows(explained, startMs, endMs)
  if (rows.length === 0 || width === 0) return null
  const percent = (ms: number) => `${((ms - startMs) / (endMs - startMs)) * 100}%`
  return (
    <div class="strips" role="list" aria-label="What the plot was read from">
      {rows.slice(0, maxRows).map((row) => (
        <div key={row.selector} class="strip" role="listitem" title={row.selector}>
          <div class="strip-name" aria-hidden="true" style={{ width: `${left}px` }}>
            from
          </div>
          <div class="strip-track" style={{ left: `${left}px`, width: `${width}px` }}>
            {row.slices.map((p) => {
              const what = `${tierName(p.tier)}${p.expired ? ', the samples have expired' : ''}`
              return (
                <span
                  key={p.fromMs}
                  class={`strip-slice ${shades[p.tier] ?? 'coarsest'} ${p.expired ? 'expired' : ''}`}
                  style={{ left: percent(p.fromMs), width: `calc(${percent(p.toMs)} - ${percent(p.fromMs)})` }}
                  title={`${row.selector}\n${dateTime(p.fromMs, zone)} – ${dateTime(p.toMs, zone)}\nread from ${what}: about ${p.cost}`}
                >
                  {what}
                  {rows.length > 1 && <span class="muted"> · {row.selector}</span>}
                </span>
              )
            })}
          </div>
        </div>
      ))}
    </div>
  )
}
