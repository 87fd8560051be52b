/** Explore: PromQL in, a graph, a table or JSON out, with what it cost. */
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { asApiError, root, type ApiError } from '../../api/client'
import { explain, formatQuery, type Explained } from '../../api/query'
import { CommitField } from '../../components/commitfield'
import { Icon } from '../../components/icon'
import { Menu, Popover } from '../../components/popover'
import { RangePicker } from '../../components/rangepicker'
import { Busy, Empty, ErrorNote } from '../../components/states'
import { copy, download, toast } from '../../components/toast'
import { dateTime, duration, parseDuration } from '../../lib/format'
import { go } from '../../lib/router'
import { csv, linesOf, timesOf } from '../../plot/series'
import type { ViewProps } from '..'
import { answeredBy } from './answered'
import { CostPanel } from './cost'
import { Graph } from './graph'
import { kept, remember, toggleFavourite } from './history'
import { Json } from './json'
import { KeptQueries } from './kept'
import { Missing } from './missing'
import { QueryRow } from './queryrow'
import { hasAnswer, useRuns } from './run'
import { curl, grafanaPanel, recordingRule } from './share'
import { fromParams, gridOf, maxQueries, toParams, type ExploreState, type Mode, type Tab } from './state'
import { ChangedSince } from './since'
import { Start } from './start'
import { Tables } from './table'

const refreshes = [0, 5000, 10_000, 30_000, 60_000, 300_000]
const tabs: [Tab, string][] = [
  ['graph', 'Graph'],
  ['table', 'Table'],
  ['json', 'JSON'],
]
const modes: [Mode, string][] = [
  ['lines', 'Lines'],
  ['stacked', 'Stacked'],
  ['heatmap', 'Heat map'],
]

