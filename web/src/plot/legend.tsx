/** The lines of the plot as a table: filter, sort, show and hide. */
import { useMemo, useState } from 'preact/hooks'
import { Icon } from '../components/icon'
import { count, short } from '../lib/format'
import { selectorOf } from '../lib/labels'
import type { Line } from './series'

export interface LegendProps {
  lines: Line[]
  colorOf: (line: Line) => string
  hidden: ReadonlySet<string>
  /** The lines beyond the cap, which are not drawn. */
  undrawn: ReadonlySet<string>
  onHide: (hidden: Set<string>) => void
  onFocus: (id: string | undefined) => void
  letters: (query: number) => string | undefined
}

type Column = 'order' | 'name' | 'last' | 'min' | 'max' | 'avg'
const numbers = ['last', 'min', 'max', 'avg'] as const
const shownRows = 100

export function Legend({ lines, colorOf, hidden, undrawn, onHide, onFocus, letters }: LegendProps) {
  const [filter, setFilter] = useState('')
  const [sort, setSort] = useState<{ by: Column; down: boolean }>({ by: 'order', down: false })
  const [all, setAll] = useState(false)
  const rows = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
    const some = lines.filter((l) => {
      const text = selectorOf(l.labels).toLowerCase()
      return words.every((w) => text.includes(w))
    })
    if (sort.by === 'order') return undrawn.size > 0 ? some.sort((a, b) => Number(undrawn.has(a.id)) - Number(undrawn.has(b.id))) : some
    const sign = sort.down ? -1 : 1
    const by = sort.by
    return some.sort((a, b) => {
      if (by === 'name') return sign * a.name.localeCompare(b.name, 'en', { numeric: true })
      return sign * ((a[by] ?? -Infinity) - (b[by] ?? -Infinity))
    })
  }, [lines, filter, sort, undrawn])
  const shown = all ? rows : rows.slice(0, shownRows)

  const order = (by: Column) => setSort((s) => (s.by === by ? (s.down === (by !== 'name') ? { by, down: !s.down } : { by: 'order', down: false }) : { by, down: by !== 'name' }))
  const toggle = (l: Line) => {
    const next = new Set(hidden)
    if (!next.delete(l.id)) next.add(l.id)
    onHide(next)
  }
  /** Shows this line alone, or all again if it is alone already. */
  const isolate = (l: Line) => {
    const alone = !hidden.has(l.id) && lines.every((x) => x === l || hidden.has(x.id))
    onHide(alone ? new Set() : new Set(lines.filter((x) => x !== l).map((x) => x.id)))
  }
  const head = (by: Column, text: string, cls: string) => (
    <th scope="col" class={cls} aria-sort={sort.by === by ? (sort.down ? 'descending' : 'ascending') : undefined}>
      <button onClick={() => order(by)}>
        {text}
        {sort.by === by && <span aria-hidden="true">{sort.down ? '↓' : '↑'}</span>}
      </button>
    </th>
  )

  return (
    <section aria-label="Series">
      <div class="legend-tools">
        <input type="search" placeholder="Filter series" aria-label="Filter series" value={filter} onInput={(e) => setFilter(e.currentTarget.value)} />
        <span class="hint">{rows.length === lines.length ? `${count(lines.length)} series` : `${count(rows.length)} of ${count(lines.length)} series`}</span>
        {filter && rows.length > 0 && rows.length < lines.length && (
          <button class="small" onClick={() => onHide(new Set(lines.filter((l) => !rows.includes(l)).map((l) => l.id)))}>
            Show only these
          </button>
        )}
        {hidden.size > 0 && (
          <button class="small" onClick={() => onHide(new Set())}>
            Show all lines
          </button>
        )}
      </div>
      <div class="legend" tabIndex={0} role="region" aria-label="Table of series">
        <table>
          <thead>
            <tr>
              <th scope="col">
                <span class="visually-hidden">Shown</span>
              </th>
              {head('name', 'Series', '')}
              {numbers.map((n) => head(n, n, n === 'last' || n === 'max' ? 'number' : 'number extra'))}
            </tr>
          </thead>
          <tbody onMouseLeave={() => onFocus(undefined)}>
            {shown.map((l) => {
              const off = hidden.has(l.id)
              const letter = letters(l.query)
              return (
                <tr key={l.id} class={off ? 'off' : undrawn.has(l.id) ? 'undrawn' : ''} title={undrawn.has(l.id) ? 'Not drawn: other series have larger values' : undefined} onMouseEnter={() => onFocus(off ? undefined : l.id)}>
                  <td>
                    <button class="swatch" aria-pressed={!off} aria-label={`Show ${l.name}`} onClick={() => toggle(l)}>
                      <i style={{ borderColor: colorOf(l), background: off ? 'transparent' : colorOf(l) }} />
                    </button>
                  </td>
                  <td>
                    <button class="name" title="Show only this series, or all again" onClick={() => isolate(l)}>
                      <span>
                        {letter && <span class="letter">{letter}</span>}
                        {l.name}
                      </span>
                    </button>
                  </td>
                  {numbers.map((n) => (
                    <td key={n} class={n === 'last' || n === 'max' ? 'number' : 'number extra'} title={l[n] === null ? undefined : String(l[n])}>
                      {l[n] === null ? '–' : short(l[n] ?? NaN)}
                    </td>
                  ))}
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
      {rows.length > shown.length && (
        <button class="small" onClick={() => setAll(true)}>
          <Icon name="down" /> List all {count(rows.length)}
        </button>
      )}
      {rows.length === 0 && <p class="hint">No series has all of these words in its labels.</p>}
    </section>
  )
}
