/** Chooses the range of times shown: the last hour, or from … to …. */
import { useState } from 'preact/hooks'
import { dateTime, duration, parseDuration, parseTime, type Zone } from '../lib/format'
import { Icon } from './icon'
import { Popover } from './popover'

export interface Range {
  rangeMs: number
  /** undefined = now */
  endMs: number | undefined
}

interface RangePickerProps extends Range {
  zone: Zone
  onChange: (range: Range) => void
  onZone: (zone: Zone) => void
}

const lengths = ['5m', '15m', '30m', '1h', '3h', '6h', '12h', '1d', '2d', '1w', '30d', '90d', '1y']
const names: Record<string, string> = { '1d': '24 hours', '2d': '2 days', '1w': '7 days', '30d': '30 days', '90d': '90 days', '1y': 'a year', '1h': 'hour' }

function nameOf(text: string): string {
  return names[text] ?? text.replace(/m$/, ' minutes').replace(/h$/, ' hours')
}

export function rangeText({ rangeMs, endMs }: Range, zone: Zone): string {
  if (endMs === undefined) {
    const text = duration(rangeMs)
    return `Last ${lengths.includes(text) ? nameOf(text) : text}`
  }
  const from = dateTime(endMs - rangeMs, zone)
  const to = dateTime(endMs, zone)
  return `${trimSeconds(from)} – ${trimSeconds(from.slice(0, 10) === to.slice(0, 10) ? to.slice(11) : to)}`
}

function trimSeconds(s: string): string {
  return s.replace(/:00$/, '')
}

export function RangePicker({ rangeMs, endMs, zone, onChange, onZone }: RangePickerProps) {
  const end = () => endMs ?? Date.now()
  const shift = (by: number) => onChange({ rangeMs, endMs: Math.min(end() + by * rangeMs, Date.now() + rangeMs) })
  return (
    <div class="row range">
      <button class="quiet" aria-label="Earlier" title="Earlier" onClick={() => shift(-0.5)}>
        <Icon name="left" />
      </button>
      <Popover text={<span>{rangeText({ rangeMs, endMs }, zone)}</span>} label={`Range: ${rangeText({ rangeMs, endMs }, zone)}. Change it`} icon="clock">
        {(close) => <Choice rangeMs={rangeMs} endMs={endMs} zone={zone} onChange={onChange} onZone={onZone} close={close} />}
      </Popover>
      <button class="quiet" aria-label="Later" title="Later" disabled={endMs === undefined} onClick={() => shift(0.5)}>
        <Icon name="right" />
      </button>
      <button class="quiet" aria-label="Zoom out" title="Zoom out" onClick={() => onChange({ rangeMs: rangeMs * 2, endMs: endMs === undefined ? undefined : endMs + rangeMs / 2 })}>
        <Icon name="out" />
      </button>
    </div>
  )
}

function Choice({ rangeMs, endMs, zone, onChange, onZone, close }: RangePickerProps & { close: () => void }) {
  const until = endMs ?? Date.now()
  const [from, setFrom] = useState(trimSeconds(dateTime(Math.floor((until - rangeMs) / 1000) * 1000, zone)))
  const [to, setTo] = useState(endMs === undefined ? 'now' : trimSeconds(dateTime(endMs, zone)))
  const [last, setLast] = useState('')
  const [wrong, setWrong] = useState('')
  const pick = (range: Range) => {
    onChange(range)
    close()
  }
  const apply = (e: Event) => {
    e.preventDefault()
    if (last.trim()) {
      const ms = parseDuration(last)
      if (ms === undefined) return setWrong('Write a duration such as 45m, 36h or 10d.')
      return pick({ rangeMs: ms, endMs: undefined })
    }
    const a = parseTime(from, zone)
    const b = to.trim() === 'now' ? Date.now() : parseTime(to, zone)
    if (a === undefined || b === undefined) return setWrong('Write times as 2026-11-30 14:05, or now.')
    if (a >= b) return setWrong('The range must begin before it ends.')
    pick({ rangeMs: b - a, endMs: to.trim() === 'now' ? undefined : b })
  }
  return (
    <div class="range-choice">
      <div>
        <h3>Last</h3>
        <div class="range-lengths">
          {lengths.map((l) => (
            <button key={l} class="small" aria-pressed={endMs === undefined && duration(rangeMs) === l} onClick={() => pick({ rangeMs: parseDuration(l) ?? rangeMs, endMs: undefined })}>
              {nameOf(l)}
            </button>
          ))}
        </div>
      </div>
      <form class="range-form" onSubmit={apply}>
        <label class="field">
          <span>Another length</span>
          <input placeholder="36h" value={last} onInput={(e) => setLast(e.currentTarget.value)} />
        </label>
        <label class="field">
          <span>From</span>
          <input value={from} onInput={(e) => setFrom(e.currentTarget.value)} />
        </label>
        <label class="field">
          <span>To</span>
          <input value={to} onInput={(e) => setTo(e.currentTarget.value)} />
        </label>
        {wrong && (
          <p class="hint" role="alert">
            {wrong}
          </p>
        )}
        <div class="row">
          <button class="primary" type="submit">
            Apply
          </button>
          <div class="segmented" role="group" aria-label="Time zone">
            {(['local', 'utc'] as const).map((z) => (
              <button key={z} type="button" aria-pressed={zone === z} onClick={() => onZone(z)}>
                {z === 'utc' ? 'UTC' : 'Local'}
              </button>
            ))}
          </div>
        </div>
      </form>
    </div>
  )
}