export default function Explore({ params }: ViewProps) {
  const [state, setState] = useState<ExploreState>(() => fromParams(params))
  const main = useRef<HTMLDivElement>(null)
  const points = useCallback(() => Math.min(1000, Math.max(100, Math.round((main.current?.clientWidth ?? 900) / 3))), [])
  const { runs, run, cancel } = useRuns(points)
  const [favourites, setFavourites] = useState(() => kept().favourites)
  const latest = useRef(state)
  latest.current = state
  /** The state that was asked for: without what is typed since. */
  const asked = useRef(state)
  /** The state that the address was last read to or written from, as parameters. */
  const address = useRef<string>()

  const ask = useCallback((s: ExploreState) => {
    asked.current = s
    run(s)
  }, [])
  const askAgain = useCallback(() => run(asked.current), [])
  /** Changes the state and asks again. replace: the back button does not lead to the present state. */
  const apply = useCallback((change: Partial<ExploreState>, replace = false) => {
    const next = { ...latest.current, ...change }
    latest.current = next
    setState(next)
    write(next, replace)
    remember(next.queries.filter((q) => !q.off).map((q) => q.expr))
    ask(next)
  }, [])
  const write = (s: ExploreState, replace: boolean) => {
    const p = toParams(s)
    address.current = p.toString()
    go('explore', p, replace)
  }
  const edit = (change: Partial<ExploreState>) => {
    latest.current = { ...latest.current, ...change }
    setState(latest.current)
  }

  // The address leads: on opening, and when the user goes back or follows a link. Before
  // the next event: what the user does then is done to the state that the address says.
  useLayoutEffect(() => {
    const next = fromParams(params)
    const p = toParams(next).toString()
    if (p === address.current) return
    address.current = p
    latest.current = next
    setState(next)
    ask(next)
  }, [params.toString()])

  useEffect(() => {
    if (state.refreshMs === 0) return
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') askAgain()
    }, state.refreshMs)
    return () => clearInterval(timer)
  }, [state.refreshMs])

  const costs = useCosts(state, points)
  const answering = runs.runs.some(Boolean)
  const offline = runs.runs.find((r) => r?.error?.kind === 'offline')?.error
  const steps = Math.floor((runs.grid.endMs - runs.grid.startMs) / runs.grid.stepMs) + 1
  const answered = runs.runs.map((r) => r && answeredBy(r.range, r.instant, steps))
  const exprs = state.queries.filter((q) => !q.off && q.expr.trim()).map((q) => q.expr)
  const span = () => gridOf(latest.current, Date.now(), points())
  const setQuery = (i: number, q: ExploreState['queries'][number]) => edit({ queries: latest.current.queries.map((old, n) => (n === i ? q : old)) })

  const saveCsv = () => {
    const lines = runs.runs.flatMap((r, i) => (r?.range ? linesOf(r.range.result, i, runs.grid, steps) : []))
    download(csv(timesOf(runs.grid), lines), 'tsdb.csv', 'text/csv')
  }
  const format = async (i: number) => {
    const expr = latest.current.queries[i]?.expr ?? ''
    try {
      const a = await formatQuery(expr)
      const q = latest.current.queries[i]
      if (q?.expr === expr) setQuery(i, { ...q, expr: a.data }) // unless it was changed meanwhile
    } catch (e) {
      toast(asApiError(e).message)
    }
  }

  return (
    <div class="explore" ref={main}>
      <h1 class="visually-hidden">Explore</h1>
      <div class="toolbar">
        <RangePicker rangeMs={state.rangeMs} endMs={state.endMs} zone={state.zone} onChange={(r) => apply(r)} onZone={(zone) => apply({ zone }, true)} />
        <label class="step">
          <span>Step</span>
          <CommitField
            value={state.stepMs === undefined ? '' : duration(state.stepMs)}
            placeholder={`auto (${duration(gridOf({ ...state, stepMs: undefined }, Date.now(), points()).stepMs)})`}
            commit={(text) => {
              const stepMs = parseDuration(text)
              if (text !== '' && stepMs === undefined) return false
              if (stepMs !== latest.current.stepMs) apply({ stepMs })
              return stepMs === undefined || duration(stepMs) === text
            }}
          />
        </label>
        <Menu
          label={state.refreshMs > 0 ? `Refresh every ${duration(state.refreshMs)}. Change it` : 'Refresh: off. Change it'}
          icon="refresh"
          start
          text={state.refreshMs > 0 ? duration(state.refreshMs) : undefined}
          items={refreshes.map((ms) => ({ text: ms === 0 ? 'Refresh on demand' : `Every ${duration(ms)}`, checked: ms === state.refreshMs, run: () => apply({ refreshMs: ms }, true) }))}
        />
        <span class="grow" />
        <Popover text={<span class="wide">History</span>} label="History and favourites" icon="history">
          {(close) => (
            <KeptQueries
              onPick={(expr) => {
                close()
                const at = latest.current.queries.findIndex((q) => !q.expr.trim())
                const queries = latest.current.queries.map((q, i) => (i === (at < 0 ? latest.current.queries.length - 1 : at) ? { ...q, expr } : q))
                apply({ queries })
              }}
            />
          )}
        </Popover>
        <Menu
          label="Share and save"
          icon="copy"
          text={<span class="wide">Share</span>}
          items={[
            { text: 'Copy link', run: () => void copy(location.href, 'Link') },
            null,
            { text: 'Copy as curl', disabled: exprs.length === 0, run: () => void copy(exprs.map((e) => curl(new URL(root, location.href).href, e, span(), state.tab === 'table')).join('\n'), 'Command') },
            { text: 'Copy as Grafana panel', disabled: exprs.length === 0, run: () => void copy(grafanaPanel(exprs, state.mode === 'stacked'), 'Panel') },
            { text: 'Copy as recording rule', disabled: exprs.length === 0, run: () => void copy(exprs.map((e) => recordingRule(e, span().stepMs)).join('---\n'), 'Rule') },
            null,
            { text: 'Download CSV', icon: 'download', disabled: !runs.runs.some((r) => r?.range), run: saveCsv },
          ]}
        />
        <RunButton
          running={runs.running}
          onRun={() => apply({})}
          onCancel={() => {
            cancel()
            toast('The query is cancelled')
          }}
        />
      </div>

      <div class="queries card">
        {state.queries.map((q, i) => (
          <QueryRow
            key={i}
            index={i}
            of={state.queries.length}
            query={q}
            run={runs.runs[i]}
            answered={answered[i]}
            cost={costs[i] ?? { data: undefined, error: undefined }}
            stepMs={runs.grid.stepMs}
            favourite={favourites.includes(q.expr.trim())}
            span={span}
            onChange={(next) => (next.off === q.off ? setQuery(i, next) : apply({ queries: state.queries.map((old, n) => (n === i ? next : old)) }))}
            onRun={() => apply({})}
            onRemove={() => apply({ queries: state.queries.length > 1 ? state.queries.filter((_, n) => n !== i) : [{ expr: '', off: false }] })}
            onCopy={() => edit({ queries: state.queries.flatMap((old, n) => (n === i ? [old, { ...old }] : [old])).slice(0, maxQueries) })}
            onFormat={() => void format(i)}
            onFavourite={() => setFavourites(toggleFavourite(q.expr).favourites)}
          />
        ))}
        <button class="quiet add" disabled={state.queries.length >= maxQueries} onClick={() => edit({ queries: [...state.queries, { expr: '', off: false }] })}>
          <Icon name="plus" /> Add query
        </button>
      </div>

      {offline && <ErrorNote error={offline} retry={askAgain} />}
      {!answering ? (
        <Start onPick={(expr) => apply({ queries: [{ expr, off: false }] })} kept={[...new Set([...favourites, ...kept().history])]} />
      ) : (
        <div class="result card" hidden={runs.runs.every((r) => !r || (r.error && !hasAnswer(r)))} aria-busy={runs.running}>
          <div class="result-bar">
            <div class="segmented" role="tablist" aria-label="Form of the answer" onKeyDown={arrowsSwitchTabs}>
              {tabs.map(([t, text]) => (
                <button key={t} role="tab" id={`tab-${t}`} aria-controls="answer" aria-selected={state.tab === t} tabIndex={state.tab === t ? 0 : -1} onClick={() => apply({ tab: t }, true)}>
                  {text}
                </button>
              ))}
            </div>
            {state.tab === 'graph' && (
              <>
                <div class="segmented" role="group" aria-label="Kind of graph">
                  {modes.map(([m, text]) => (
                    <button key={m} aria-pressed={state.mode === m} onClick={() => show({ mode: m })}>
                      {text}
                    </button>
                  ))}
                </div>
                <label class="check">
                  <input type="checkbox" checked={state.log} disabled={state.mode !== 'lines'} onChange={(e) => show({ log: e.currentTarget.checked })} /> Log scale
                </label>
              </>
            )}
          </div>
          {runs.runs.some((r) => r?.error && hasAnswer(r)) && (
            <p class="note warning" role="status">
              <Icon name="warn" />
              <span class="grow">The answer of {dateTime(Math.floor(runs.atMs / 1000) * 1000, state.zone)} is shown; no newer one has come.</span>
            </p>
          )}
          <ChangedSince runs={runs} onRun={askAgain} />
          <div id="answer" role="tabpanel" aria-labelledby={`tab-${state.tab}`}>
            {runs.runs.map((r, i) => r && !r.loading && !r.error && answered[i]?.series === 0 && <Missing key={`${i} ${r.expr}`} expr={r.expr} grid={r.explainedGrid} rangeMs={state.rangeMs} zone={state.zone} onReplace={(expr) => apply({ queries: latest.current.queries.map((q, n) => (n === i ? { ...q, expr } : q)) })} onRange={(range) => apply(range)} />)}
            {runs.tab !== state.tab || (answered.every((a) => !a) && (runs.running || runs.cancelled)) ? (
              runs.running ? (
                <Busy text="The query runs…" cancel={cancel} />
              ) : (
                <Empty title="The query was cancelled">
                  <p>Nothing of its answer has come.</p>
                  <button onClick={askAgain}>Run it again</button>
                </Empty>
              )
            ) : state.tab === 'graph' ? (
              answered.some((a) => a && a.series > 0) && (
                <Graph runs={runs} mode={state.mode} log={state.log} zone={state.zone} onZoom={(a, b) => apply({ rangeMs: Math.max(b - a, 1000), endMs: b, stepMs: undefined })} />
              )
            ) : state.tab === 'table' ? (
              <Tables runs={runs.runs} zone={state.zone} letters={state.queries.length > 1} />
            ) : (
              <Json runs={runs} />
            )}
          </div>
        </div>
      )}
      <CostPanel runs={runs.runs} costs={costs} letters={state.queries.length > 1} />
    </div>
  )

  /** Changes how the answer is shown, without asking again. */
  function show(change: Partial<ExploreState>) {
    edit(change)
    write(latest.current, true)
  }
}

