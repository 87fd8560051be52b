/** Cardinality: which metrics, labels and values make the series, what grows, and how to stop it. */
import { useEffect, useState } from 'preact/hooks'
import { useAccess } from '../../api/access'
import { cardinality, dailyCounts, type CountedDay } from '../../api/status'
import { CommitField } from '../../components/commitfield'
import type { MenuItem } from '../../components/popover'
import { Empty, ErrorNote, Loading } from '../../components/states'
import { ago, count, plural } from '../../lib/format'
import { change, go } from '../../lib/router'
import { useAsync } from '../../lib/useAsync'
import type { ViewProps } from '..'
import { DeleteDialog, RuleDialog } from './act'
import { Days } from './days'
import { dayBefore, matcherOf, pairOf, withMatcher, type Subject } from './rules'
import { calendar, countedTables, keptTables, type Order, type Tables } from './source'
import { Delta, Top } from './top'

const maxRows = 200
/** Rows of the day before: more, so that what has grown past others is found there. */
const rowsBefore = 1000
const spans = ['14', '28', '90']
const orders: Order[] = ['size', 'day', 'span']

export default function Cardinality({ params }: ViewProps) {
  const today = new Date().toISOString().slice(0, 10)
  const days = spans.includes(params.get('days') ?? '') ? Number(params.get('days')) : 14
  const date = params.get('date') ?? today
  const all = date === 'all'
  const filter = params.get('filter') ?? ''
  const focus = params.get('focus') ?? ''
  const order = orders.find((o) => o === params.get('sort')) ?? 'size'
  const match = filter ? [`{${filter}}`] : []
  const history = useAsync((signal) => dailyCounts('', days, 1, { signal }), [days])
  const [anew, setAnew] = useState(0)
  useEffect(() => setAnew(0), [date, filter, focus, days])
  // What is kept comes at once and from an overloaded server; it has no filter, no focus label, and not all times.
  const counts = useAsync(
    async (signal) => {
      if (!all && !filter && !focus && anew === 0) {
        const kept = await dailyCounts(date, days, maxRows, { signal })
        const tables = keptTables(kept.data, date)
        if (tables) return { tables, day: kept.data.days[0], warnings: kept.warnings }
      }
      const of = (d: string, topN: number) => cardinality({ date: d, match, focusLabel: focus, topN }, { signal })
      const [now, before] = await Promise.all([of(all ? '' : date, maxRows), all ? undefined : of(dayBefore(date), rowsBefore)])
      return { tables: countedTables(now.data, before?.data, rowsBefore), day: undefined, warnings: [...now.warnings, ...(before?.warnings ?? [])] }
    },
    [date, filter, focus, days, anew],
  )
  const of = filter || anew > 0 ? undefined : (counts.data?.day ?? history.data?.data.days.find((d) => d.date === date))
  return (
    <div class="view">
      <h1>Cardinality</h1>
      <Controls params={params} date={date} today={today} days={days} order={order} labels={counts.data?.tables.labels.map((l) => l.name) ?? []} />
      {counts.error && <ErrorNote error={counts.error} retry={counts.reload} />}
      {counts.error && (filter || focus || all || anew > 0) && (
        <p class="hint">
          Counting reads the index of every block. What is kept of each day needs no counting:{' '}
          <button
            class="small"
            onClick={() => {
              setAnew(0)
              change('cardinality', { filter: '', focus: '', date: all ? '' : (params.get('date') ?? '') })
            }}
          >
            Show what is kept
          </button>
        </p>
      )}
      {counts.data && <Total tables={counts.data.tables} day={of} date={date} />}
      {counts.data?.day && <Counted day={counts.data.day} onAnew={() => setAnew(anew + 1)} busy={counts.loading} />}
      <section class="card days-card" aria-label="Series of each day" aria-busy={history.loading}>
        <header class="row">
          <h2>Series of each day</h2>
          <span class="grow" />
          <div class="segmented" role="group" aria-label="Days shown">
            {spans.map((s) => (
              <button key={s} aria-pressed={Number(s) === days} onClick={() => change('cardinality', { days: s === '14' ? '' : s })}>
                {s} days
              </button>
            ))}
          </div>
        </header>
        {history.error && <ErrorNote error={history.error} retry={history.reload} />}
        {history.loading && !history.data && <Loading what="the days" cancel={history.cancel} />}
        {history.data && <Days days={calendar(history.data.data.days, today, days)} chosen={date} onChoose={(d) => change('cardinality', { date: d === today ? '' : d })} />}
        {history.data && history.data.data.days.length === 0 && <p class="hint">No day is counted yet. The server does it in the background, within a minute after the first samples.</p>}
        {history.data && history.data.data.waitingDays > 0 && <p class="hint">The server still counts {plural(history.data.data.waitingDays, 'day')}, the newest first.</p>}
      </section>
      {counts.loading && !counts.data && <Loading what="the counts" cancel={counts.cancel} />}
      {counts.data &&
        (counts.data.tables.series === 0 ? (
          <Nothing filter={filter} onAll={() => change('cardinality', { filter: '', date: 'all' })} />
        ) : (
          <All {...counts.data} order={order} focus={focus} filter={filter} onChanged={() => setAnew(anew + 1)} />
        ))}
    </div>
  )
}

