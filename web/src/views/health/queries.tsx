/** The queries that run, which an administrator can end, and those that cost most. */
import { useState } from 'preact/hooks'
import { useAccess } from '../../api/access'
import { asApiError } from '../../api/client'
import { activeQueries, cancelQuery, topQueries, type RunningQuery, type TopOrder, type TopQuery } from '../../api/status'
import { Grid, type Column } from '../../components/grid'
import { Icon } from '../../components/icon'
import { ErrorNote, Loading } from '../../components/states'
import { toast } from '../../components/toast'
import { ago, count, duration, short, took } from '../../lib/format'
import { go, hrefOf } from '../../lib/router'
import { useAsync } from '../../lib/useAsync'
import { usePoll } from '../../lib/usePoll'
import { Card } from './facts'

const orders: [TopOrder, string][] = [
  ['duration', 'Time'],
  ['frequency', 'Number'],
  ['samples', 'Samples'],
]

function Expr({ query }: { query: string }) {
  const params = new URLSearchParams({ q: query })
  return (
    <a
      class="mono clamp"
      title={query.length > 200 ? query : undefined}
      href={hrefOf('explore', params)}
      onClick={(e) => {
        if (e.ctrlKey || e.metaKey || e.shiftKey || e.button !== 0) return
        e.preventDefault()
        go('explore', params)
      }}
    >
      {query}
    </a>
  )
}

export function Queries() {
  return (
    <>
      <Running />
      <Top />
    </>
  )
}

function Running() {
  const { admin } = useAccess()
  const running = useAsync((signal) => activeQueries({ signal }), [])
  usePoll(running.reload, 2000)
  const cancel = async (q: RunningQuery) => {
    try {
      await cancelQuery(q.id)
      toast('The query is cancelled')
    } catch (e) {
      toast(asApiError(e).message)
    }
    running.reload()
  }
  const list = running.data?.data.queries ?? []
  return (
    <Card title="Running queries" side={running.data && running.data.data.waiting > 0 && <span class="hint">{count(running.data.data.waiting)} wait for a place</span>}>
      {running.error && <ErrorNote error={running.error} retry={running.reload} />}
      {!running.data && running.loading && <Loading what="the queries" />}
      {running.data && list.length === 0 && <p class="hint pad">No query runs at the moment.</p>}
      <ul class="running">
        {list.map((q) => (
          <li key={q.id}>
            <div class="running-text">
              <Expr query={q.query} />
              <p class="hint">
                for {took(q.seconds * 1000)} · {q.step > 0 ? `${duration(Math.max(Date.parse(q.end) - Date.parse(q.start), 1))} in steps of ${duration(q.step * 1000)}` : 'at one time'} · {q.door}
                {q.client && ` from ${q.client}`}
              </p>
            </div>
            {admin && (
              <button class="small" onClick={() => void cancel(q)}>
                <Icon name="stop" /> Cancel
              </button>
            )}
          </li>
        ))}
      </ul>
    </Card>
  )
}

const columns: Column<TopQuery>[] = [
  { key: 'query', title: 'Query', class: 'metric-name', cell: (q) => <><Expr query={q.query} />{q.background && <span class="hint"> asked by the page</span>}</> },
  { key: 'count', title: 'Runs', number: true, sort: (q) => q.count, cell: (q) => count(q.count) },
  { key: 'total', title: 'Total', number: true, sort: (q) => q.totalSeconds, cell: (q) => took(q.totalSeconds * 1000) },
  { key: 'longest', title: 'Longest', number: true, sort: (q) => q.longestSeconds, cell: (q) => took(q.longestSeconds * 1000) },
  { key: 'samples', title: 'Samples', number: true, sort: (q) => q.samplesRead, cell: (q) => short(q.samplesRead) },
  { key: 'series', title: 'Series', hint: 'Of the last answer', number: true, sort: (q) => q.series, cell: (q) => count(q.series) },
  { key: 'errors', title: 'Failed', number: true, sort: (q) => q.errors, cell: (q) => (q.errors > 0 ? <span class="delta up">{count(q.errors)}</span> : <span class="muted">0</span>) },
  { key: 'last', title: 'Last', number: true, sort: (q) => Date.parse(q.last), cell: (q) => ago(Date.parse(q.last), Date.now()) },
]

function Top() {
  const [by, setBy] = useState<TopOrder>('duration')
  const [background, setBackground] = useState(false)
  const top = useAsync((signal) => topQueries(by, background, { signal }), [by, background])
  return (
    <Card
      title="Top queries since the start"
      side={
        <>
          <label class="check">
            <input type="checkbox" checked={background} onChange={() => setBackground(!background)} /> Those of the page itself, too
          </label>
          <div class="segmented" role="group" aria-label="Those with the most">
            {orders.map(([o, text]) => (
              <button key={o} aria-pressed={o === by} onClick={() => setBy(o)}>
                {text}
              </button>
            ))}
          </div>
        </>
      }
    >
      {top.error && <ErrorNote error={top.error} retry={top.reload} />}
      {!top.data && top.loading && <Loading what="the queries" />}
      {top.data && (top.data.data.length > 0 ? <Grid label="Table of queries" columns={columns} rows={top.data.data} id={(q) => `${q.background} ${q.query}`} /> : <p class="hint pad">Nobody has asked anything since the start.</p>)}
    </Card>
  )
}