/** Left and right move between tabs, as screen readers announce. */
function arrowsSwitchTabs(e: KeyboardEvent): void {
  const all = [...(e.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('[role=tab]')]
  const at = all.indexOf(document.activeElement as HTMLElement)
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[e.key]
  if (to === undefined || at < 0) return
  e.preventDefault()
  const next = all[(to + all.length) % all.length]
  next?.focus()
  next?.click()
}

/**
 * Run, or Cancel while a query runs: one button, which keeps the focus. A click counts for
 * what the button said when it was pressed, and a double click once: leaving a field runs
 * the query between press and click.
 */
function RunButton({ running, onRun, onCancel }: { running: boolean; onRun: () => void; onCancel: () => void }) {
  const pressed = useRef(running)
  const click = (e: MouseEvent) => {
    if (e.detail > 1 || (e.detail === 1 && pressed.current !== running)) return
    if (running) onCancel()
    else onRun()
  }
  return (
    <button class={running ? 'run' : 'primary run'} onPointerDown={() => (pressed.current = running)} onClick={click}>
      <Icon name={running ? 'stop' : 'play'} /> {running ? 'Cancel' : 'Run'}
    </button>
  )
}

const explainAfterMs = 400

/** Explains the queries as they are typed. */
function useCosts(state: ExploreState, points: () => number) {
  const [costs, setCosts] = useState<{ expr: string; data: Explained | undefined; error: ApiError | undefined }[]>([])
  const key = JSON.stringify([state.queries, state.rangeMs, state.endMs, state.stepMs, state.tab === 'table'])
  useEffect(() => {
    const c = new AbortController()
    const timer = setTimeout(() => {
      const range = gridOf(state, Date.now(), points())
      const grid = state.tab === 'table' ? { ...range, startMs: range.endMs } : range
      const ask = async ({ expr, off }: { expr: string; off: boolean }) => {
        if (off || !expr.trim()) return { expr, data: undefined, error: undefined }
        try {
          return { expr, data: (await explain(expr, grid, { signal: c.signal })).data, error: undefined }
        } catch (e) {
          return { expr, data: undefined, error: asApiError(e) }
        }
      }
      void Promise.all(state.queries.map(ask)).then((all) => {
        if (!c.signal.aborted) setCosts(all)
      })
    }, explainAfterMs)
    return () => {
      clearTimeout(timer)
      c.abort()
    }
  }, [key])
  return state.queries.map((q, i) => {
    const cost = costs[i]
    return cost && cost.expr === q.expr ? cost : undefined
  })
}

