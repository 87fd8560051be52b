/** Blocks, tiers and their forecast, roll-ups, background work, snapshots, retention rules. */
import { requestText } from '../../api/client'
import { rollups, storageStatus, type Job, type RetentionRule, type RollupTier, type StorageStatus } from '../../api/status'
import { Grid, type Column } from '../../components/grid'
import { ErrorNote, Loading } from '../../components/states'
import { parseExposition, total } from '../../lib/exposition'
import { ago, bytes, count, dateTime, duration, plural, short } from '../../lib/format'
import { useAsync } from '../../lib/useAsync'
import { usePoll } from '../../lib/usePoll'
import { Card, Fact } from './facts'
import { forecast } from './rates'

function retention(ms: number): string {
  return ms === 0 ? 'for ever' : ms < 0 ? 'not at all' : duration(ms)
}

function time(text: string | undefined): string {
  return text ? ago(Date.parse(text), Date.now()) : '–'
}

export function Storage() {
  const status = useAsync((signal) => storageStatus({ signal }), [])
  const rolled = useAsync((signal) => rollups({ signal }), [])
  const metrics = useAsync(async (signal) => parseExposition((await requestText('metrics', { signal })).text, ['tsdb_disk_free_bytes', 'tsdb_blocks_quarantined']), [])
  const free = metrics.data && total(metrics.data, 'tsdb_disk_free_bytes')
  const quarantined = (metrics.data && total(metrics.data, 'tsdb_blocks_quarantined')) ?? 0
  usePoll(status.reload, 15_000)
  usePoll(rolled.reload, 15_000)
  usePoll(metrics.reload, 15_000)
  const s = status.data?.data
  if (!s) return status.error ? <ErrorNote error={status.error} retry={status.reload} /> : <Loading what="the state of the storage" cancel={status.cancel} />
  const f = forecast({ usedBytes: s.bytes, fullBytes: s.full.bytes, growthPerDay: s.full.bytesPerDay, perDay: s.tiers.reduce((n, t) => n + t.bytesPerDay, 0), freeBytes: free })
  return (
    <>
      {status.error && <ErrorNote error={status.error} retry={status.reload} />}
      {metrics.error && !status.error && <ErrorNote error={metrics.error} retry={metrics.reload} />}
      <dl class="facts">
        <Fact title="Series" value={count(s.series)} more={`${count(s.head.series)} with samples in the head`} />
        <Fact title="Samples" value={short(s.samples)} more={s.bytesPerSample > 0 ? `${s.bytesPerSample.toPrecision(3)} bytes each in blocks` : ''} />
        <Fact title="Blocks" value={bytes(s.bytes)} more={`${plural(s.blocks, 'block')}${metrics.data ? `, ${quarantined > 0 ? count(quarantined) : 'none'} quarantined` : ''}`} />
        <Fact title="WAL" value={bytes(s.wal.bytes)} more={s.wal.listError ?? (s.wal.keptBytes ? `${bytes(s.wal.keptBytes)} kept for backups` : '')} />
        <Fact title="Once every retention is full" value={s.full.bytes > 0 ? bytes(s.full.bytes) : '–'} more={f.text} />
        {free !== undefined && <Fact title="Free disk space" value={bytes(free)} more={s.retention.limitBytes > 0 ? `blocks may take ${bytes(s.retention.limitBytes)}` : ''} />}
      </dl>
      {quarantined > 0 && (
        <p class="note warning">
          {plural(quarantined, 'block')} cannot be read in full: answers over its times are incomplete, and say so. <code>tsdb check</code> lists what is lost, a backup has it.
        </p>
      )}
      {f.short && <p class="note warning">{f.text} Shorten a retention, or bound the bytes by --retention.size.</p>}
      <Tiers status={s} />
      {rolled.error && <ErrorNote error={rolled.error} retry={rolled.reload} />}
      <Rollups tiers={rolled.data?.data.tiers ?? []} />
      <Jobs status={s} />
      <Snapshots status={s} />
      <Rules status={s} />
    </>
  )
}

type Tier = StorageStatus['tiers'][number]

const offChip = (on: boolean) => !on && <span class="chip">off</span>

const tierColumns: Column<Tier>[] = [
  {
    key: 'tier',
    title: 'Tier',
    cell: (t) => (
      <>
        <code>{t.tier}</code> {offChip(t.on)}
        {t.note && <div class="hint">{t.note}</div>}
      </>
    ),
  },
  { key: 'kept', title: 'Kept', cell: (t) => retention(t.retentionMs) },
  { key: 'blocks', title: 'Blocks', number: true, cell: (t) => count(t.blocks) },
  { key: 'bytes', title: 'Bytes', number: true, cell: (t) => bytes(t.bytes) },
  { key: 'day', title: 'Per day', number: true, cell: (t) => (t.bytesPerDay > 0 ? bytes(t.bytesPerDay) : '–') },
  { key: 'full', title: 'Full', hint: 'Once the retention is full, at the rate of the last days', number: true, cell: (t) => (t.fullBytes > 0 ? bytes(t.fullBytes) : '–') },
]

function Tiers({ status }: { status: StorageStatus }) {
  return (
    <Card title="Tiers">
      <Grid label="Table of tiers" columns={tierColumns} rows={status.tiers} id={(t) => t.tier} />
    </Card>
  )
}

