/** Metrics: what is stored, without a query. */
import { useEffect, useMemo, useState } from 'preact/hooks'
import { metricSizes, nameStats, type MetricSize } from '../../api/status'
import { queryInstant } from '../../api/query'
import { CommitField } from '../../components/commitfield'
import { Grid, type Column } from '../../components/grid'
import { FirstSample } from '../../components/firstsample'
import { Icon } from '../../components/icon'
import { Empty, ErrorNote, Loading } from '../../components/states'
import { ago, bytes, count, dateTime, short } from '../../lib/format'
import { change, go } from '../../lib/router'
import { useAsync } from '../../lib/useAsync'
import type { ViewProps } from '..'
import { Detail } from './detail'
import { Gallery } from './gallery'
import { eachOf } from './kinds'

export interface Row extends MetricSize {
  /** How often queries asked for it; undefined = not known. */
  asked: number | undefined
  askedAtMs: number
}

export default function Metrics({ params }: ViewProps) {
  const matchers = params.get('filter') ?? ''
  const metric = params.get('metric') ?? ''
  const list = useAsync(
    async (signal) => {
      const [sizes, stats] = await Promise.all([metricSizes(matchers ? [`{${matchers}}`] : [], { signal }), nameStats({ signal }).catch(() => undefined)])
      const asked = new Map(stats?.data.records.map((r) => [r.metricName, r]))
      const rows = sizes.data.metrics.map((m): Row => ({ ...m, asked: stats ? (asked.get(m.name)?.requestsCount ?? 0) : undefined, askedAtMs: (asked.get(m.name)?.lastRequestTimestamp ?? 0) * 1000 }))
      return { ...sizes.data, rows, sinceMs: (stats?.data.statsCollectedSince ?? 0) * 1000, warnings: sizes.warnings }
    },
    [matchers],
  )
  if (metric) {
    return <Detail key={metric} name={metric} size={list.data?.rows.find((r) => r.name === metric)} loading={list.loading} params={params} onChange={(set, replace) => change('metrics', set, replace)} />
  }
  return (
    <div class="view">
      <h1>Metrics</h1>
      <Filters params={params} types={[...new Set(list.data?.rows.map((r) => r.type || 'unknown'))].sort()} />
      {list.error && <ErrorNote error={list.error} retry={list.reload} />}
      {list.loading && !list.data && <Loading what="the metrics" cancel={list.cancel} />}
      {list.data && <List {...list.data} params={params} />}
    </div>
  )
}

function Filters({ params, types }: ViewProps & { types: string[] }) {
  const never = params.get('never') === '1'
  return (
    <form class="toolbar filters" onSubmit={(e) => e.preventDefault()} role="search">
      <label class="search-field">
        <Icon name="search" />
        <span class="visually-hidden">Name or help contains</span>
        <input type="search" placeholder="Name or help contains…" value={params.get('q') ?? ''} onInput={(e) => change('metrics', { q: e.currentTarget.value }, true)} />
      </label>
      <label class="inline-field stretch">
        <span>Labels</span>
        <CommitField class="mono" placeholder='job="node", instance=~"web.*"' value={params.get('filter') ?? ''} commit={(text) => change('metrics', { filter: text.replace(/^\{|\}$/g, '') })} />
      </label>
      <label class="inline-field">
        <span>Type</span>
        <select value={params.get('type') ?? ''} onChange={(e) => change('metrics', { type: e.currentTarget.value })}>
          <option value="">all</option>
          {types.map((t) => (
            <option key={t} value={t}>
              {t}
            </option>
          ))}
        </select>
      </label>
      <label class="check">
        <input type="checkbox" checked={never} onChange={() => change('metrics', { never: never ? '' : '1' })} /> Never queried
      </label>
      <div class="segmented" role="group" aria-label="Form of the list">
        {(['', '1'] as const).map((v) => (
          <button key={v} type="button" aria-pressed={(params.get('plots') ?? '') === v} onClick={() => change('metrics', { plots: v })}>
            {v ? 'Plots' : 'Table'}
          </button>
        ))}
      </div>
    </form>
  )
}

interface ListProps extends ViewProps {
  rows: Row[]
  totalMetrics: number
  totalBytes: number
  sinceMs: number
  warnings: string[]
}

