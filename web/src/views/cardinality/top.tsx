/** A table of the largest, each with its part of all, how it went over the days, and what it has grown. */
import { useState } from 'preact/hooks'
import { Menu, type MenuItem } from '../../components/popover'
import { count, plural } from '../../lib/format'
import { pathOf } from '../../plot/mini'
import type { Subject } from './rules'
import { growth, sorted, type Order, type Row } from './source'

const rowsShown = 10

interface TopProps {
  title: string
  hint?: string
  unit: string
  rows: Row[]
  order: Order
  /** Of which a row is a part; 0 = of the largest row. */
  total: number
  subject: (name: string) => Subject
  actions: (s: Subject) => (MenuItem | null)[]
}

export function Top({ title, hint, unit, rows, order, total, subject, actions }: TopProps) {
  const [more, setMore] = useState(false)
  const largest = rows[0]?.value ?? 1
  return (
    <section class="card top-table" aria-label={title}>
      <header class="row">
        <h2 title={hint}>{title}</h2>
      </header>
      {rows.length === 0 && <p class="hint pad">None.</p>}
      <ol>
        {sorted(rows, order)
          .slice(0, more ? rows.length : rowsShown)
          .map((r) => (
            <li key={r.name}>
              <svg class="share" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
                <rect width={(r.value / (total || largest)) * 100} height="1" />
              </svg>
              <span class="mono top-name" title={r.name}>
                {r.name || '""'}
              </span>
              {r.counts && <Spark counts={r.counts} />}
              <span class="top-count">
                {count(r.value)} <span class="visually-hidden">{unit}</span>
                {total > 0 && <span class="muted part"> {part(r.value, total)}</span>}
              </span>
              <span class="top-delta">
                <Delta by={growth(r, order)} />
              </span>
              <Menu label={`What to do about ${r.name}`} icon="more" class="quiet" items={actions(subject(r.name))} />
            </li>
          ))}
      </ol>
      {rows.length > rowsShown && (
        <button class="small more-button" onClick={() => setMore(!more)}>
          {more ? 'Show fewer' : `Show ${plural(rows.length, 'row')}`}
        </button>
      )}
    </section>
  )
}

/** The counts of the days as a small line. */
function Spark({ counts }: { counts: (number | null)[] }) {
  const values = [...counts].reverse()
  const max = values.reduce<number>((m, v) => Math.max(m, v ?? 0), 1)
  return (
    <svg class="spark" viewBox="0 0 600 120" preserveAspectRatio="none" aria-hidden="true">
      <path d={pathOf(values, 0, max)} />
    </svg>
  )
}

/** A difference, with its sign. */
export function Delta({ by }: { by: number | undefined }) {
  if (by === undefined) return null
  if (by === 0) return <span class="delta muted">±0</span>
  return <span class={by > 0 ? 'delta up' : 'delta down'}>{by > 0 ? `+${count(by)}` : `−${count(-by)}`}</span>
}

function part(n: number, of: number): string {
  const p = (n / of) * 100
  return `${p < 1 ? '<1' : Math.round(p)} %`
}
