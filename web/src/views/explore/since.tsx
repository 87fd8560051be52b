/** Tells when late samples or a deletion have changed an answer that is shown. */
import { useEffect, useState } from 'preact/hooks'
import { explain } from '../../api/query'
import { Icon } from '../../components/icon'
import { changesOf } from './strip'
import type { Runs } from './run'

const askEveryMs = 20_000

export function ChangedSince({ runs, onRun }: { runs: Runs; onRun: () => void }) {
  const [changed, setChanged] = useState(false)
  useEffect(() => {
    setChanged(false)
    const shown = runs.runs.filter((r) => r?.explained && r.explained.selectors.length > 0)
    if (runs.running || shown.length === 0) return
    const c = new AbortController()
    const timer = setInterval(() => {
      if (document.hidden) return
      const differs = shown.map(async (r) => {
        if (!r?.explained) return false
        const now = await explain(r.expr, r.explainedGrid, { signal: c.signal })
        return changesOf(now.data) !== changesOf(r.explained)
      })
      // A failure is shown by what the user does next.
      Promise.all(differs).then(
        (all) => !c.signal.aborted && all.some(Boolean) && setChanged(true),
        () => {},
      )
    }, askEveryMs)
    return () => {
      clearInterval(timer)
      c.abort()
    }
  }, [runs])
  if (!changed) return null
  return (
    <p class="note info" role="status">
      <Icon name="info" />
      <span class="grow">Late samples or a deletion may have changed this answer since.</span>
      <button onClick={onRun}>Run again</button>
    </p>
  )
}
