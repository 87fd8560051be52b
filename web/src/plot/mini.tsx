/** A small plot of a few lines, drawn as SVG: for views that show many at once. */
import { useRef, useState } from 'preact/hooks'
import { dateTime, short, type Zone } from '../lib/format'
import { seriesColor } from '../lib/palette'
import { useTheme } from '../lib/useTheme'

export interface MiniLine {
  name: string
  values: (number | null)[]
}

interface MiniPlotProps {
  /** Unix seconds, ascending. */
  times: number[]
  lines: MiniLine[]
  label: string
  zone: Zone
  /** Of a value, for people; default: short. */
  format?: (v: number) => string
}

const width = 600
const height = 120

/** The lines as paths; gaps stay gaps, and a lone sample is a dot. */
export function pathOf(values: (number | null)[], min: number, max: number): string {
  const x = (i: number) => (values.length > 1 ? (i / (values.length - 1)) * width : width / 2)
  const y = (v: number) => height - 3 - ((v - min) / (max - min || 1)) * (height - 6)
  let d = ''
  let open = false
  values.forEach((v, i) => {
    if (v === null || !Number.isFinite(v)) {
      open = false
      return
    }
    const point = `${x(i).toFixed(1)} ${y(v).toFixed(1)}`
    const alone = !open && !Number.isFinite(values[i + 1] ?? NaN)
    d += alone ? `M${point}h.01` : `${open ? 'L' : 'M'}${point}`
    open = true
  })
  return d
}

export function MiniPlot({ times, lines, label, zone, format = short }: MiniPlotProps) {
  const [at, setAt] = useState<number>()
  useTheme() // the colours of the lines
  const box = useRef<HTMLDivElement>(null)
  const finite = lines.flatMap((l) => l.values.filter((v): v is number => v !== null && Number.isFinite(v)))
  const max = finite.reduce((a, b) => Math.max(a, b), -Infinity)
  const low = finite.reduce((a, b) => Math.min(a, b), Infinity)
  // Amounts stand on zero, unless that would flatten all there is to see.
  const min = low >= 0 && low < max * 0.7 ? 0 : low
  const move = (e: PointerEvent) => {
    const r = box.current?.getBoundingClientRect()
    if (!r || r.width === 0) return
    setAt(Math.max(0, Math.min(times.length - 1, Math.round(((e.clientX - r.left) / r.width) * (times.length - 1)))))
  }
  const key = (e: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key]
    if (!by) return
    e.preventDefault()
    setAt(Math.max(0, Math.min(times.length - 1, (at ?? times.length - 1) + by)))
  }
  if (finite.length === 0) return <p class="mini-none muted">No samples in this range.</p>
  const shown = at ?? times.length - 1
  const lastOf = (l: MiniLine) => (at === undefined ? (l.values.findLast((v) => v !== null) ?? null) : (l.values[shown] ?? null))
  return (
    <div class="mini">
      <div class="mini-body" ref={box} role="img" tabIndex={0} aria-label={`${label}: ${lines.map((l) => `${l.name} ${text(lastOf(l), format)}`).join(', ')}`} onPointerMove={move} onPointerLeave={() => setAt(undefined)} onKeyDown={key} onBlur={() => setAt(undefined)}>
        <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
          <path class="mini-grid" d={`M0 ${height / 2}H${width}M0 ${height - 0.5}H${width}M0 .5H${width}`} />
          {lines.map((l, i) => (
            <path key={l.name} class="mini-line" d={pathOf(l.values, min, max)} stroke={seriesColor(i)} />
          ))}
          {at !== undefined && <path class="mini-cross" d={`M${(at / Math.max(times.length - 1, 1)) * width} 0V${height}`} />}
        </svg>
        <span class="mini-max" aria-hidden="true">{format(max)}</span>
        <span class="mini-min" aria-hidden="true">{format(min)}</span>
      </div>
      <div class="mini-foot" aria-hidden="true">
        {lines.map((l, i) => (
          <span key={l.name} class="mini-name">
            <svg class="dot" viewBox="0 0 8 8">
              <circle cx="4" cy="4" r="4" fill={seriesColor(i)} />
            </svg>
            {l.name} <b>{text(lastOf(l), format)}</b>
          </span>
        ))}
        <span class="muted">{dateTime(Math.round((times[shown] ?? 0) * 1000), zone)}</span>
      </div>
    </div>
  )
}

function text(v: number | null, format: (v: number) => string): string {
  return v === null ? '–' : format(v)
}
