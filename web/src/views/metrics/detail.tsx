/** One metric: what it is, its labels, and plots that fit its type. */
import type { ComponentChildren } from 'preact'
import { useMemo } from 'preact/hooks'
import { labelNames, labelValues, metadata } from '../../api/names'
import { queryInstant, queryRange, type RangeSeries } from '../../api/query'
import { Icon } from '../../components/icon'
import { Empty, ErrorNote, Loading } from '../../components/states'
import { ago, bytes, count, dateTime, duration, parseDuration, plural, short, took } from '../../lib/format'
import { labelName, quote, type Labels } from '../../lib/labels'
import { go, hrefOf } from '../../lib/router'
import { useAsync } from '../../lib/useAsync'
import { MiniPlot, type MiniLine } from '../../plot/mini'
import { linesOf, nameLines, timesOf } from '../../plot/series'
import { autoStep } from '../explore/state'
import { TypeChip, type Row } from '.'
import { kindOf, plotsOf, selectorWith, type PlotSpec } from './kinds'

interface DetailProps {
  name: string
  size: Row | undefined
  loading: boolean
  params: URLSearchParams
  onChange: (set: Record<string, string>, replace?: boolean) => void
}

const ranges = ['1h', '6h', '1d', '1w', '30d']
const points = 120
const maxLabels = 30
const maxValues = 1000
const shownValues = 8

export function Detail({ name, size, loading, params, onChange }: DetailProps) {
  const matchers = params.get('with') ?? ''
  const by = params.get('by') ?? ''
  const range = ranges.includes(params.get('range') ?? '') ? (params.get('range') ?? '1h') : '1h'
  const rangeMs = parseDuration(range) ?? 3_600_000
  const about = useAsync(
    async (signal) => {
      const [meta, sample] = await Promise.all([
        metadata(name.replace(/_(bucket|count|sum)$/, ''), 1, { signal }),
        queryInstant(`count(histogram_count(${selectorWith(name, '')}))`, Date.now(), { signal, uncounted: true }, 3_600_000).catch(() => undefined),
      ])
      const native = sample?.data.resultType === 'vector' && sample.data.result.length > 0
      return { meta: Object.values(meta.data)[0]?.[0], native }
    },
    [name],
  )
  const type = size?.type || about.data?.meta?.type || ''
  const kind = kindOf(name, type, about.data?.native ?? false)
  const grid = useMemo(() => {
    const stepMs = autoStep(rangeMs, points)
    const endMs = Math.floor(Date.now() / stepMs) * stepMs
    return { startMs: endMs - rangeMs, endMs, stepMs }
  }, [rangeMs])
  const window = duration(Math.max(300_000, 4 * grid.stepMs))
  const plots = plotsOf(name, kind, window, matchers, by)
  const explore = (expr: string[], extra: Record<string, string> = {}) => {
    const p = new URLSearchParams(extra)
    for (const e of expr) p.append('q', e)
    p.set('range', range)
    return p
  }
  const help = size?.help || about.data?.meta?.help
  return (
    <div class="view">
      <p>
        <button class="quiet back" onClick={() => onChange({ metric: '', with: '', by: '', range: '' })}>
          <Icon name="left" /> All metrics
        </button>
      </p>
      <div class="detail-head">
        <h1 class="mono">{name}</h1>
        <TypeChip type={type} />
        <span class="grow" />
        <a class="button primary" href={hrefOf('explore', explore([selectorWith(name, matchers)]))} onClick={(e) => follow(e, explore([selectorWith(name, matchers)]))}>
          <Icon name="play" /> Open in Explore
        </a>
      </div>
      {help && <p class="muted">{help}</p>}
      <Facts size={size} loading={loading} unit={size?.unit || about.data?.meta?.unit || ''} />
      <div class="toolbar">
        <div class="segmented" role="group" aria-label="Range">
          {ranges.map((r) => (
            <button key={r} aria-pressed={r === range} onClick={() => onChange({ range: r === '1h' ? '' : r }, true)}>
              {r}
            </button>
          ))}
        </div>
        {matchers && (
          <span class="chip filter">
            <code>{matchers}</code>
            <button class="quiet" aria-label="Remove the filter" onClick={() => onChange({ with: '' })}>
              <Icon name="close" />
            </button>
          </span>
        )}
        {by && (
          <span class="chip filter">
            by {by}
            <button class="quiet" aria-label={`Do not compare by ${by}`} onClick={() => onChange({ by: '' })}>
              <Icon name="close" />
            </button>
          </span>
        )}
      </div>
      <div class="minis">
        {about.loading && !about.data ? (
          <Loading what="the plots" cancel={about.cancel} />
        ) : (
          plots.map((p) => (
            <Small key={p.title} spec={p} grid={grid}>
              {(exprs) => (
                <a href={hrefOf('explore', explore(exprs))} onClick={(e) => follow(e, explore(exprs))}>
                  Explore
                </a>
              )}
            </Small>
          ))
        )}
      </div>
      {(kind === 'buckets' || kind === 'native') && about.data && (
        <p class="hint">
          <a
            href={hrefOf('explore', heat())}
            onClick={(e) => follow(e, heat())}
          >
            All its buckets as a heat map
          </a>
        </p>
      )}
      <LabelList name={name} matchers={matchers} by={by} onChange={onChange} />
    </div>
  )

  function heat(): URLSearchParams {
    const s = selectorWith(name, matchers)
    return explore([kind === 'native' ? `sum (rate(${s}[${window}]))` : `sum by (le) (rate(${s}[${window}]))`], { mode: 'heatmap' })
  }
}

