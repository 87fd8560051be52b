/** What can be done about series: a relabel rule to copy, and deletion with an estimate before it. */
import { useRef, useState } from 'preact/hooks'
import { asApiError, type ApiError } from '../../api/client'
import { deleteSeries, estimateDeletion } from '../../api/status'
import { Dialog } from '../../components/dialog'
import { Icon } from '../../components/icon'
import { ErrorNote, Loading } from '../../components/states'
import { copy, toast } from '../../components/toast'
import { bytes, count, plural } from '../../lib/format'
import { useAsync } from '../../lib/useAsync'
import { matcherOf, relabelRule, withMatcher, type Subject } from './rules'

function nameOf(s: Subject): string {
  return s.kind === 'pair' ? `${s.name}="${s.value}"` : s.name
}

export function RuleDialog({ subject, onClose }: { subject: Subject; onClose: () => void }) {
  const text = relabelRule(subject)
  return (
    <Dialog title={`Relabel rule for ${nameOf(subject)}`} onClose={onClose}>
      <p>
        {subject.kind === 'label'
          ? 'With this rule series lose the label when they are sent. Series that differ in it alone become one: their samples then overwrite each other.'
          : 'With this rule these series are left out when they are sent; senders are answered as if they were stored.'}
      </p>
      <pre class="sample">{text}</pre>
      <p class="hint">Add it to the configuration file of the server (--config), and load that again by SIGHUP or a restart. A rule in the sender, such as write_relabel_configs of Prometheus, saves the way too.</p>
      <div class="row">
        <button class="primary" autoFocus onClick={() => void copy(text, 'Rule')}>
          <Icon name="copy" /> Copy
        </button>
      </div>
    </Dialog>
  )
}

interface DeleteProps {
  subject: Subject
  /** Matchers of the view, which narrow the deletion as they narrow the counts. */
  filter: string
  onClose: (deleted: boolean) => void
}

export function DeleteDialog({ subject, filter, onClose }: DeleteProps) {
  const match = `{${withMatcher(filter, matcherOf(subject))}}`
  const estimate = useAsync((signal) => estimateDeletion(match, { signal }), [match])
  const [sure, setSure] = useState(false)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<ApiError>()
  const done = useRef(false)
  const found = estimate.data?.data
  const run = async () => {
    setBusy(true)
    setError(undefined)
    try {
      await deleteSeries(match)
      done.current = true
      toast(`${plural(found?.series ?? 0, 'series', 'series')} deleted`)
      onClose(true)
    } catch (e) {
      setError(asApiError(e))
      setBusy(false)
    }
  }
  return (
    <Dialog title="Delete series" onClose={() => !done.current && onClose(false)}>
      <p>
        All samples of <code>{match}</code>, of all times:
      </p>
      {estimate.loading && !found && <Loading what="the estimate" cancel={estimate.cancel} />}
      {estimate.error && <ErrorNote error={estimate.error} retry={estimate.reload} />}
      {found && (
        <table class="estimate">
          <thead>
            <tr>
              <th scope="col">from</th>
              <th scope="col" class="number">
                series
              </th>
              <th scope="col" class="number">
                rows, about
              </th>
              <th scope="col" class="number">
                bytes, about
              </th>
            </tr>
          </thead>
          <tbody>
            {found.tiers.map((t) => (
              <tr key={t.tier}>
                <td>{t.tier}</td>
                <td class="number">{count(t.series)}</td>
                <td class="number">{count(t.rows)}</td>
                <td class="number">{bytes(t.bytes)}</td>
              </tr>
            ))}
            <tr class="sum">
              <td>together</td>
              <td class="number">{count(found.series)}</td>
              <td class="number">{count(found.samples)}</td>
              <td class="number">{bytes(found.bytes)}</td>
            </tr>
          </tbody>
        </table>
      )}
      {estimate.data?.warnings.map((w) => (
        <p key={w} class="note warning">
          {w}
        </p>
      ))}
      {error && <ErrorNote error={error} />}
      {found && (
        <>
          <p class="hint">It cannot be undone. Senders that go on sending bring the series back: a relabel rule keeps them out.</p>
          <label class="check">
            <input type="checkbox" checked={sure} onChange={(e) => setSure(e.currentTarget.checked)} /> Delete {plural(found.series, 'series', 'series')}
          </label>
          <div class="row">
            <button class="danger" disabled={!sure || busy || found.series === 0} onClick={() => void run()}>
              {busy ? 'Deleting…' : 'Delete'}
            </button>
            <button onClick={() => onClose(false)}>Keep them</button>
          </div>
        </>
      )}
    </Dialog>
  )
}
