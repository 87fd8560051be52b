import { expect, test } from 'vitest'
import { parseExposition } from '../../lib/exposition'
import { doors, forecast, rate, rateOf } from './rates'

const at = (atMs: number, text: string) => ({ atMs, readings: parseExposition(text, ['tsdb_']) })

test('rates of doors', () => {
  const before = at(1000, 'tsdb_ingested_samples_total{door="a",kind="float"} 100\n')
  const now = at(6000, 'tsdb_ingested_samples_total{door="a",kind="float"} 150\ntsdb_ingested_samples_total{door="b",kind="float"} 500\ntsdb_rejected_samples_total{door="c",reason="x"} 2\ntsdb_door_series{door="d"} 0\n')
  expect(doors(now, before).map((d) => [d.door, d.perSecond, d.rejected])).toEqual([
    ['b', 100, 0],
    ['a', 10, 0],
    ['c', 0, 2],
  ])
  expect(doors(now, undefined)[0]?.perSecond).toBeUndefined()
  expect(rateOf(now, before, 'tsdb_ingested_samples_total')).toBe(110)
  expect(rate(5, 100, 5)).toBe(1)
})

test('how long the disk lasts', () => {
  const f = { usedBytes: 100, fullBytes: 1000, growthPerDay: 0, perDay: 10, freeBytes: 2000 }
  expect(forecast(f)).toEqual({ text: 'The disk has room for every retention.', short: false })
  expect(forecast({ ...f, freeBytes: 500 })).toEqual({ text: 'The disk is full in about 50 days, at the rate of the last days.', short: true })
  expect(forecast({ ...f, perDay: 0 }).short).toBe(false)
})