function follow(e: MouseEvent, params: URLSearchParams): void {
  if (e.ctrlKey || e.metaKey || e.shiftKey || e.button !== 0) return
  e.preventDefault()
  go('explore', params)
}

function Facts({ size, loading, unit }: { size: Row | undefined; loading: boolean; unit: string }) {
  if (!size) return loading ? <p class="hint">Counting…</p> : <p class="note info">Nothing of this metric is stored, or not any more.</p>
  const tiers = size.tiers.map((t) => `${t.tier} ${bytes(t.bytes)}`).join(', ')
  return (
    <dl class="facts">
      <Fact title="Series" text={count(size.series)} more={size.headSeries > 0 ? `${count(size.headSeries)} in memory` : 'none in memory'} />
      <Fact title="Samples in blocks" text={short(size.samples)} more={size.samples > 0 ? `${short(size.bytes / size.samples)} bytes each` : ''} />
      <Fact title="Bytes" text={bytes(size.bytes)} more={tiers} />
      <Fact title="Newest in blocks" text={size.newestMs ? ago(size.newestMs, Date.now()) : '–'} more={size.newestMs ? dateTime(size.newestMs, 'local') : 'nothing is in blocks yet'} />
      <Fact title="Unit" text={unit || '–'} more="" />
      <Fact title="Queried" text={size.asked === undefined ? '–' : size.asked === 0 ? 'never' : `${count(size.asked)}×`} more={size.askedAtMs ? `last ${ago(size.askedAtMs, Date.now())}` : ''} />
    </dl>
  )
}

export function Fact({ title, text, more }: { title: string; text: string; more: string }) {
  return (
    <div>
      <dt>{title}</dt>
      <dd>
        <b>{text}</b>
        {more && <span class="hint">{more}</span>}
      </dd>
    </div>
  )
}

interface SmallProps {
  spec: PlotSpec
  /** Its name and what stands at its head, if not the title of the spec. */
  label?: string
  title?: ComponentChildren
  grid: { startMs: number; endMs: number; stepMs: number }
  children: (exprs: string[]) => ComponentChildren
}

