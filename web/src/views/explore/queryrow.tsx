/** One query: its editor, what it will cost, and what it did cost. */
import type { ApiError } from '../../api/client'
import type { Explained } from '../../api/query'
import type { Span } from '../../api/names'
import { ErrorNote } from '../../components/states'
import { Icon } from '../../components/icon'
import { Menu } from '../../components/popover'
import { QueryEditor } from '../../editor'
import { bytes, count, duration, plural, took } from '../../lib/format'
import { totalOf, type Answered } from './answered'
import { letter, type QueryState } from './state'
import type { Run } from './run'

interface QueryRowProps {
  index: number
  /** How many queries there are. */
  of: number
  query: QueryState
  run: Run | undefined
  answered: Answered | undefined
  /** What the text in the editor would read; undefined = not known. */
  cost: { data: Explained | undefined; error: ApiError | undefined }
  stepMs: number
  favourite: boolean
  span: () => Span | undefined
  onChange: (q: QueryState) => void
  onRun: () => void
  onRemove: () => void
  onCopy: () => void
  onFormat: () => void
  onFavourite: () => void
}

export function QueryRow(p: QueryRowProps) {
  const { query, run, index } = p
  const name = letter(index)
  return (
    <section class={query.off ? 'query off' : 'query'} aria-label={`Query ${name}`}>
      <div class="query-line">
        {p.of > 1 && <span class="letter">{name}</span>}
        <QueryEditor
          value={query.expr}
          label={`Query ${name}`}
          span={p.span}
          onChange={(expr) => p.onChange({ ...query, expr })}
          onRun={p.onRun}
          autoFocus={index === p.of - 1 && query.expr === ''}
        />
        {run?.loading && <span class="spinner small" role="status" aria-label="The query runs" />}
        <button class="quiet" aria-pressed={p.favourite} aria-label={p.favourite ? 'Remove from favourites' : 'Keep as favourite'} title={p.favourite ? 'Remove from favourites' : 'Keep as favourite'} disabled={!query.expr.trim()} onClick={p.onFavourite}>
          <span class={p.favourite ? 'starred' : ''}>
            <Icon name="star" />
          </span>
        </button>
        <Menu
          label={`More for query ${name}`}
          icon="more"
          class="quiet"
          items={[
            { text: 'Format', run: p.onFormat, disabled: !query.expr.trim() },
            { text: 'Duplicate', run: p.onCopy },
            { text: query.off ? 'Switch on' : 'Switch off', run: () => p.onChange({ ...query, off: !query.off }) },
            { text: 'Remove', run: p.onRemove, disabled: p.of === 1 && !query.expr },
          ]}
        />
      </div>
      <Status {...p} />
      {run?.error && run.error.kind !== 'offline' && <ErrorNote error={run.error} />}
      {run?.warnings.map((w) => (
        <div key={w} class="note warning" role="status">
          <Icon name="warn" />
          <div>{w}</div>
        </div>
      ))}
      {run?.infos.map((w) => (
        <div key={w} class="note info">
          <Icon name="info" />
          <div>{w}</div>
        </div>
      ))}
    </section>
  )
}

/** Before a run what it will read at most, after it what it gave and took. */
function Status({ query, run, answered, cost, stepMs }: QueryRowProps) {
  if (query.off) return <p class="query-status">Switched off</p>
  const ran = run && !run.loading && run.expr === query.expr && !run.error && run.stats
  if (ran && answered) {
    const read = run.stats?.samples?.samplesRead ?? run.stats?.samples?.totalQueryableSamples ?? 0
    const cached = run.stats?.cachedSteps ?? 0
    const late = run.explained?.selectors.reduce((n, s) => n + (s.newerSeries ?? 0), 0) ?? 0
    return (
      <p class="query-status">
        <span>{plural(answered.series, 'series', 'series')}</span>
        <span>{plural(answered.points, 'point')}</span>
        {run.range && <span>step {duration(stepMs)}</span>}
        <span>{plural(read, 'sample')} read</span>
        {cached > 0 && (
          <span title={`${plural(cached, 'step')} came from the result cache`}>{cached >= answered.steps ? 'all steps' : `${count(cached)} of ${count(answered.steps)} steps`} from the cache</span>
        )}
        {late > 0 && <span title="Samples or deletions have come after the rollup. Their series are read as samples there, so the answer has them.">late data in {plural(late, 'series', 'series')}</span>}
        <span title="From the request to the decoded answer">{took(run.tookMs)}</span>
      </p>
    )
  }
  if (!query.expr.trim()) return null
  if (cost.data) {
    const t = totalOf(cost.data)
    return (
      <p class="query-status">
        <span class="before">Will read at most</span>
        <span>{plural(t.series, 'series', 'series')}</span>
        {t.samples > 0 && <span>{plural(t.samples, 'sample')}</span>}
        {t.buckets > 0 && <span>{plural(t.buckets, 'bucket')} of rollups</span>}
        <span>{bytes(t.bytes)}</span>
        {t.tiers.length > 0 && <span>from {t.tiers.join(', ')}</span>}
      </p>
    )
  }
  return null
}
