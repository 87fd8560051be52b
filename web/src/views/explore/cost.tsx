/** Where the time of the queries went, and what each selector was read from. */
import { useState } from 'preact/hooks'
import type { Explained, SelectorCost, Stats } from '../../api/query'
import { Grid, type Column } from '../../components/grid'
import { bytes, count, plural, took } from '../../lib/format'
import { tierName } from './answered'
import type { Run } from './run'
import { letter } from './state'

interface CostProps {
  runs: (Run | undefined)[]
  /** What the texts in the editors would read. */
  costs: ({ expr: string; data: Explained | undefined } | undefined)[]
  letters: boolean
}

export function CostPanel({ runs, costs, letters }: CostProps) {
  const [open, setOpen] = useState(false) // outlives the time between two answers
  const parts = costs.map((cost, i) => {
    const r = runs[i]
    const edited = cost?.data !== undefined && cost.expr !== r?.expr
    return { i, expr: edited ? cost.expr : (r?.expr ?? ''), stats: edited ? undefined : r?.stats, tookMs: r?.tookMs ?? 0, explained: edited ? cost.data : r?.explained }
  })
  const known = parts.filter((p) => p.stats || p.explained)
  if (known.length === 0) return null
  return (
    <details class="cost card" open={open} onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>{known.some((p) => p.stats) ? 'Cost and truth: where the time went, and what was read' : 'Cost and truth: what it will read at most'}</summary>
      {known.map((p) => (
        <div key={p.i} class="cost-query">
          {letters && (
            <h3>
              <span class="letter">{letter(p.i)}</span> <code>{p.expr}</code>
            </h3>
          )}
          {p.stats ? <Times stats={p.stats} tookMs={p.tookMs} /> : <p class="hint">Not run yet.</p>}
          {p.explained && <Selectors explained={p.explained} />}
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
        {tiers.length > 0 && `, of these ${tiers.map(([t, n]) => `${plural(n, 'bucket')} of ${tierName(t)}`).join(', ')}`}
        {stats.cachedSteps ? `; ${plural(stats.cachedSteps, 'step')} came from the result cache` : '; no step came from the result cache'}
        {stats.samples ? `; at most ${plural(stats.samples.peakSamples, 'sample')} at once in memory` : ''}.
      </p>
    </>
  )
}

const selectorColumns: Column<SelectorCost>[] = [
  { key: 'selector', title: 'selector', cell: (s) => <code>{s.selector}</code> },
  { key: 'from', title: 'read from', cell: (s) => tiersOf(s) },
  { key: 'series', title: 'series', number: true, cell: (s) => count(s.series) },
  { key: 'samples', title: 'samples, at most', number: true, cell: (s) => count(s.samples) },
  { key: 'buckets', title: 'buckets, at most', number: true, cell: (s) => count(s.buckets) },
  { key: 'bytes', title: 'bytes, about', number: true, cell: (s) => bytes(s.bytes) },
  { key: 'why', title: 'why no coarser tier', cell: (s) => whyNot(s) },
]

function Selectors({ explained }: { explained: Explained }) {
  return <Grid label="What each selector reads at most" columns={selectorColumns} rows={explained.selectors} id={(s) => String(explained.selectors.indexOf(s))} />
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
