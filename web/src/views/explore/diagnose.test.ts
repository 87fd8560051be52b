import { expect, test } from 'vitest'
import { expiredBefore } from './diagnose'

test('a range before all retentions is named', () => {
  const floors = new Map([
    ['raw', Date.UTC(2026, 9, 31)],
    ['1h', Date.UTC(2021, 10, 30)],
  ])
  expect(expiredBefore(floors, Date.UTC(2021, 0, 1))).toBe('The range lies before what retention keeps: samples from 2026-10-31, rollup 1h from 2021-11-30 (UTC; --retention.raw and those of the rollups).')
  expect(expiredBefore(floors, Date.UTC(2025, 0, 1))).toBe('')
  expect(expiredBefore(new Map(), 0)).toBe('')
})