/** When the counts were made. */
function Counted({ day, onAnew, busy }: { day: CountedDay; onAnew: () => void; busy: boolean }) {
  return (
    <p class="hint">
      Counted {ago(Date.parse(day.counted), Date.now())}
      {day.running ? '; the day is not over' : ''}. <button class="small" onClick={onAnew} disabled={busy}>Count now</button>
    </p>
  )
}

function Nothing({ filter, onAll }: { filter: string; onAll: () => void }) {
  return (
    <Empty title="No series">
      <p>{filter ? 'No series of this day is like that.' : 'No series has samples on this day.'}</p>
      <button onClick={onAll}>Show all times</button>
    </Empty>
  )
}

interface ControlsProps extends ViewProps {
  date: string
  today: string
  days: number
  order: Order
  labels: string[]
}

function Controls({ params, date, today, days, order, labels }: ControlsProps) {
  const dates = Array.from({ length: days }, (_, i) => dayBefore(today, i))
  if (date !== 'all' && !dates.includes(date)) dates.push(date)
  return (
    <form class="toolbar filters" onSubmit={(e) => e.preventDefault()}>
      <label class="inline-field">
        <span>Day</span>
        <select value={date} onChange={(e) => change('cardinality', { date: e.currentTarget.value === today ? '' : e.currentTarget.value })}>
          {dates.map((d, i) => (
            <option key={d} value={d}>
              {i === 0 ? 'today' : i === 1 ? 'yesterday' : d}
            </option>
          ))}
          <option value="all">all times</option>
        </select>
      </label>
      <label class="inline-field stretch">
        <span>Only</span>
        <CommitField class="mono" placeholder='job="node"' value={params.get('filter') ?? ''} commit={(filter) => change('cardinality', { filter: filter.replace(/^\{|\}$/g, '') })} />
      </label>
      <label class="inline-field">
        <span>Focus label</span>
        <CommitField class="mono" list="focus-labels" placeholder="pod" value={params.get('focus') ?? ''} commit={(focus) => change('cardinality', { focus })} />
        <datalist id="focus-labels">
          {labels.map((l) => (
            <option key={l} value={l} />
          ))}
        </datalist>
      </label>
      <button type="submit">Count</button>
      <label class="inline-field">
        <span>Sort by</span>
        <select value={order} onChange={(e) => change('cardinality', { sort: e.currentTarget.value === 'size' ? '' : e.currentTarget.value })}>
          <option value="size">size</option>
          <option value="day">growth since the day before</option>
          <option value="span">growth in {days} days</option>
        </select>
      </label>
    </form>
  )
}

const minus = (now: number, before: number | undefined) => (before === undefined ? undefined : now - before)

