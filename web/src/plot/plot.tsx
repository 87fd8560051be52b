/** The plot: lines, stacked areas or a heat map over time, drawn by uPlot. */
import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { short, tick, type Zone } from '../lib/format'
import { color } from '../lib/theme'
import { useTheme } from '../lib/useTheme'
import { drawHeat, heatTip } from './heat'
import type { HeatMap } from './histogram'
import { drawn, stack } from './series'
import { Tip, type TipRow } from './tip'

export interface PlotLine {
  id: string
  name: string
  color: string
  values: (number | null)[]
}

export interface PlotProps {
  /** Unix seconds, ascending. */
  times: number[]
  lines: PlotLine[]
  heat?: HeatMap | undefined
  stacked: boolean
  log: boolean
  zone: Zone
  startMs: number
  endMs: number
  /** The line to stress, by its id. */
  focus?: string | undefined
  label: string
  onZoom: (startMs: number, endMs: number) => void
  /** Where the plot's area begins and how wide it is, in CSS pixels, for what stands below it. */
  onBox?: (left: number, width: number) => void
}

const height = 360

export function Plot(props: PlotProps) {
  const { times, lines, heat, stacked, log, zone, startMs, endMs } = props
  const host = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(null)
  const now = useRef(props)
  now.current = props
  const dark = useTheme()
  const [spoken, setSpoken] = useState('')

  useEffect(() => {
    const root = host.current!
    const tip = new Tip(root)
    const shown = lines.map((l) => drawn(l.values, log && !stacked))
    const data = stacked ? stack(shown) : shown
    const style = { grid: color('--plot-grid'), axis: color('--plot-axis'), font: `11px ${getComputedStyle(root).fontFamily}` }
    const axis = { stroke: style.axis, font: style.font, grid: { stroke: style.grid, width: 1 }, ticks: { stroke: style.grid, width: 1, size: 4 } }
    const dense = lines.length > 60

    const opts: uPlot.Options = {
      width: root.clientWidth,
      height,
      legend: { show: false },
      cursor: {
        points: { show: false },
        drag: { x: true, y: false, setScale: false },
        focus: { prox: -1 },
        y: heat !== undefined,
      },
      select: { show: true, left: 0, top: 0, width: 0, height: 0 },
      scales: {
        x: { time: true, range: () => [startMs / 1000, endMs / 1000] },
        y: yScale(heat, log && !stacked, stacked),
      },
      axes: [
        {
          ...axis,
          space: 70,
          size: 34,
          values: (_u, splits) => {
            const step = splits.length > 1 ? ((splits[1] ?? 0) - (splits[0] ?? 0)) * 1000 : endMs - startMs
            return splits.map((s) => tick(s * 1000, step, zone))
          },
        },
        {
          ...axis,
          size: (u, values) => axisWidth(u, values),
          ...(heat ? { splits: (u: uPlot) => boundTicks(u, heat.bounds) } : {}),
          values: (_u, splits) => splits.map((v) => (v === null || v === undefined ? '' : short(v))),
        },
      ],
      series: [
        {},
        ...lines.map((l): uPlot.Series => ({
          stroke: l.color,
          width: dense ? 1 : 1.5,
          ...(stacked ? { fill: l.color + '55' } : {}),
          points: dense ? { show: false } : { size: 5, fill: l.color },
          spanGaps: false,
        })),
        ...(heat ? [{ show: true, paths: () => null, points: { show: false } } as uPlot.Series] : []),
      ],
      ...(stacked ? { bands: lines.slice(1).map((_, i) => ({ series: [i + 2, i + 1] as [number, number] })) } : {}),
      hooks: {
        setCursor: [
          (u) => {
            const i = u.cursor.idx
            const left = u.cursor.left ?? -1
            if (i === null || i === undefined || left < 0) return tip.hide()
            const at = (times[i] ?? 0) * 1000
            if (heat) return tip.show(u, left, at, zone, heatTip(u, heat, i), heat.kind === 'native' ? 'native histograms' : 'buckets')
            return tip.show(u, left, at, zone, tipRows(u, i, lines, data), lines.length > maxTipRows ? `nearest of ${lines.length}` : '')
          },
        ],
        setSelect: [
          (u) => {
            if (u.select.width < 4) return
            const from = u.posToVal(u.select.left, 'x') * 1000
            const to = u.posToVal(u.select.left + u.select.width, 'x') * 1000
            u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
            tip.hide()
            now.current.onZoom(Math.round(from), Math.round(to))
          },
        ],
        draw: [
          (u) => {
            if (heat) drawHeat(u, heat, times, color('--accent'))
            now.current.onBox?.(Math.round(u.bbox.left / devicePixelRatio), Math.round(u.bbox.width / devicePixelRatio))
          },
        ],
      },
    }
    if (zone === 'utc') opts.tzDate = (ts) => uPlot.tzDate(new Date(ts * 1000), 'Etc/UTC')
    const u = new uPlot(opts, [times, ...data, ...(heat ? [times.map(() => null)] : [])] as uPlot.AlignedData, root)
    plot.current = u
    const resize = new ResizeObserver(() => {
      if (root.clientWidth > 0 && root.clientWidth !== u.width) {
        u.setSize({ width: root.clientWidth, height })
      }
    })
    resize.observe(root)
    return () => {
      resize.disconnect()
      u.destroy()
      tip.remove()
      plot.current = null
    }
  }, [times, lines, heat, stacked, log, zone, startMs, endMs, dark])

  useEffect(() => {
    const u = plot.current
    if (!u) return
    const i = lines.findIndex((l) => l.id === props.focus)
    u.series.forEach((s, n) => {
      if (n > 0) s.alpha = i < 0 || n === i + 1 ? 1 : 0.15
    })
    u.redraw(false)
  }, [props.focus, lines])

  const move = (e: KeyboardEvent) => {
    const u = plot.current
    if (!u) return
    const span = endMs - startMs
    if (e.key === 'ArrowLeft' || e.key === 'ArrowRight') {
      const step = (e.shiftKey ? 10 : 1) * (e.key === 'ArrowLeft' ? -1 : 1)
      const i = Math.min(times.length - 1, Math.max(0, (u.cursor.idx ?? (step > 0 ? -1 : times.length)) + step))
      u.setCursor({ left: u.valToPos(times[i] ?? 0, 'x'), top: u.bbox.height / devicePixelRatio / 2 })
      const values = lines.slice(0, 5).map((l) => `${l.name}: ${l.values[i] === null ? 'none' : short(l.values[i] ?? NaN)}`)
      setSpoken(`${new Date((times[i] ?? 0) * 1000).toLocaleString()}. ${values.join(', ')}`)
    } else if (e.key === '+' || e.key === '=') {
      const mid = u.cursor.idx !== null && u.cursor.idx !== undefined && (u.cursor.left ?? -1) >= 0 ? (times[u.cursor.idx] ?? 0) * 1000 : (startMs + endMs) / 2
      now.current.onZoom(Math.round(mid - span / 4), Math.round(mid + span / 4))
    } else if (e.key === '-') now.current.onZoom(startMs - span / 2, endMs + span / 2)
    else if (e.key === 'Escape') u.setCursor({ left: -10, top: -10 })
    else return
    e.preventDefault()
  }

  return (
    <>
      <div class="plot" ref={host} tabIndex={0} role="group" aria-label={`${props.label}. Arrow keys move along the time, plus and minus zoom.`} onKeyDown={move} />
      <p class="visually-hidden" aria-live="polite">
        {spoken}
      </p>
    </>
  )
}

