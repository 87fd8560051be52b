/** The answers as the API gives them. */
import { useMemo } from 'preact/hooks'
import { copy } from '../../components/toast'
import { count } from '../../lib/format'
import type { Runs } from './run'

const shownChars = 200_000

export function Json({ runs }: { runs: Runs }) {
  const text = useMemo(() => {
    const all = runs.runs.filter((r) => r !== undefined).map((r) => ({ query: r.expr, data: r.range ?? r.instant, warnings: r.warnings, infos: r.infos, error: r.error && { type: r.error.kind, text: r.error.message } }))
    return JSON.stringify(all.length === 1 ? all[0] : all, null, 1)
  }, [runs])
  return (
    <div class="json">
      <div class="row">
        <button class="small" onClick={() => void copy(text, 'JSON')}>
          Copy
        </button>
        {text.length > shownChars && <span class="hint">The first {count(shownChars)} of {count(text.length)} characters are shown; Copy takes all.</span>}
      </div>
      <pre class="scroll" tabIndex={0} aria-label="Answer as JSON">
        {text.slice(0, shownChars)}
      </pre>
    </div>
  )
}
