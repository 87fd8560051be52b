/** Draws heat maps on uPlot's canvas. */
import type uPlot from 'uplot'
import { short } from '../lib/format'
import type { HeatMap } from './histogram'
import type { TipRow } from './tip'

/** How strong a cell is, 0 to 1: logarithmic, since counts differ by magnitudes. */
export function strength(count: number, max: number): number {
  return count > 0 && max > 0 ? 0.08 + (0.92 * Math.log1p((count / max) * 99)) / Math.log(100) : 0
}

export function drawHeat(u: uPlot, heat: HeatMap, times: number[], color: string): void {
  const { ctx, bbox } = u
  const step = (times[1] ?? 0) - (times[0] ?? 0) || 1
  const ys = heat.bounds.map((b) => Math.round(u.valToPos(b, 'y', true)))
  ctx.save()
  ctx.beginPath()
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
  ctx.clip()
  ctx.fillStyle = color
  heat.counts.forEach((column, i) => {
    const t = times[i] ?? 0
    const x0 = Math.round(u.valToPos(t - step, 'x', true)) // a step shows what came before it
    const x1 = Math.round(u.valToPos(t, 'x', true))
    column.forEach((count, row) => {
      const s = strength(count, heat.max)
      if (s === 0) return
      ctx.globalAlpha = s
      const top = ys[row + 1] ?? 0
      ctx.fillRect(x0, top, Math.max(x1 - x0, 1), Math.max((ys[row] ?? 0) - top, 1))
    })
  })
  ctx.restore()
}

/** The buckets at a time, the pointer's first. */
export function heatTip(u: uPlot, heat: HeatMap, column: number): TipRow[] {
  const counts = heat.counts[column]
  if (!counts) return []
  const y = u.posToVal(u.cursor.top ?? 0, 'y')
  const at = heat.bounds.findIndex((b, i) => y >= b && y < (heat.bounds[i + 1] ?? Infinity))
  const rows: TipRow[] = []
  for (let r = Math.min(at + 3, counts.length - 1); r >= Math.max(at - 3, 0); r--) {
    rows.push({ color: 'var(--accent)', name: `${short(heat.bounds[r] ?? 0)} – ${short(heat.bounds[r + 1] ?? 0)}`, value: short(counts[r] ?? 0), nearest: r === at })
  }
  return rows
}
