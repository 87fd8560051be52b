/** Which tier answered which stretch of time, a line for each selector, below the plot. */
import type { Explained } from '../../api/query'
import { dateTime, plural, type Zone } from '../../lib/format'
import { tierName } from './answered'

/** A stretch in which the answer is not what was once written. */
export interface Flaw {
  kind: 'deleted' | 'damaged'
  fromMs: number
  toMs: number
}

export interface StripRow {
  selector: string
  flaws: Flaw[]
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
      const flawsOf = (kind: Flaw['kind']): Flaw[] =>
        (s[kind] ?? []).map((r) => ({ kind, fromMs: Math.max(Date.parse(r.start), startMs), toMs: Math.min(Date.parse(r.end), endMs) })).filter((f) => f.toMs > f.fromMs)
      const flaws = [...flawsOf('deleted'), ...flawsOf('damaged')]
      const key = [...slices.map((p) => `${p.fromMs} ${p.tier} ${p.expired}`), ...flaws.map((f) => `${f.kind} ${f.fromMs} ${f.toMs}`)].join()
      const same = rows.get(key)
      if (same) {
        if (!same.selector.split(' · ').includes(s.selector)) same.selector += ` · ${s.selector}`
      } else rows.set(key, { selector: s.selector, slices, flaws })
    }
  }
  return [...rows.values()]
}

const maxRows = 4
const kinds: Flaw['kind'][] = ['deleted', 'damaged']
const flawText: Record<Flaw['kind'], string> = { deleted: 'samples were deleted here', damaged: 'samples here cannot be read' }
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
                  title={`${row.selector}\n${dateTime(p.fromMs, zone)} – ${dateTime(p.toMs, zone)}\nread from ${what}: at most ${p.cost}`}
                >
                  <span class="strip-text">
                    {what}
                    {rows.length > 1 && <span class="muted"> · {row.selector}</span>}
                  </span>
                </span>
              )
            })}
            {row.flaws.map((f) => (
              <span
                key={`${f.kind} ${f.fromMs}`}
                class={`strip-flaw ${f.kind}`}
                style={{ left: percent(f.fromMs), width: `calc(${percent(f.toMs)} - ${percent(f.fromMs)})` }}
                title={`${row.selector}\n${dateTime(f.fromMs, zone)} – ${dateTime(f.toMs, zone)}\n${flawText[f.kind]}`}
              />
            ))}
          </div>
        </div>
      ))}
      {rows.some((r) => r.flaws.length > 0) && (
        <p class="hint flaws-key">
          {kinds
            .filter((k) => rows.some((r) => r.flaws.some((f) => f.kind === k)))
            .map((k) => (
              <span key={k}>
                <i class={`strip-flaw ${k}`} /> {flawText[k]}
              </span>
            ))}
        </p>
      )}
    </div>
  )
}

/** A number that rises when late samples or deletions change what the selectors read. */
export function changesOf(e: Explained): number {
  return e.selectors.reduce((n, s) => n + s.changes, 0)
}
