/** What Explore shows before the first query: what is stored, and queries to begin with. */
import { labelValues, metadata, type Metadata } from '../../api/names'
import { FirstSample } from '../../components/firstsample'
import { Empty, ErrorNote, Loading } from '../../components/states'
import { useAsync } from '../../lib/useAsync'
import { metricSelector } from '../../lib/labels'

const listed = 12
const listedKept = 4

/** A query that suits the type of a metric. */
export function queryFor(name: string, meta: Metadata | undefined): string {
  const s = metricSelector(name)
  if (name.endsWith('_bucket')) return `histogram_quantile(0.99, sum by (le) (rate(${s}[5m])))`
  if (meta?.type === 'counter' || /_(total|sum|count)$/.test(name)) return `rate(${s}[5m])`
  return s
}

interface StartProps {
  onPick: (expr: string) => void
  /** Favourites and queries of the past, to begin with again. */
  kept: string[]
}

export function Start({ onPick, kept }: StartProps) {
  const names = useAsync(async (signal) => {
    const dayMs = 86_400_000
    const [found, meta] = await Promise.all([
      labelValues('__name__', { span: { startMs: Date.now() - dayMs, endMs: Date.now() }, limit: 500 }, { signal }),
      metadata(undefined, 500, { signal }),
    ])
    return { names: found.data, meta: meta.data }
  }, [])
  if (names.error && !names.data) return <ErrorNote error={names.error} retry={names.reload} />
  if (!names.data) return <Loading what="what is stored" />
  if (names.data.names.length === 0) {
    return (
      <Empty title="Nothing has been written in the last day">
        <FirstSample />
      </Empty>
    )
  }
  const { names: all, meta } = names.data
  const own = all.filter((n) => !/^(go|process|promhttp|scrape|tsdb)_/.test(n))
  const chosen = spread(own.length > 0 ? own : all, listed)
  return (
    <Empty title="Type a query, or begin with one of these">
      {kept.length > 0 && <Picks label="Favourites and the last queries" exprs={kept.slice(0, listedKept)} onPick={onPick} />}
      <Picks label="Of what is stored" exprs={chosen.map((n) => queryFor(n, meta[n]?.[0]))} onPick={onPick} />
      <p class="hint">Enter runs a query, Shift+Enter begins a new line, Ctrl+Space completes.</p>
    </Empty>
  )
}

function Picks({ label, exprs, onPick }: { label: string; exprs: string[]; onPick: (expr: string) => void }) {
  return (
    <div class="starts" role="group" aria-label={label}>
      {exprs.map((e) => (
        <button key={e} class="mono" title={e} onClick={() => onPick(e)}>
          {e}
        </button>
      ))}
    </div>
  )
}

/** Up to n of all, evenly spread. */
function spread(all: string[], n: number): string[] {
  if (all.length <= n) return all
  return Array.from({ length: n }, (_, i) => all[Math.floor((i * all.length) / n)] ?? '')
}
