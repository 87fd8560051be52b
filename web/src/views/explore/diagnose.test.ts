import { expect, test } from 'vitest'
import { expiredBefore, noneInRange } from './diagnose'

test('a range before all retentions is named', () => {
  const floors = new Map([
    ['raw', Date.UTC(2026, 9, 31)],
    ['1h', Date.UTC(2021, 10, 30)],
  ])
  expect(expiredBefore(floors, Date.UTC(2021, 0, 1))).toBe('The range lies before what retention keeps: samples from 2026-10-31, rollup 1h from 2021-11-30 (UTC; --retention.raw and those of the rollups).')
  expect(expiredBefore(floors, Date.UTC(2025, 0, 1))).toBe('')
  expect(expiredBefore(new Map(), 0)).toBe('')
})

test('a table reads one window, a graph the range and the window before it', () => {
  const at = Date.UTC(2026, 10, 30, 12)
  const minute = 60_000
  const cost = { start: '2026-11-30T11:55:00.001Z', end: '2026-11-30T12:00:00Z' }
  expect(noneInRange(cost, { startMs: at, endMs: at, stepMs: minute }, at - 6 * minute)).toBe('It has no samples in the 5m that it reads for this time; the newest is older.')
  expect(noneInRange(cost, { startMs: at, endMs: at, stepMs: minute }, at + minute)).toBe('It has no samples in the 5m that it reads for this time, but newer ones.')
  expect(noneInRange({ ...cost, start: '2026-11-30T10:55:00.001Z' }, { startMs: at - 60 * minute, endMs: at, stepMs: minute }, at - 70 * minute)).toBe('It has no samples in the range shown; the newest is older.')
})
