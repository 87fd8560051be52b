/** A table whose rows are sorted by a column, and shown in parts; on a phone a card for each row. */
import type { ComponentChildren } from 'preact'
import { useEffect, useMemo, useState } from 'preact/hooks'
import { count } from '../lib/format'

export interface Column<T> {
  key: string
  title: string
  /** What it means, for a pointer that rests on the title. */
  hint?: string
  number?: boolean
  /** By what the rows are sorted; without it the column is not. */
  sort?: (row: T) => number | string
  class?: string
  cell: (row: T) => ComponentChildren
}

interface GridProps<T> {
  label: string
  columns: Column<T>[]
  rows: T[]
  id: (row: T) => string
  /** The column that sorts at first; it falls from the largest if it is one of numbers. */
  by?: string
  /** Rows shown at first. */
  limit?: number
  /** Told which rows are shown. */
  onShown?: (rows: T[]) => void
}

export function Grid<T>({ label, columns, rows, id, by, limit = 50, onShown }: GridProps<T>) {
  const [sort, setSort] = useState(() => ({ by, down: columns.find((c) => c.key === by)?.number ?? false }))
  const [size, setSize] = useState(limit)
  const sorted = useMemo(() => {
    const value = columns.find((c) => c.key === sort.by)?.sort
    if (!value) return rows
    const sign = sort.down ? -1 : 1
    return [...rows].sort((a, b) => {
      const x = value(a)
      const y = value(b)
      return sign * (typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y), 'en', { numeric: true }))
    })
  }, [rows, sort.by, sort.down])
  const shown = sorted.slice(0, size)
  useEffect(() => onShown?.(shown), [sorted, size])
  return (
    <>
      <div class="scroll grid cards" tabIndex={0} role="region" aria-label={label}>
        {/* The roles are those of the elements, which browsers take away when a style lays them out as blocks. */}
        <table role="table">
          <thead role="rowgroup">
            <tr role="row">
              {columns.map((c) => (
                <th key={c.key} scope="col" role="columnheader" class={`${c.number ? 'number' : ''} ${c.class ?? ''}`} title={c.hint} aria-sort={sort.by === c.key ? (sort.down ? 'descending' : 'ascending') : undefined}>
                  {c.sort ? (
                    <button onClick={() => setSort((s) => ({ by: c.key, down: s.by === c.key ? !s.down : (c.number ?? false) }))}>
                      {c.title}
                      {sort.by === c.key && <span aria-hidden="true">{sort.down ? '↓' : '↑'}</span>}
                    </button>
                  ) : (
                    c.title
                  )}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {shown.map((r) => (
              <tr key={id(r)} role="row">
                {columns.map((c) => (
                  <td key={c.key} role="cell" data-title={c.title} class={`${c.number ? 'number' : ''} ${c.class ?? ''}`}>
                    {c.cell(r)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {sorted.length > shown.length && (
        <p class="row more-rows">
          <button class="small" onClick={() => setSize(size + limit * 4)}>
            Show more
          </button>
          <span class="hint">
            {count(shown.length)} of {count(sorted.length)}
          </span>
        </p>
      )}
    </>
  )
}