const rollupColumns: Column<RollupTier>[] = [
  {
    key: 'tier',
    title: 'Tier',
    cell: (t) => (
      <>
        <code>{t.tier}</code> {offChip(t.on)}
      </>
    ),
  },
  { key: 'days', title: 'Days', number: true, cell: (t) => count(t.days) },
  { key: 'standins', title: 'Stand-ins', hint: 'Days whose samples stand in for buckets, as they are no larger', number: true, cell: (t) => count(t.standInDays) },
  { key: 'waiting', title: 'Waiting', hint: 'Days that are not rolled up yet', number: true, cell: (t) => count(t.uncoveredDays) },
  { key: 'renew', title: 'To renew', hint: 'Days with samples that came after the roll-up', number: true, cell: (t) => count(t.dirtyDays) },
  { key: 'lost', title: 'Lost', number: true, cell: (t) => (t.lostDays > 0 ? <span class="delta up">{count(t.lostDays)}</span> : '0') },
  { key: 'behind', title: 'Behind', cell: (t) => (t.behindSeconds > 0 ? duration(Math.round(t.behindSeconds) * 1000) : <span class="muted fixed">up to date</span>) },
]

function Rollups({ tiers }: { tiers: RollupTier[] }) {
  if (tiers.length === 0) return null
  return (
    <Card title="Roll-ups">
      <Grid label="Table of roll-ups" columns={rollupColumns} rows={tiers} id={(t) => t.tier} />
    </Card>
  )
}

/** What the jobs do. */
const duties: Record<string, string> = {
  space: 'measures the free space',
  reserve: 'holds space back for emergencies',
  cut: 'writes the head to blocks',
  release: 'removes the WAL of what is in blocks',
  merge: 'makes few blocks of many',
  rollup: 'rolls days up',
  retain: 'drops what has expired',
  sweep: 'removes files of dropped blocks',
  tombstones: 'forgets deletions carried out',
  snapshots: 'removes temporary snapshots',
  queried: 'keeps which metrics are queried',
  history: 'keeps earlier answers',
  cardinality: 'counts the series of days',
}

function Jobs({ status }: { status: StorageStatus }) {
  const errors = new Map(status.failingJobs.map((j) => [j.job, j]))
  const order = (j: Job) => (j.phase === 'failing' ? 0 : j.phase === 'running' ? 1 : 2)
  return (
    <Card title="Background work">
      <ul class="jobs">
        {[...status.jobs]
          .sort((a, b) => order(a) - order(b))
          .map((j) => (
            <li key={j.job}>
              <code>{j.job}</code>
              <span class={`chip phase ${j.phase}`}>{j.phase}</span>
              <span class="muted">{j.since ? (j.phase === 'idle' ? `last ${time(j.since)}` : `since ${time(j.since).replace(' ago', '')}`) : 'not yet needed'}</span>
              {duties[j.job] && <span class="job-text hint">{duties[j.job]}</span>}
              {j.upcoming && <span class="job-text">{j.upcoming}</span>}
              {j.progress > 0 && <progress value={j.progress} max="1" aria-label={`${j.job}: ${Math.round(j.progress * 100)} %`} />}
              {errors.get(j.job) && (
                <span class="job-text error-text">
                  {errors.get(j.job)?.error} ({plural(errors.get(j.job)?.failures ?? 0, 'failure')} in a row, next attempt {time(j.next)})
                </span>
              )}
            </li>
          ))}
      </ul>
    </Card>
  )
}

function Snapshots({ status }: { status: StorageStatus }) {
  const list = status.snapshots ?? []
  const { deletions, history } = status
  return (
    <Card title="Snapshots, deletions, history">
      <div class="pad-all">
        {list.length === 0 ? (
          <p>
            There are no snapshots. <code>tsdb backup</code> and <code>POST /api/v1/admin/tsdb/snapshot</code> take them.
          </p>
        ) : (
          <ul class="plain">
            {list.map((s) => (
              <li key={s.name}>
                <code>{s.name}</code> <span class="muted">{dateTime(Math.floor(Date.parse(s.taken) / 1000) * 1000, 'local')}</span> {bytes(s.bytes)}, of which {bytes(s.pinnedBytes)} only it has
                {s.temporary && <span class="chip">temporary</span>}
              </li>
            ))}
          </ul>
        )}
        <p>
          {plural(deletions.live, 'deletion')} of at most {count(deletions.limit)} not carried out by merges yet.
        </p>
        <p>{history.keepMs > 0 ? `${plural(history.marks, 'mark')} of the last ${duration(history.keepMs)}, ${bytes(history.bytes)}: earlier answers can be asked for by as_of.` : 'No history of earlier answers is kept (--history.keep).'}</p>
      </div>
    </Card>
  )
}

const ruleColumns: Column<RetentionRule>[] = [
  { key: 'match', title: 'Series of', cell: (r) => (r.match ? <code>{r.match}</code> : 'all others') },
  {
    key: 'kept',
    title: 'Kept, by tier',
    cell: (r) =>
      Object.entries(r.keepMs)
        .map(([tier, ms]) => `${tier} ${retention(ms)}`)
        .join(', '),
  },
  { key: 'series', title: 'Series', number: true, cell: (r) => count(r.series) },
  { key: 'bytes', title: 'Bytes', number: true, cell: (r) => bytes(r.bytes) },
  { key: 'hidden', title: 'Wait for a rewrite', number: true, cell: (r) => bytes(r.hiddenBytes) },
]

function Rules({ status }: { status: StorageStatus }) {
  const rules = status.retentionRules ?? []
  if (rules.length === 0) return null
  return (
    <Card title="Retention rules">
      <Grid label="Table of retention rules" columns={ruleColumns} rows={rules} id={(r) => r.match} />
    </Card>
  )
}
