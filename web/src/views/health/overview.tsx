/** What comes in and what is refused, memory, and what needs attention. */
import { useRef } from 'preact/hooks'
import { requestText } from '../../api/client'
import { rejected, type Rejected } from '../../api/status'
import { Grid, type Column } from '../../components/grid'
import { Icon } from '../../components/icon'
import { ErrorNote, Loading } from '../../components/states'
import { parseExposition, total } from '../../lib/exposition'
import { ago, bytes, count, dateTime, plural, short } from '../../lib/format'
import { useAsync } from '../../lib/useAsync'
import { usePoll } from '../../lib/usePoll'
import { Card, Fact } from './facts'
import { doors, rateOf, type DoorRow, type Snapshot } from './rates'

const everyMs = 5000
const firstMs = 1000
/** Rates are those of the last minute: some doors are used every 15 seconds. */
const keptReadings = 13
const prefixes = ['tsdb_', 'process_', 'go_goroutines']

/** The newest reading of the server's own metrics, and the oldest of the last minute. */
function useReadings() {
  const answer = useAsync(async (signal): Promise<Snapshot> => {
    const { text } = await requestText('metrics', { signal })
    return { atMs: Date.now(), readings: parseExposition(text, prefixes) }
  }, [])
  const kept = useRef<Snapshot[]>([])
  if (answer.data && kept.current.at(-1) !== answer.data) kept.current = [...kept.current, answer.data].slice(-keptReadings)
  usePoll(answer.reload, kept.current.length > 1 ? everyMs : firstMs) // rates need two readings
  return { ...answer, before: kept.current.length > 1 ? kept.current[0] : undefined }
}

export function Overview() {
  const { data: now, before, error, loading, reload } = useReadings()
  if (error && !now) return <ErrorNote error={error} retry={reload} />
  if (!now) return loading ? <Loading what="the state of the server" /> : null
  const get = (name: string) => total(now.readings, name)
  const resident = get('process_resident_memory_bytes') ?? 0
  const limit = get('tsdb_memory_limit_bytes') ?? 0
  const queryMemory = get('tsdb_query_memory_bytes') ?? 0
  const queryLimit = get('tsdb_query_memory_limit_bytes') ?? 0
  const inflow = rateOf(now, before, 'tsdb_ingested_samples_total')
  const refused = rateOf(now, before, 'tsdb_rejected_samples_total')
  const cpu = rateOf(now, before, 'process_cpu_seconds_total')
  const started = get('process_start_time_seconds')
  const version = now.readings.find((r) => r.name === 'tsdb_build_info')?.labels['version'] ?? ''
  return (
    <>
      {error && <ErrorNote error={error} retry={reload} />}
      {!error && <Attention />}
      <dl class="facts eight">
        <Fact title="Samples per second" value={inflow === undefined ? '…' : short(Math.round(inflow * 10) / 10)} more={`${short(get('tsdb_ingested_samples_total') ?? 0)} since the start`} />
        <Fact title="Refused per second" value={refused === undefined ? '…' : short(refused)} more={`${short(get('tsdb_rejected_samples_total') ?? 0)} since the start`} />
        <Fact title="Series in the head" value={count(get('tsdb_head_series') ?? 0)} more={`${short(get('tsdb_head_samples') ?? 0)} samples in ${bytes(get('tsdb_head_bytes') ?? 0)}`} />
        <Fact title="Memory" value={bytes(resident)} part={limit > 0 ? resident / limit : undefined} more={limit > 0 ? `of ${bytes(limit)}` : ''} />
        <Fact title="Memory of queries" value={bytes(queryMemory)} part={queryLimit > 0 ? queryMemory / queryLimit : undefined} more={queryLimit > 0 ? `of ${bytes(queryLimit)}` : 'without a limit'} />
        <Fact title="Free disk space" value={bytes(get('tsdb_disk_free_bytes') ?? 0)} more={`${bytes(get('tsdb_block_bytes') ?? 0)} in blocks, ${bytes(get('tsdb_wal_bytes') ?? 0)} in the WAL`} />
        <Fact title="CPUs in use" value={cpu === undefined ? '…' : short(Math.round(cpu * 100) / 100)} more={`${plural(get('go_goroutines') ?? 0, 'goroutine')}`} />
        <Fact title="Running for" value={started ? ago(started * 1000, Date.now()).replace(' ago', '') : '–'} more={version && `version ${version}`} />
      </dl>
      <Doors rows={doors(now, before)} />
      <Refusals />
    </>
  )
}

