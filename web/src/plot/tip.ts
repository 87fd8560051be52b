/** The box beside the crosshair. Built by hand: it changes with every move of the pointer. */
import type uPlot from 'uplot'
import { dateTime, type Zone } from '../lib/format'

export interface TipRow {
  color: string
  name: string
  value: string
  nearest: boolean
}

export class Tip {
  private readonly box = document.createElement('div')

  constructor(private readonly host: HTMLElement) {
    this.box.className = 'tip'
    this.box.hidden = true
    host.append(this.box)
  }

  show(u: uPlot, left: number, atMs: number, zone: Zone, rows: TipRow[], note: string): void {
    const head = document.createElement('div')
    head.className = 'tip-time'
    head.textContent = dateTime(atMs, zone) + (note ? ` · ${note}` : '')
    const all = rows.map((r) => {
      const row = document.createElement('div')
      row.className = r.nearest ? 'tip-row nearest' : 'tip-row'
      const dot = document.createElement('i')
      dot.style.background = r.color
      const name = document.createElement('span')
      name.textContent = r.name
      const value = document.createElement('b')
      value.textContent = r.value
      row.append(dot, name, value)
      return row
    })
    this.box.replaceChildren(head, ...all)
    this.box.hidden = false
    const x = u.bbox.left / devicePixelRatio + left
    const width = this.box.offsetWidth
    const room = this.host.clientWidth
    this.box.style.left = `${Math.max(0, x + 14 + width > room ? x - width - 14 : x + 14)}px`
    this.box.style.top = '12px'
  }

  hide(): void {
    this.box.hidden = true
  }

  remove(): void {
    this.box.remove()
  }
}