function Total({ tables, day, date }: { tables: Tables; day: CountedDay | undefined; date: string }) {
  return (
    <dl class="facts">
      <div>
        <dt>Series{date === 'all' ? ' of all times' : ''}</dt>
        <dd>
          <b>
            {count(tables.series)} <Delta by={minus(tables.series, tables.seriesBefore)} />
          </b>
          {tables.seriesBefore !== undefined && <span class="hint">{count(tables.seriesBefore)} the day before</span>}
        </dd>
      </div>
      {day && (
        <div>
          <dt>New on the day</dt>
          <dd>
            <b>{count(day.new)}</b>
            <span class="hint">{day.series > 0 ? `${Math.round((day.new / day.series) * 100)} % had no samples the day before` : ''}</span>
          </dd>
        </div>
      )}
      {day && (
        <div>
          <dt>Gone since the day before</dt>
          <dd>
            <b>{count(day.gone)}</b>
          </dd>
        </div>
      )}
      <div>
        <dt>Pairs of label and value</dt>
        <dd>
          <b>
            {count(tables.pairs)} <Delta by={minus(tables.pairs, tables.pairsBefore)} />
          </b>
        </dd>
      </div>
    </dl>
  )
}

interface AllProps {
  tables: Tables
  day: CountedDay | undefined
  warnings: string[]
  order: Order
  focus: string
  filter: string
  onChanged: () => void
}

function All({ tables, day, warnings, order, focus, filter, onChanged }: AllProps) {
  const { admin } = useAccess()
  const [rule, setRule] = useState<Subject>()
  const [removal, setRemoval] = useState<Subject>()
  const narrow = (s: Subject) => change('cardinality', { filter: withMatcher(filter, matcherOf(s)) })
  const actions = (s: Subject): (MenuItem | null)[] => [
    { text: 'Count only these', run: () => narrow(s) },
    ...(s.kind === 'label' ? [{ text: 'Focus on its values', run: () => change('cardinality', { focus: s.name }) }] : []),
    ...(s.kind === 'metric' ? [{ text: 'Look at the metric', run: () => go('metrics', new URLSearchParams({ metric: s.name })) }] : []),
    { text: 'Count over time in Explore', run: () => go('explore', new URLSearchParams({ q: `count({${matcherOf(s)}})`, range: '1d' })) },
    null,
    { text: 'Relabel rule…', run: () => setRule(s) },
    ...(admin && s.kind !== 'label' ? [{ text: 'Delete…', run: () => setRemoval(s) }] : []),
  ]
  const metric = (name: string): Subject => ({ kind: 'metric', name })
  const label = (name: string): Subject => ({ kind: 'label', name })
  const top = { order, actions }
  return (
    <>
      {warnings.map((w) => (
        <p key={w} class="note warning">
          {w}
        </p>
      ))}
      <div class="tables">
        {tables.focus && <Top {...top} title={`Series by value of ${focus}`} unit="series" rows={tables.focus} total={tables.series} subject={(value) => ({ kind: 'pair', name: focus, value })} />}
        <Top {...top} title="Series by metric" unit="series" rows={tables.metrics} total={tables.series} subject={metric} />
        <Top {...top} title="Values by label" unit="values" rows={tables.values} total={tables.pairs} subject={label} />
        <Top {...top} title="Series by label and value" unit="series" rows={tables.pairRows} total={tables.series} subject={pairOf} />
        <Top {...top} title="Series by label" unit="series" rows={tables.labels} total={tables.series} subject={label} />
        {day && day.new > 0 && (
          <>
            <Top {...top} order="size" title="New series by metric" unit="new series" rows={tables.newMetrics} total={day.new} subject={metric} />
            <Top {...top} order="size" title="New values by label" hint="The first label mostly causes the churn" unit="new values" rows={tables.newValues} total={0} subject={label} />
          </>
        )}
      </div>
      {rule && <RuleDialog subject={rule} onClose={() => setRule(undefined)} />}
      {removal && (
        <DeleteDialog
          subject={removal}
          filter={filter}
          onClose={(deleted) => {
            setRemoval(undefined)
            if (deleted) onChanged()
          }}
        />
      )}
    </>
  )
}
