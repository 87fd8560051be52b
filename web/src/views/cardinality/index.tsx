/** Cardinality: which metrics, labels and values make the series, what grows, and how to stop it. */
import { useEffect, useMemo, useState } from 'preact/hooks'
import { useAccess } from '../../api/access'
import { cardinality, churn, type Cardinality as Counts, type ChurnDay, type NameCount } from '../../api/status'
import { Menu, type MenuItem } from '../../components/popover'
import { Empty, ErrorNote, Loading } from '../../components/states'
import { count, plural } from '../../lib/format'
import { go } from '../../lib/router'
import { useAsync } from '../../lib/useAsync'
import type { ViewProps } from '..'
import { DeleteDialog, RuleDialog } from './act'
import { Days } from './days'
import { dayBefore, matcherOf, pairOf, withMatcher, type Subject } from './rules'

const rowsShown = 10
const maxRows = 100
/** Rows of the day before: more, so that what has grown past others is found there. */
const rowsBefore = 1000
const spans = ['14', '28', '90']

function change(params: URLSearchParams, set: Record<string, string>): void {
  const next = new URLSearchParams(params)
  for (const [k, v] of Object.entries(set)) {
    if (v) next.set(k, v)
    else next.delete(k)
  }
  go('cardinality', next)
}

export default function Cardinality({ params }: ViewProps) {
  const today = new Date().toISOString().slice(0, 10)
  const days = spans.includes(params.get('days') ?? '') ? Number(params.get('days')) : 14
  const date = params.get('date') ?? today
  const all = date === 'all'
  const filter = params.get('filter') ?? ''
  const focus = params.get('focus') ?? ''
  const match = filter ? [`{${filter}}`] : []
  const history = useAsync((signal) => churn(days, 20, { signal }), [days])
  const counts = useAsync(
    async (signal) => {
      const of = (d: string, topN: number) => cardinality({ date: d, match, focusLabel: focus, topN }, { signal })
      const [now, before] = await Promise.all([of(all ? '' : date, maxRows), all ? undefined : of(dayBefore(date), rowsBefore)])
      return { now: now.data, before: before?.data, warnings: [...now.warnings, ...(before?.warnings ?? [])] }
    },
    [date, filter, focus],
  )
  const day = filter ? undefined : history.data?.data.days.find((d) => d.date === date)
  return (
    <div class="view">
      <h1>Cardinality</h1>
      <Controls params={params} date={date} today={today} days={days} labels={counts.data?.now.seriesCountByLabelName.map((l) => l.name) ?? []} />
      {counts.error && <ErrorNote error={counts.error} retry={counts.reload} />}
      {counts.data && <Total now={counts.data.now} before={counts.data.before} day={day} date={date} />}
      <section class="card days-card" aria-label="Series of each day" aria-busy={history.loading}>
        <header class="row">
          <h2>Series of each day</h2>
          <span class="grow" />
          <div class="segmented" role="group" aria-label="Days shown">
            {spans.map((s) => (
              <button key={s} aria-pressed={Number(s) === days} onClick={() => change(params, { days: s === '14' ? '' : s })}>
                {s} days
              </button>
            ))}
          </div>
        </header>
        {history.error && <ErrorNote error={history.error} retry={history.reload} />}
        {history.loading && !history.data && <Loading what="the days" cancel={history.cancel} />}
        {history.data && <Days days={[...history.data.data.days].reverse()} chosen={date} onChoose={(d) => change(params, { date: d === today ? '' : d })} />}
      </section>
      {counts.loading && !counts.data && <Loading what="the counts" cancel={counts.cancel} />}
      {counts.data &&
        (counts.data.now.totalSeries === 0 ? (
          <Nothing filter={filter} onAll={() => change(params, { filter: '', date: 'all' })} />
        ) : (
          <Tables {...counts.data} params={params} focus={focus} filter={filter} day={day} onChanged={counts.reload} />
        ))}
    </div>
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
  labels: string[]
}

function Controls({ params, date, today, days, labels }: ControlsProps) {
  const [filter, setFilter] = useState(params.get('filter') ?? '')
  const [focus, setFocus] = useState(params.get('focus') ?? '')
  useEffect(() => setFilter(params.get('filter') ?? ''), [params.get('filter')])
  useEffect(() => setFocus(params.get('focus') ?? ''), [params.get('focus')])
  const apply = (e: Event) => {
    e.preventDefault()
    change(params, { filter: filter.trim().replace(/^\{|\}$/g, ''), focus: focus.trim() })
  }
  const dates = Array.from({ length: days }, (_, i) => dayBefore(today, i))
  if (date !== 'all' && !dates.includes(date)) dates.push(date)
  return (
    <form class="toolbar filters" onSubmit={apply}>
      <label class="inline-field">
        <span>Day</span>
        <select value={date} onChange={(e) => change(params, { date: e.currentTarget.value === today ? '' : e.currentTarget.value })}>
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
        <input class="mono" placeholder='job="node"' value={filter} onInput={(e) => setFilter(e.currentTarget.value)} onBlur={apply} />
      </label>
      <label class="inline-field">
        <span>Focus label</span>
        <input class="mono" list="focus-labels" placeholder="pod" value={focus} onInput={(e) => setFocus(e.currentTarget.value)} onBlur={apply} />
        <datalist id="focus-labels">
          {labels.map((l) => (
            <option key={l} value={l} />
          ))}
        </datalist>
      </label>
      <button type="submit">Count</button>
    </form>
  )
}

/** A difference to the day before, with its sign. */
function Delta({ now, before }: { now: number; before: number | undefined }) {
  if (before === undefined) return null
  const d = now - before
  if (d === 0) return <span class="delta muted">±0</span>
  return <span class={d > 0 ? 'delta up' : 'delta down'}>{d > 0 ? `+${count(d)}` : `−${count(-d)}`}</span>
}

function Total({ now, before, day, date }: { now: Counts; before: Counts | undefined; day: ChurnDay | undefined; date: string }) {
  return (
    <dl class="facts">
      <div>
        <dt>Series{date === 'all' ? ' of all times' : ''}</dt>
        <dd>
          <b>
            {count(now.totalSeries)} <Delta now={now.totalSeries} before={before?.totalSeries} />
          </b>
          {before && <span class="hint">{count(before.totalSeries)} the day before</span>}
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
            {count(now.totalLabelValuePairs)} <Delta now={now.totalLabelValuePairs} before={before?.totalLabelValuePairs} />
          </b>
        </dd>
      </div>
    </dl>
  )
}

interface TablesProps {
  now: Counts
  before: Counts | undefined
  warnings: string[]
  params: URLSearchParams
  focus: string
  filter: string
  day: ChurnDay | undefined
  onChanged: () => void
}

function Tables({ now, before, warnings, params, focus, filter, day, onChanged }: TablesProps) {
  const { admin } = useAccess()
  const [rule, setRule] = useState<Subject>()
  const [removal, setRemoval] = useState<Subject>()
  const narrow = (s: Subject) => change(params, { filter: withMatcher(filter, matcherOf(s)) })
  const actions = (s: Subject): (MenuItem | null)[] => [
    { text: 'Count only these', run: () => narrow(s) },
    ...(s.kind === 'label' ? [{ text: 'Focus on its values', run: () => change(params, { focus: s.name }) }] : []),
    ...(s.kind === 'metric' ? [{ text: 'Look at the metric', run: () => go('metrics', new URLSearchParams({ metric: s.name })) }] : []),
    { text: 'Count over time in Explore', run: () => go('explore', new URLSearchParams({ q: `count({${matcherOf(s)}})`, range: '1d' })) },
    null,
    { text: 'Relabel rule…', run: () => setRule(s) },
    ...(admin && s.kind !== 'label' ? [{ text: 'Delete…', run: () => setRemoval(s) }] : []),
  ]
  const metric = (name: string): Subject => ({ kind: 'metric', name })
  const label = (name: string): Subject => ({ kind: 'label', name })
  const of = now.totalSeries
  return (
    <>
      {warnings.map((w) => (
        <p key={w} class="note warning">
          {w}
        </p>
      ))}
      <div class="tables">
        {now.seriesCountByFocusLabelValue && (
          <Top title={`Series by value of ${focus}`} unit="series" rows={now.seriesCountByFocusLabelValue} before={before && (before.seriesCountByFocusLabelValue ?? [])} total={of} subject={(value) => ({ kind: 'pair', name: focus, value })} actions={actions} />
        )}
        <Top title="Series by metric" unit="series" rows={now.seriesCountByMetricName} before={before?.seriesCountByMetricName} total={of} subject={metric} actions={actions} />
        <Top title="Values by label" unit="values" rows={now.labelValueCountByLabelName} before={before?.labelValueCountByLabelName} total={now.totalLabelValuePairs} subject={label} actions={actions} />
        <Top title="Series by label and value" unit="series" rows={now.seriesCountByLabelValuePair} before={before?.seriesCountByLabelValuePair} total={of} subject={pairOf} actions={actions} />
        <Top title="Series by label" unit="series" rows={now.seriesCountByLabelName} before={before?.seriesCountByLabelName} total={of} subject={label} actions={actions} />
        {day && day.new > 0 && (
          <>
            <Top title="New series by metric" unit="new series" rows={day.metrics.map((m) => ({ name: m.name, value: m.new }))} before={undefined} total={day.new} subject={metric} actions={actions} />
            <Top title="New values by label" hint="The first label mostly causes the churn" unit="new values" rows={day.labels.map((l) => ({ name: l.name, value: l.newValues }))} before={undefined} total={0} subject={label} actions={actions} />
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

interface TopProps {
  title: string
  hint?: string
  unit: string
  rows: NameCount[]
  before: NameCount[] | undefined
  /** Of which a row is a part; 0 = of the largest row. */
  total: number
  subject: (name: string) => Subject
  actions: (s: Subject) => (MenuItem | null)[]
}

/** A table of the largest, each with its part of all, and what it has more than the day before. */
function Top({ title, hint, unit, rows, before, total, subject, actions }: TopProps) {
  const [more, setMore] = useState(false)
  const [growth, setGrowth] = useState(false)
  const was = useMemo(() => before && new Map(before.map((r) => [r.name, r.value])), [before])
  // What is not among the rows of the day before was not there, unless these were cut.
  const of = (r: NameCount) => was && (was.get(r.name) ?? (was.size >= rowsBefore ? undefined : 0))
  const sorted = growth && was ? [...rows].sort((a, b) => b.value - (of(b) ?? b.value) - (a.value - (of(a) ?? a.value))) : rows
  const largest = rows[0]?.value ?? 1
  return (
    <section class="card top-table" aria-label={title}>
      <header class="row">
        <h2 title={hint}>{title}</h2>
        <span class="grow" />
        {was && rows.length > 1 && (
          <button class="small" aria-pressed={growth} title="Those that grew most against the day before come first" onClick={() => setGrowth(!growth)}>
            By growth
          </button>
        )}
      </header>
      {rows.length === 0 && <p class="hint pad">None.</p>}
      <ol>
        {sorted.slice(0, more ? maxRows : rowsShown).map((r) => (
          <li key={r.name}>
            <svg class="share" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
              <rect width={(r.value / (total || largest)) * 100} height="1" />
            </svg>
            <span class="mono top-name" title={r.name}>
              {r.name || '""'}
            </span>
            <span class="top-count">
              {count(r.value)} <span class="visually-hidden">{unit}</span>
              {total > 0 && <span class="muted part"> {part(r.value, total)}</span>}
            </span>
            <span class="top-delta">
              <Delta now={r.value} before={of(r)} />
            </span>
            <Menu label={`What to do about ${r.name}`} icon="more" class="quiet" items={actions(subject(r.name))} />
          </li>
        ))}
      </ol>
      {rows.length > rowsShown && (
        <button class="small more-button" onClick={() => setMore(!more)}>
          {more ? 'Show fewer' : `Show ${plural(rows.length, 'row')}`}
        </button>
      )}
    </section>
  )
}

function part(n: number, of: number): string {
  const p = (n / of) * 100
  return `${p < 1 ? '<1' : Math.round(p)} %`
}