/** Warnings of the health page, which names failing work and damaged blocks. */
function Attention() {
  const health = useAsync((signal) => requestText('-/healthy', { signal }), [])
  usePoll(health.reload, 15_000)
  if (!health.data) return null
  const lines = health.data.text.trim().split('\n').filter(Boolean)
  const well = health.data.status === 200 && lines.length === 1 && lines[0] === 'tsdb is healthy.'
  if (well) {
    return (
      <p class="note good" role="status">
        <Icon name="check" />
        <span>The server is healthy: writes are taken, no work fails, and all blocks can be read.</span>
      </p>
    )
  }
  return (
    <div class={health.data.status === 200 ? 'note warning' : 'note error'} role="alert">
      <Icon name="warn" />
      <div>
        {lines.map((l) => (
          <p key={l}>{l}</p>
        ))}
      </div>
    </div>
  )
}

const doorColumns: Column<DoorRow>[] = [
  { key: 'door', title: 'Door', sort: (d) => d.door, cell: (d) => <code>{d.door}</code> },
  { key: 'rate', title: 'Samples/s', number: true, sort: (d) => d.perSecond ?? 0, cell: (d) => (d.perSecond === undefined ? <span class="muted">…</span> : short(Math.round(d.perSecond * 10) / 10)) },
  { key: 'samples', title: 'Samples', hint: 'Acknowledged since the start', number: true, sort: (d) => d.samples, cell: (d) => count(d.samples) },
  { key: 'rejected', title: 'Refused', hint: 'Samples, since the start', number: true, sort: (d) => d.rejected, cell: (d) => (d.rejected > 0 ? <span class="delta up">{count(d.rejected)}</span> : <span class="muted">0</span>) },
  { key: 'series', title: 'Series', hint: 'In memory', number: true, sort: (d) => d.series, cell: (d) => count(d.series) },
  { key: 'created', title: 'Created', hint: 'Series since the start', number: true, sort: (d) => d.created, cell: (d) => count(d.created) },
]

function Doors({ rows }: { rows: DoorRow[] }) {
  return (
    <Card title="Doors">
      {rows.length > 0 ? <Grid label="Doors" columns={doorColumns} rows={rows} id={(d) => d.door} /> : <p class="hint pad">Nothing has been written since the start.</p>}
    </Card>
  )
}

function Refusals() {
  const found = useAsync((signal) => rejected({ signal }), [])
  usePoll(found.reload, 15_000)
  const list = found.data?.data.rejected ?? []
  return (
    <Card title="Refused samples" side={found.data && <span class="hint">since {dateTime(Math.floor(Date.parse(found.data.data.since) / 1000) * 1000, 'local')}</span>}>
      {found.error && <ErrorNote error={found.error} retry={found.reload} />}
      {found.loading && !found.data && <p class="hint pad">Loading what is refused…</p>}
      {found.data && list.length === 0 && <p class="hint pad">None: every sample has been taken.</p>}
      <ul class="refusals">
        {list.map((r) => (
          <Refusal key={r.door + r.reason} refusal={r} />
        ))}
      </ul>
    </Card>
  )
}

function Refusal({ refusal: r }: { refusal: Rejected }) {
  return (
    <li>
      <details>
        <summary>
          <code>{r.reason}</code> at the door <code>{r.door}</code>
          <span class="muted">
            {' '}
            {plural(r.samples, 'sample')} in {plural(r.requests, 'request')}
            {r.last[0] && `, last ${ago(Date.parse(r.last[0].time), Date.now())}`}
          </span>
        </summary>
        <ol>
          {r.last.map((l, i) => (
            <li key={i}>
              <span class="muted">{dateTime(Math.floor(Date.parse(l.time) / 1000) * 1000, 'local')}</span> {l.detail}
              {l.series && <code> {l.series}</code>}
            </li>
          ))}
        </ol>
      </details>
    </li>
  )
}