function yScale(heat: HeatMap | undefined, log: boolean, stacked: boolean): uPlot.Scale {
  if (heat) {
    const lo = heat.bounds[0] ?? 0
    const hi = heat.bounds.at(-1) ?? 1
    return { distr: lo > 0 ? 3 : 1, range: () => [lo, hi] }
  }
  // Areas show amounts, so they stand on zero.
  if (stacked) return { range: (_u, min, max) => uPlot.rangeNum(Math.min(0, min), Math.max(0, max), 0.1, true) }
  return log ? { distr: 3 } : {}
}

const minTickGap = 18

/** Ticks at the bounds of buckets that are far enough apart to be labelled. */
function boundTicks(u: uPlot, bounds: number[]): number[] {
  let last = Infinity
  return bounds.filter((b) => {
    const y = u.valToPos(b, 'y')
    if (last - y < minTickGap) return false
    last = y
    return true
  })
}

/** As wide as the longest label. */
function axisWidth(u: uPlot, values: string[] | null): number {
  const longest = (values ?? []).reduce((a, b) => (b && b.length > a.length ? b : a), '')
  if (!longest) return 40
  u.ctx.save()
  u.ctx.font = `${11 * devicePixelRatio}px system-ui`
  const width = u.ctx.measureText(longest).width / devicePixelRatio
  u.ctx.restore()
  return Math.ceil(width) + 18
}

const maxTipRows = 12

/** The values at a time, the largest first; of many lines those nearest to the pointer. */
function tipRows(u: uPlot, i: number, lines: PlotLine[], data: (number | null)[][]): TipRow[] {
  const y = u.cursor.top ?? 0
  const rows: (TipRow & { distance: number; at: number })[] = []
  for (let n = 0; n < lines.length; n++) {
    const at = data[n]?.[i]
    const line = lines[n]
    if (at === null || at === undefined || !line) continue
    rows.push({ color: line.color, name: line.name, value: short(line.values[i] ?? NaN), at, distance: Math.abs(u.valToPos(at, 'y') - y), nearest: false })
  }
  rows.sort((a, b) => a.distance - b.distance)
  const near = rows.slice(0, maxTipRows)
  const first = near[0]
  if (first && near.length > 1) first.nearest = true
  return near.sort((a, b) => b.at - a.at)
}