function List({ rows, totalMetrics, totalBytes, sinceMs, warnings, params }: ListProps) {
  const text = (params.get('q') ?? '').toLowerCase()
  const type = params.get('type') ?? ''
  const never = params.get('never') === '1'
  const found = useMemo(
    () => rows.filter((r) => (!text || r.name.toLowerCase().includes(text) || r.help.toLowerCase().includes(text)) && (!type || (r.type || 'unknown') === type) && (!never || r.asked === 0)),
    [rows, text, type, never],
  )
  const [shown, setShown] = useState<Row[]>([])
  const live = useLive(shown)
  const series = found.reduce((n, r) => n + r.series, 0)
  const size = found.reduce((n, r) => n + r.bytes, 0)
  const link = (name: string) => (
    <a href={`metrics?metric=${encodeURIComponent(name)}`} class="mono" onClick={(e) => open(e, name)}>
      {name || 'series without a name'}
    </a>
  )
  const columns: Column<Row>[] = [
    {
      key: 'name',
      title: 'Metric',
      class: 'metric-name',
      sort: (r) => r.name,
      cell: (r) => (
        <>
          {link(r.name)}
          {r.help && <div class="help">{r.help}</div>}
        </>
      ),
    },
    { key: 'type', title: 'Type', sort: (r) => r.type, cell: (r) => <TypeChip type={r.type} /> },
    { key: 'unit', title: 'Unit', class: 'wide', sort: (r) => r.unit, cell: (r) => r.unit || <span class="muted">–</span> },
    { key: 'series', title: 'Series', number: true, sort: (r) => r.series, cell: (r) => count(r.series) },
    {
      key: 'rate',
      title: 'Samples/s',
      hint: 'Samples per second, over the last five minutes',
      number: true,
      cell: (r) => <Live value={live.get(r.name)?.rate} known={live.has(r.name)} format={short} />,
    },
    { key: 'bytes', title: 'Bytes', hint: 'In blocks, of all tiers together, without their index', number: true, sort: (r) => r.bytes, cell: (r) => bytes(r.bytes) },
    {
      key: 'seen',
      title: 'Last seen',
      number: true,
      sort: (r) => (r.headSeries > 0 ? Date.now() : r.newestMs),
      cell: (r) => {
        const seenMs = live.get(r.name)?.seenMs || r.newestMs
        return seenMs ? <span title={dateTime(seenMs, 'local')}>{ago(seenMs, Date.now())}</span> : <Live value={undefined} known={live.has(r.name)} format={short} />
      },
    },
    {
      key: 'asked',
      title: 'Queried',
      hint: sinceMs ? `Since ${dateTime(sinceMs, 'local')}` : '',
      number: true,
      sort: (r) => r.asked ?? -1,
      cell: (r) => (r.asked === undefined ? '–' : r.asked === 0 ? <span class="muted">never</span> : <span title={`last ${ago(r.askedAtMs, Date.now())}`}>{count(r.asked)}×</span>),
    },
  ]
  function open(e: MouseEvent, name: string) {
    if (e.ctrlKey || e.metaKey || e.shiftKey || e.button !== 0) return
    e.preventDefault()
    change('metrics', { metric: name })
    scrollTo(0, 0)
  }
  return (
    <>
      <p class="summary" role="status">
        <b>{count(found.length)}</b> {found.length === 1 ? 'metric' : 'metrics'}
        {found.length < totalMetrics && ` of ${count(totalMetrics)}`} · <b>{count(series)}</b> series · <b>{bytes(size)}</b>
        {size < totalBytes && ` of ${bytes(totalBytes)}`}
      </p>
      {totalMetrics > rows.length && <p class="note info">The {count(rows.length)} metrics with the most bytes are listed. Filter by labels, such as __name__=~"node_.*", to find others.</p>}
      {warnings.map((w) => (
        <p key={w} class="note warning">
          {w}
        </p>
      ))}
      {found.length > 0 ? (
        params.get('plots') ? (
          <Gallery rows={found} maxSeries={maxLiveSeries} link={link} />
        ) : (
          <div class="card table-card">
            <Grid label="Metrics" columns={columns} rows={found} id={(r) => r.name} by="name" onShown={setShown} />
          </div>
        )
      ) : rows.length === 0 && !params.get('filter') ? (
        <Empty title="Nothing is stored yet">
          <FirstSample />
        </Empty>
      ) : (
        <Empty title="No metric is like that">
          <p>{never ? 'Every metric that fits has been queried.' : 'Try a part of a name, or fewer conditions.'}</p>
          <button onClick={() => go('metrics')}>Show all metrics</button>
        </Empty>
      )}
    </>
  )
}

export function TypeChip({ type }: { type: string }) {
  return <span class={`chip type ${type || 'unknown'}`}>{type || 'unknown'}</span>
}

function Live({ value, known, format }: { value: number | undefined; known: boolean; format: (v: number) => string }) {
  if (value !== undefined) return <>{format(value)}</>
  return <span class="muted">{known ? '–' : '…'}</span>
}

interface LiveFacts {
  rate?: number
  seenMs?: number
}

const rowsAtOnce = 50
/** Metrics of more series are not read for a row of a list. */
const maxLiveSeries = 50_000
const recentMs = 600_000

/** Samples a second and the last sample of the rows in sight. */
function useLive(rows: Row[]): Map<string, LiveFacts> {
  const [facts, setFacts] = useState<Map<string, LiveFacts>>(new Map())
  const wanted = rows.filter((r) => !facts.has(r.name)).slice(0, rowsAtOnce)
  useEffect(() => {
    if (wanted.length === 0) return
    const c = new AbortController()
    const now = Date.now()
    const read = wanted.filter((r) => r.name && r.series <= maxLiveSeries && (r.headSeries > 0 || now - r.newestMs < recentMs)).map((r) => r.name)
    const found = new Map<string, LiveFacts>(wanted.map((r) => [r.name, {}]))
    const ask = async (of: (s: string) => string, put: (f: LiveFacts, v: number) => void, lookbackMs?: number) => {
      if (read.length === 0) return
      const a = await queryInstant(eachOf(read, of), now, { signal: c.signal, uncounted: true }, lookbackMs)
      if (a.data.resultType !== 'vector') return
      for (const s of a.data.result) put(found.get(read[Number(s.metric['row'])] ?? '') ?? {}, Number(s.value?.[1]))
    }
    void Promise.allSettled([
      ask((s) => `sum(count_over_time(${s}[5m])) / 300`, (f, v) => (f.rate = v)),
      ask((s) => `max(timestamp(${s}))`, (f, v) => (f.seenMs = v * 1000), 3_600_000),
    ]).then(() => {
      if (!c.signal.aborted) setFacts((old) => new Map([...old, ...found]))
    })
    return () => c.abort()
  }, [wanted.map((r) => r.name).join('\n')])
  return facts
}
