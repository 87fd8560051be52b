/** Says why a query gives nothing, and offers what would. */
import { ErrorNote } from '../../components/states'
import type { Range } from '../../components/rangepicker'
import { ago, dateTime, plural, type Zone } from '../../lib/format'
import { useAsync } from '../../lib/useAsync'
import type { Grid } from '../../plot/series'
import { diagnose, type Reason } from './diagnose'

interface MissingProps {
  expr: string
  /** The times that it was asked for: one for a table. */
  grid: Grid
  /** How long the range shown is. */
  rangeMs: number
  zone: Zone
  onReplace: (expr: string) => void
  onRange: (range: Range) => void
}

export function Missing({ expr, grid, rangeMs, zone, onReplace, onRange }: MissingProps) {
  const found = useAsync((signal) => diagnose(expr, grid, { signal }), [expr, grid.startMs, grid.endMs])
  return (
    <section class="missing" aria-label="Why there is no data">
      <h2>
        No data for <code>{expr}</code>
      </h2>
      {found.loading && !found.data && (
        <p class="hint" role="status">
          Looking for the reason…
        </p>
      )}
      {found.error && <ErrorNote error={found.error} retry={found.reload} />}
      {found.data && (
        <ul>
          {found.data.reasons.map((r) => (
            <li key={r.selector}>
              <p>
                {r.selector && r.selector !== expr && <code>{r.selector}: </code>}
                {r.text}
              </p>
              <Offers reason={r} expr={expr} grid={grid} rangeMs={rangeMs} zone={zone} onReplace={onReplace} onRange={onRange} />
            </li>
          ))}
          {found.data.rejected.map((r) => (
            <li key={r.door + r.reason}>
              <p>
                {plural(r.samples, 'sample')} refused at the door {r.door} ({r.reason}), such as: <span class="mono">{r.last[0]?.detail}</span>
              </p>
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

function Offers({ reason, expr, grid, rangeMs, zone, onReplace, onRange }: MissingProps & { reason: Reason }) {
  const { lastMs } = reason
  return (
    <>
      {lastMs !== undefined && (
        <p class="row">
          <span>
            The newest sample is of {dateTime(lastMs, zone)}, {ago(lastMs, Date.now())}.
          </span>
          <button class="small" onClick={() => onRange({ rangeMs, endMs: lastMs + (grid.startMs < grid.endMs ? Math.round(rangeMs / 20) : 0) })}>
            Show that time
          </button>
        </p>
      )}
      {reason.replace.length > 0 && (
        <p class="row">
          {reason.replace.map(([from, to]) => (
            <button key={to} class="small mono" onClick={() => onReplace(expr.replaceAll(from, to))}>
              {to}
            </button>
          ))}
        </p>
      )}
    </>
  )
}
