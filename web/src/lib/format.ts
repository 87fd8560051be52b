/** Numbers, sizes, durations and times as people read them. Pure. */

const prefixes = ['', 'k', 'M', 'G', 'T', 'P', 'E']

/** A value in at most five characters and a prefix: 1.234k. For axes and legends. */
export function short(v: number): string {
  if (Number.isNaN(v)) return 'NaN'
  if (!Number.isFinite(v)) return v > 0 ? '+Inf' : '-Inf'
  const a = Math.abs(v)
  if (a === 0) return '0'
  if (a >= 1e21 || a < 1e-6) return v.toExponential(2).replace('e+', 'e')
  if (a < 1000) return trim(v, 4)
  let i = 0
  let x = v
  while (Math.abs(x) >= 999.95 && i < prefixes.length - 1) {
    x /= 1000
    i++
  }
  return trim(x, 4) + prefixes[i]
}

function trim(v: number, digits: number): string {
  return String(Number(v.toPrecision(digits)))
}

/** A whole number with separators: 12,345. */
export function count(n: number): string {
  return n.toLocaleString('en-US')
}

/** "1 sample", "2,000 samples". */
export function plural(n: number, one: string, many = one + 's'): string {
  return `${count(n)} ${n === 1 ? one : many}`
}

export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let i = 0
  while (n >= 1024 && i < units.length - 1) {
    n /= 1024
    i++
  }
  return `${i === 0 ? n : trim(n, n >= 1000 ? 4 : 3)} ${units[i]}`
}

/** A time that passed: 0.4 ms, 12 ms, 1.2 s, 3 min. */
export function took(ms: number): string {
  if (ms < 1) return `${trim(ms, 2)} ms`
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${trim(ms / 1000, 3)} s`
  return `${trim(ms / 60_000, 3)} min`
}

const unitsMs: [string, number][] = [
  ['y', 365 * 86_400_000],
  ['w', 7 * 86_400_000],
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
]

/** A duration as PromQL writes it: 1h30m. */
export function duration(ms: number): string {
  if (ms <= 0) return '0s'
  let text = ''
  for (const [unit, size] of unitsMs) {
    // Weeks and years only when nothing else is needed, as people say 10d and not 1w3d.
    if ((unit === 'w' || unit === 'y') && ms % size !== 0) continue
    const n = Math.floor(ms / size)
    if (n > 0) text += n + unit
    ms -= n * size
  }
  return text || '0s'
}

/** Milliseconds of a duration of PromQL or a number of seconds; undefined if it is neither or not positive. */
export function parseDuration(text: string): number | undefined {
  const s = text.trim()
  if (/^\d+(\.\d+)?$/.test(s)) return positive(Number(s) * 1000)
  if (!/^(\d+(ms|[smhdwy]))+$/.test(s)) return undefined
  let total = 0
  for (const [, n, unit] of s.matchAll(/(\d+)(ms|[smhdwy])/g)) {
    total += Number(n) * (unitsMs.find((u) => u[0] === unit)?.[1] ?? 0)
  }
  return positive(total)
}

function positive(ms: number): number | undefined {
  return ms > 0 && Number.isFinite(ms) ? Math.round(ms) : undefined
}

export type Zone = 'local' | 'utc'

const two = (n: number) => String(n).padStart(2, '0')

function parts(ms: number, zone: Zone): [number, number, number, number, number, number, number] {
  const d = new Date(ms)
  return zone === 'utc'
    ? [d.getUTCFullYear(), d.getUTCMonth() + 1, d.getUTCDate(), d.getUTCHours(), d.getUTCMinutes(), d.getUTCSeconds(), d.getUTCMilliseconds()]
    : [d.getFullYear(), d.getMonth() + 1, d.getDate(), d.getHours(), d.getMinutes(), d.getSeconds(), d.getMilliseconds()]
}

/** 2026-11-30 04:05:06, with milliseconds if there are any. */
export function dateTime(ms: number, zone: Zone): string {
  const [y, mo, d, h, mi, s, frac] = parts(ms, zone)
  return `${y}-${two(mo)}-${two(d)} ${two(h)}:${two(mi)}:${two(s)}${frac ? '.' + String(frac).padStart(3, '0') : ''}`
}

/** A tick of a time axis whose ticks lie stepMs apart: the shortest that tells them apart. */
export function tick(ms: number, stepMs: number, zone: Zone): string {
  const [, mo, d, h, mi, s, frac] = parts(ms, zone)
  const midnight = h === 0 && mi === 0 && s === 0
  if (stepMs >= 86_400_000 || midnight) return `${two(mo)}-${two(d)}`
  if (stepMs >= 60_000) return `${two(h)}:${two(mi)}`
  if (stepMs >= 1000) return `${two(h)}:${two(mi)}:${two(s)}`
  return `${two(mi)}:${two(s)}.${String(frac).padStart(3, '0')}`
}

/** Reads what dateTime writes, also without seconds or time, and RFC 3339; undefined if it is neither. */
export function parseTime(text: string, zone: Zone): number | undefined {
  const s = text.trim()
  const m = /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?)?$/.exec(s)
  if (m) {
    const [y, mo, d, h, mi, sec] = m.slice(1, 7).map((x) => Number(x ?? 0)) as [number, number, number, number, number, number]
    const frac = Number((m[7] ?? '').padEnd(3, '0'))
    if (mo < 1 || mo > 12 || d < 1 || d > 31 || h > 24 || mi > 59 || sec > 59) return undefined
    return zone === 'utc' ? Date.UTC(y, mo - 1, d, h, mi, sec, frac) : new Date(y, mo - 1, d, h, mi, sec, frac).getTime()
  }
  if (/^\d{4}-\d{2}-\d{2}T/.test(s)) {
    const t = Date.parse(s)
    return Number.isNaN(t) ? undefined : t
  }
  if (/^\d{9,11}(\.\d+)?$/.test(s)) return Math.round(Number(s) * 1000)
  return undefined
}

/** "3 min ago", "in 2 h". */
export function ago(ms: number, nowMs: number): string {
  const d = Math.abs(nowMs - ms)
  const [n, unit] = d < 60_000 ? [d / 1000, 's'] : d < 3_600_000 ? [d / 60_000, 'min'] : d < 172_800_000 ? [d / 3_600_000, 'h'] : [d / 86_400_000, 'days']
  const text = `${Math.round(n)} ${unit}`
  return ms <= nowMs ? `${text} ago` : `in ${text}`
}
