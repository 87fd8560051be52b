/** The answer at one time as a table, a column for each label that differs. */
import { useMemo, useState } from 'preact/hooks'
import type { HistogramValue, InstantData, InstantSeries, Point } from '../../api/query'
import { count, dateTime, plural, short, type Zone } from '../../lib/format'
import { differing, selectorOf } from '../../lib/labels'
import { letter } from './state'
import type { Run } from './run'

const shownRows = 500
const maxColumns = 12

export function Tables({ runs, zone, letters }: { runs: (Run | undefined)[]; zone: Zone; letters: boolean }) {
  return (
    <>
      {runs.map((r, i) => r?.instant && <Table key={i} data={r.instant} zone={zone} title={letters ? `${letter(i)}  ${r.expr}` : r.expr} />)}
    </>
  )
}

function Table({ data, zone, title }: { data: InstantData; zone: Zone; title: string }) {
  if (data.resultType === 'scalar' || data.resultType === 'string') {
    return (
      <p class="scalar">
        {data.resultType} <strong class="mono">{data.result[1]}</strong> at {dateTime(data.result[0] * 1000, zone)}
      </p>
    )
  }
  return data.result.length === 0 ? null : <Vector rows={data.result} zone={zone} title={title} />
}

function Vector({ rows, zone, title }: { rows: InstantSeries[]; zone: Zone; title: string }) {
  const [sort, setSort] = useState<{ by: string; down: boolean }>()
  const [all, setAll] = useState(false)
  const d = useMemo(() => differing(rows.map((r) => r.metric)), [rows])
  const wide = d.names.length > maxColumns
  const columns = wide ? [] : d.names
  const sorted = useMemo(() => {
    if (!sort) return rows
    const sign = sort.down ? -1 : 1
    const number = (r: InstantSeries) => Number(r.value?.[1].replace('Inf', 'Infinity') ?? r.histogram?.[1].count ?? NaN)
    const text = (r: InstantSeries) => (sort.by === ' series' ? selectorOf(r.metric) : (r.metric[sort.by] ?? ''))
    return [...rows].sort((a, b) => sign * (sort.by === ' value' ? number(a) - number(b) : text(a).localeCompare(text(b), 'en', { numeric: true })))
  }, [rows, sort])
  const shown = all ? sorted : sorted.slice(0, shownRows)
  const head = (by: string, text: string, cls = '') => (
    <th scope="col" role="columnheader" class={cls} aria-sort={sort?.by === by ? (sort.down ? 'descending' : 'ascending') : undefined}>
      <button onClick={() => setSort((s) => ({ by, down: s?.by === by ? !s.down : by === ' value' }))}>
        {text}
        {sort?.by === by && <span aria-hidden="true">{sort.down ? '↓' : '↑'}</span>}
      </button>
    </th>
  )
  const commonText = rows.length > 1 && Object.keys(d.common).length > 0 ? selectorOf(d.common) : ''
  const at = rows[0]?.value?.[0] ?? rows[0]?.histogram?.[0]
  return (
    <section class="answer-table" aria-label={`Answer of ${title}`}>
      <p class="hint">
        {at !== undefined && `Values at ${dateTime(Math.round(at * 1000), zone)}. `}
        {commonText && (
          <>
            All have <code>{commonText}</code>
          </>
        )}
      </p>
      <div class="scroll cards values" tabIndex={0} role="region" aria-label="Table of values">
        <table role="table">
          <thead role="rowgroup">
            <tr role="row">
              {columns.length > 0 ? columns.map((c) => head(c, c === '__name__' ? 'metric' : c)) : head(' series', 'series')}
              {head(' value', 'value', 'number')}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {shown.map((r) => (
              <tr key={selectorOf(r.metric)} role="row">
                {columns.length > 0 ? (
                  columns.map((c) => <td key={c} role="cell" data-title={c === '__name__' ? 'metric' : c}>{r.metric[c] ?? <span class="muted">–</span>}</td>)
                ) : (
                  <td role="cell" class="mono">{selectorOf(r.metric)}</td>
                )}
                <td role="cell" class="number">{valueOf(r, zone)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {sorted.length > shown.length && (
        <button class="small" onClick={() => setAll(true)}>
          Show all {count(sorted.length)} rows
        </button>
      )}
    </section>
  )
}

function valueOf(r: InstantSeries, zone: Zone) {
  if (r.value) return r.value[1]
  if (r.histogram) return histogramText(r.histogram[1])
  if (r.values) return <Samples points={r.values} zone={zone} />
  return plural(r.histograms?.length ?? 0, 'histogram')
}

function histogramText(h: HistogramValue): string {
  return `count ${h.count}, sum ${short(Number(h.sum))}, ${plural(h.buckets?.length ?? 0, 'bucket')}`
}

const shownSamples = 20

function Samples({ points, zone }: { points: Point[]; zone: Zone }) {
  return (
    <>
      {points.slice(-shownSamples).map(([t, v]) => (
        <div key={t}>
          {v} <span class="muted">@ {dateTime(Math.round(t * 1000), zone)}</span>
        </div>
      ))}
      {points.length > shownSamples && <div class="muted">the newest {shownSamples} of {count(points.length)}</div>}
    </>
  )
}
