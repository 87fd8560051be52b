import { expect, test } from 'vitest'
import { ago, bytes, dateTime, duration, parseDuration, parseTime, plural, short, tick, took } from './format'

test('values are short', () => {
  expect([0, 1, -12.3456, 999, 1000, 999_999, 1.5e9, 0.000_01, 1e-9, Infinity, -Infinity, NaN].map(short)).toEqual([
    '0', '1', '-12.35', '999', '1k', '1M', '1.5G', '0.00001', '1.00e-9', '+Inf', '-Inf', 'NaN',
  ])
})

test('durations are read as they are written', () => {
  for (const text of ['1ms', '15s', '1m', '1h30m', '6h', '1d', '2w', '1y', '10d']) expect(duration(parseDuration(text) ?? 0)).toBe(text)
  expect(parseDuration('90')).toBe(90_000)
  expect(parseDuration('0.5')).toBe(500)
  for (const text of ['', 'x', '-1h', '0s', '1h 5m', '1.5h']) expect(parseDuration(text)).toBeUndefined()
})

test('times are read as they are written', () => {
  const t = Date.UTC(2026, 10, 30, 4, 5, 6, 70)
  expect(dateTime(t, 'utc')).toBe('2026-11-30 04:05:06.070')
  expect(parseTime(dateTime(t, 'utc'), 'utc')).toBe(t)
  expect(parseTime(dateTime(t, 'local'), 'local')).toBe(t)
  expect(parseTime('2026-11-30', 'utc')).toBe(Date.UTC(2026, 10, 30))
  expect(parseTime('2026-11-30T04:05:06.07Z', 'local')).toBe(t)
  expect(parseTime('1796011506', 'local')).toBe(1_796_011_506_000)
  for (const text of ['', 'soon', '2026-13-01', '2026-11-30 25:00']) expect(parseTime(text, 'utc')).toBeUndefined()
})

test('ticks show what tells them apart', () => {
  const t = Date.UTC(2026, 10, 30, 4, 5, 6, 70)
  expect(tick(t, 1, 'utc')).toBe('05:06.070')
  expect(tick(t, 1000, 'utc')).toBe('04:05:06')
  expect(tick(t, 60_000, 'utc')).toBe('04:05')
  expect(tick(Date.UTC(2026, 10, 30), 3_600_000, 'utc')).toBe('11-30')
})

test('sizes, times that passed, plurals', () => {
  expect([0, 1023, 1536, 5 * 1024 ** 3].map(bytes)).toEqual(['0 B', '1023 B', '1.5 KiB', '5 GiB'])
  expect([0.42, 12.4, 1234, 90_000].map(took)).toEqual(['0.42 ms', '12 ms', '1.23 s', '1.5 min'])
  expect([plural(1, 'series', 'series'), plural(2000, 'sample')]).toEqual(['1 series', '2,000 samples'])
  expect(ago(0, 120_000)).toBe('2 min ago')
  expect(ago(7_200_000, 0)).toBe('in 2 h')
})
