import { expect, test } from 'vitest'
import { autoStep, fromParams, gridOf, initial, toParams } from './state'

test('an address holds all of the state', () => {
  const s = {
    ...initial(),
    queries: [
      { expr: 'rate(x{a="b&c"}[5m])', off: false },
      { expr: 'y', off: true },
    ],
    rangeMs: 5_400_000,
    endMs: Date.UTC(2026, 10, 30, 4, 0, 0, 250),
    stepMs: 30_000,
    tab: 'table' as const,
    mode: 'stacked' as const,
    log: true,
    refreshMs: 10_000,
    zone: 'utc' as const,
  }
  expect(fromParams(new URLSearchParams(toParams(s).toString()))).toEqual(s)
  expect(toParams(initial()).toString()).toBe('range=1h')
})

test('values that cannot be used are left out', () => {
  expect(fromParams(new URLSearchParams('range=x&end=y&step=-1&tab=z&refresh=q&mode=p'))).toEqual(initial())
  expect(fromParams(new URLSearchParams('range=900y')).rangeMs).toBe(3_600_000)
})

test("links to Prometheus' page", () => {
  const old = fromParams(new URLSearchParams('g0.expr=up%20%3D%3D%200&g0.tab=1'))
  expect(old.queries).toEqual([{ expr: 'up == 0', off: false }])
  expect(old.tab).toBe('table')
  const graph = fromParams(
    new URLSearchParams('g0.expr=a&g0.tab=graph&g0.range_input=2h&g0.end_input=2026-11-30 03:00:00&g0.step_input=60&g0.display_mode=stacked&g1.expr=b'),
  )
  expect(graph.tab).toBe('graph')
  expect(graph.rangeMs).toBe(7_200_000)
  expect(graph.endMs).toBe(Date.UTC(2026, 10, 30, 3))
  expect(graph.stepMs).toBe(60_000)
  expect(graph.mode).toBe('stacked')
  expect(graph.queries.map((q) => q.expr)).toEqual(['a', 'b'])
  expect(fromParams(new URLSearchParams('g0.expr=a&g0.tab=0&g0.stacked=1')).mode).toBe('stacked')
})

test('steps are round, and times multiples of them', () => {
  expect(autoStep(3_600_000, 300)).toBe(15_000)
  expect(autoStep(86_400_000, 300)).toBe(300_000)
  expect(autoStep(365 * 86_400_000, 300)).toBe(2 * 86_400_000)
  expect(autoStep(1000, 300)).toBe(1000)
  const g = gridOf({ ...initial(), rangeMs: 100_000 }, 1_000_007_500, 10)
  expect(g).toEqual({ startMs: 999_900_000, endMs: 1_000_000_000, stepMs: 10_000 })
})
