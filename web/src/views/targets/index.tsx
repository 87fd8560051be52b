/** Targets: what the server scrapes, and what fails. */
import { useMemo } from 'preact/hooks'
import { targets, type Target } from '../../api/status'
import { Icon } from '../../components/icon'
import { Empty, ErrorNote, Loading } from '../../components/states'
import { ago, count, plural, took } from '../../lib/format'
import { labelName, quote, type Labels } from '../../lib/labels'
import { change } from '../../lib/router'
import { useAsync } from '../../lib/useAsync'
import { usePoll } from '../../lib/usePoll'
import type { ViewProps } from '..'

function textOf(labels: Labels): string {
  return Object.entries(labels)
    .map(([n, v]) => `${labelName(n)}=${quote(v)}`)
    .join(', ')
}

const rowsShown = 200

export default function Targets({ params }: ViewProps) {
  const found = useAsync((signal) => targets({ signal }), [])
  usePoll(found.reload, 10_000)
  const text = (params.get('q') ?? '').toLowerCase()
  const ill = params.get('down') === '1'
  const all = found.data?.data.activeTargets ?? []
  const pools = useMemo(() => {
    const by = new Map<string, Target[]>()
    for (const t of all) {
      if ((ill && t.health === 'up') || (text && !`${t.scrapeUrl} ${textOf(t.labels)} ${t.lastError}`.toLowerCase().includes(text))) continue
      by.set(t.scrapePool, [...(by.get(t.scrapePool) ?? []), t])
    }
    return [...by].sort(([a], [b]) => (a < b ? -1 : 1))
  }, [found.data, text, ill])
  const inPool = (pool: string) => all.filter((t) => t.scrapePool === pool)
  return (
    <div class="view">
      <h1>Targets</h1>
      <form class="toolbar filters" role="search" onSubmit={(e) => e.preventDefault()}>
        <label class="search-field">
          <Icon name="search" />
          <span class="visually-hidden">Address, label or error contains</span>
          <input type="search" placeholder="Address, label or error contains…" value={params.get('q') ?? ''} onInput={(e) => change('targets', { q: e.currentTarget.value }, true)} />
        </label>
        <label class="check">
          <input type="checkbox" checked={ill} onChange={() => change('targets', { down: ill ? '' : '1' })} /> Only those that are not up
        </label>
      </form>
      {found.error && <ErrorNote error={found.error} retry={found.reload} />}
      {!found.data && found.loading && <Loading what="the targets" cancel={found.cancel} />}
      {found.data && pools.length === 0 && (
        <Empty title={all.length === 0 ? 'Nothing is scraped' : 'No target is like that'}>
          <p>{all.length === 0 ? 'List targets under scrape_configs in the file that --config names, as Prometheus has them, and start the server again.' : ill ? 'Every target that fits is up.' : 'Try a part of an address or of a label.'}</p>
        </Empty>
      )}
      {pools.map(([pool, list]) => (
        <section key={pool} class="card part-card" aria-label={pool}>
          <header class="row">
            <h2>{pool}</h2>
            <span class="hint">
              {count(inPool(pool).filter((t) => t.health === 'up').length)} of {plural(inPool(pool).length, 'target')} up
              {(found.data?.data.droppedTargetCounts?.[pool] ?? 0) > 0 && `, ${count(found.data?.data.droppedTargetCounts?.[pool] ?? 0)} dropped by relabelling`}
            </span>
          </header>
          <ul class="targets">
            {[...list]
              .sort((a, b) => Number(a.health === 'up') - Number(b.health === 'up'))
              .slice(0, rowsShown)
              .map((t) => (
                <li key={t.scrapeUrl + textOf(t.labels)}>
                  <span class={`chip health ${t.health}`}>{t.health}</span>
                  <div class="running-text">
                    <code>{t.scrapeUrl}</code>
                    <p class="hint mono">{textOf(t.labels)}</p>
                    {t.lastError && <p class="error-text">{t.lastError}</p>}
                  </div>
                  <span class="hint">{Date.parse(t.lastScrape) > 0 ? `${ago(Date.parse(t.lastScrape), Date.now())}, took ${took(t.lastScrapeDuration * 1000)}, every ${t.scrapeInterval}` : 'not scraped yet'}</span>
                </li>
              ))}
          </ul>
          {list.length > rowsShown && <p class="hint pad">{count(rowsShown)} of {count(list.length)}: search to see others.</p>}
        </section>
      ))}
    </div>
  )
}