/** A small plot of a spec. */
export function Small({ spec, label = spec.title, title, grid, children }: SmallProps) {
  const exprs = spec.queries.map((q) => q.expr)
  const answer = useAsync(
    async (signal) => {
      const begin = performance.now()
      const all = await Promise.all(exprs.map((e) => queryRange(e, grid, { signal, uncounted: true })))
      return { lines: linesFor(spec, all.map((a) => a.data.result), grid), warnings: [...new Set(all.flatMap((a) => a.warnings))], tookMs: performance.now() - begin }
    },
    [exprs.join('\n'), grid],
  )
  return (
    <section class="card small-plot" aria-label={label} aria-busy={answer.loading}>
      <header>
        <h2>{title ?? spec.title}</h2>
        <span class="grow" />
        {answer.data && <span class="hint">{took(answer.data.tookMs)}</span>}
        {children(exprs)}
      </header>
      {answer.error && <ErrorNote error={answer.error} retry={answer.reload} />}
      {!answer.data && answer.loading && <Loading what="the plot" cancel={answer.cancel} />}
      {answer.data && <MiniPlot times={timesOf(grid)} lines={answer.data.lines} label={spec.title} zone="local" />}
      {answer.data?.warnings.map((w) => (
        <p key={w} class="note warning">
          {w}
        </p>
      ))}
      <code class="expr">{exprs[0]}</code>
    </section>
  )
}

const maxLines = 12

function linesFor(spec: PlotSpec, results: RangeSeries[][], grid: SmallProps['grid']): MiniLine[] {
  const n = timesOf(grid).length
  if (spec.queries.length > 1) {
    return results.flatMap((r, i) => linesOf(r.slice(0, 1), i, grid, n).map((l) => ({ name: spec.queries[i]?.name ?? '', values: l.values })))
  }
  const lines = linesOf(results[0] ?? [], 0, grid, n)
  nameLines(lines, [spec.queries[0]?.name ?? ''])
  // Series that come and go among the largest would be more than can be told apart.
  return lines.sort((a, b) => (b.max ?? 0) - (a.max ?? 0)).slice(0, maxLines).map((l) => ({ name: Object.keys(l.labels as Labels).length > 0 ? Object.values(l.labels).join(', ') : (spec.queries[0]?.name ?? ''), values: l.values }))
}

function LabelList({ name, matchers, by, onChange }: { name: string; matchers: string; by: string; onChange: DetailProps['onChange'] }) {
  const match = [selectorWith(name, matchers)]
  const found = useAsync(
    async (signal) => {
      const names = (await labelNames({ match, limit: maxLabels + 1 }, { signal })).data.filter((n) => n !== '__name__')
      return Promise.all(names.slice(0, maxLabels).map(async (n) => ({ name: n, values: (await labelValues(n, { match, limit: maxValues }, { signal })).data })))
    },
    [match[0]],
  )
  return (
    <section aria-label="Labels">
      <h2 class="section-title">Labels</h2>
      {found.error && <ErrorNote error={found.error} retry={found.reload} />}
      {!found.data && found.loading && <Loading what="the labels" cancel={found.cancel} />}
      {found.data?.length === 0 && (
        <Empty title="No labels">
          <p>The metric is one series, without labels.</p>
        </Empty>
      )}
      {found.data && found.data.length > 0 && (
        <ul class="label-list card">
          {found.data
            .sort((a, b) => b.values.length - a.values.length)
            .map((l) => (
              <li key={l.name}>
                <div class="label-name">
                  <code>{l.name}</code>
                  <span class="hint">{l.values.length >= maxValues ? `${count(maxValues)} or more values` : plural(l.values.length, 'value')}</span>
                  {l.values.length > 1 && l.name !== 'le' && (
                    <button class="small" aria-pressed={by === l.name} onClick={() => onChange({ by: by === l.name ? '' : l.name })}>
                      Compare
                    </button>
                  )}
                </div>
                <div class="label-values">
                  {l.values.slice(0, shownValues).map((v) => (
                    <button key={v} class="chip mono" title={`Only ${l.name}=${quote(v)}`} onClick={() => onChange({ with: [matchers, `${labelName(l.name)}=${quote(v)}`].filter(Boolean).join(', ') })}>
                      {v || '""'}
                    </button>
                  ))}
                  {l.values.length > shownValues && <span class="hint">and {count(l.values.length - shownValues)} more</span>}
                </div>
              </li>
            ))}
        </ul>
      )}
    </section>
  )
}
