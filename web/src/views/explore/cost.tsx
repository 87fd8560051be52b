/** Where the time of the queries went, and what each selector was read from. */
import { useState } from 'preact/hooks'
import type { Explained, SelectorCost, Stats } from '../../api/query'
import { bytes, count, plural, took } from '../../lib/format'
import { tierName } from './answered'
import type { Run } from './run'
import { letter } from './state'

export function CostPanel({ runs, letters }: { runs: (Run | undefined)[]; letters: boolean }) {
  const [open, setOpen] = useState(false) // outlives the time between two answers
  const ran = runs.map((r, i) => ({ r, i })).filter(({ r }) => r?.stats || r?.explained)
  if (ran.length === 0) return null
  return (
    <details class="cost card" open={open} onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>Cost and truth: where the time went, and what was read</summary>
      {ran.map(({ r, i }) => (
        <div key={i} class="cost-query">
          {letters && (
            <h3>
              <span class="letter">{letter(i)}</span> <code>{r?.expr}</code>
            </h3>
          )}
          {r?.stats && <Times stats={r.stats} tookMs={r.tookMs} />}
          {r?.explained && <Selectors explained={r.explained} />}
        </div>
      ))}
    </details>
  )
}

const stages: { name: string; text: string; of: (s: Stats) => number }[] = [
  { name: 'queue', text: 'waiting for a slot', of: (s) => s.timings.execQueueTime },
  { name: 'select', text: 'selecting series', of: (s) => s.timings.queryPreparationTime },
  { name: 'read', text: 'reading and evaluating', of: (s) => s.timings.innerEvalTime },
  { name: 'sort', text: 'sorting', of: (s) => s.timings.resultSortTime },
  { name: 'encode', text: 'encoding and sending', of: (s) => s.timings.resultEncodeTime ?? 0 },
]

function Times({ stats, tookMs }: { stats: Stats; tookMs: number }) {
  const rows = stages.map((s) => ({ ...s, ms: s.of(stats) * 1000 }))
  const server = rows.reduce((n, r) => n + r.ms, 0)
  const rest = Math.max(0, tookMs - server)
  const all = [...rows, { name: 'way', text: 'network and decoding here', ms: rest }]
  const total = Math.max(server + rest, 0.001)
  const tiers = Object.entries(stats.bucketsReadByTier ?? {})
  return (
    <>
      <div class="time-bar" role="img" aria-label={all.map((r) => `${r.text}: ${took(r.ms)}`).join(', ')}>
        {all.map((r) => (
          <span key={r.name} class={`stage ${r.name}`} style={{ width: `${(r.ms / total) * 100}%` }} />
        ))}
      </div>
      <ul class="times">
        {all
          .filter((r) => r.ms > 0)
          .map((r) => (
            <li key={r.name}>
              <i class={`stage ${r.name}`} /> {r.text} <b>{took(r.ms)}</b>
            </li>
          ))}
      </ul>
      <p class="hint">
        {plural(stats.samples?.samplesRead ?? stats.samples?.totalQueryableSamples ?? 0, 'sample')} read
        {tiers.length > 0 && `, of these ${tiers.map(([t, n]) => `${count(n)} buckets of ${tierName(t)}`).join(', ')}`}
        {stats.cachedSteps ? `; ${plural(stats.cachedSteps, 'step')} came from the result cache` : '; no step came from the result cache'}
        {stats.samples ? `; at most ${plural(stats.samples.peakSamples, 'sample')} at once in memory` : ''}.
      </p>
    </>
  )
}

function Selectors({ explained }: { explained: Explained }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="What each selector reads at most">
      <table>
        <thead>
          <tr>
            <th scope="col">selector</th>
            <th scope="col">read from</th>
            <th scope="col" class="number">
              series
            </th>
            <th scope="col" class="number">
              samples, at most
            </th>
            <th scope="col" class="number">
              buckets, at most
            </th>
            <th scope="col" class="number">
              bytes, about
            </th>
            <th scope="col">why no coarser tier</th>
          </tr>
        </thead>
        <tbody>
          {explained.selectors.map((s, i) => (
            <tr key={i}>
              <td>
                <code>{s.selector}</code>
              </td>
              <td>{tiersOf(s)}</td>
              <td class="number">{count(s.series)}</td>
              <td class="number">{count(s.samples)}</td>
              <td class="number">{count(s.buckets)}</td>
              <td class="number">{bytes(s.bytes)}</td>
              <td>{whyNot(s)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function tiersOf(s: SelectorCost): string {
  const tiers = [...new Set(s.slices.map((p) => tierName(p.tier)))].join(', ')
  const notes = [
    s.pendingDays ? `${plural(s.pendingDays, 'day')} not rolled up yet` : '',
    s.newerSeries ? `${plural(s.newerSeries, 'series', 'series')} with data newer than the rollup` : '',
    s.slices.some((p) => p.expired) ? 'samples have expired' : '',
  ].filter(Boolean)
  return notes.length > 0 ? `${tiers} (${notes.join('; ')})` : tiers
}

function whyNot(s: SelectorCost): string {
  if (s.refused.length === 0) return 'the coarsest there is for these times'
  return s.refused.map((r) => `${r.tier}: ${r.text}`).join('; ')
}
