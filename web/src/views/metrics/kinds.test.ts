import { expect, test } from 'vitest'
import { eachOf, firstPlot, kindOf, mayBeNative, plotsOf, selectorWith } from './kinds'

test('what a metric is', () => {
  expect(kindOf('x_total', '', false)).toBe('counter')
  expect(kindOf('x', 'counter', false)).toBe('counter')
  expect(kindOf('x', '', false)).toBe('gauge')
  expect(kindOf('x_bucket', '', false)).toBe('buckets')
  expect(kindOf('x', 'histogram', true)).toBe('native')
  expect(kindOf('x', 'summary', false)).toBe('summary')
  expect(kindOf('x_sum', 'summary', false)).toBe('counter')
  expect(kindOf('go_info', 'gauge', false)).toBe('info')
})

test('selectors with more matchers', () => {
  expect(selectorWith('up', '')).toBe('up')
  expect(selectorWith('up', 'job="a"')).toBe('up{job="a"}')
  expect(selectorWith('room.c', 'job="a"')).toBe('{"room.c", job="a"}')
})

test('counters get rates, histograms quantiles', () => {
  expect(plotsOf('x_total', 'counter', '5m', '', '')[0]?.queries).toEqual([{ name: 'rate', expr: 'sum (rate(x_total[5m]))' }])
  expect(plotsOf('x_total', 'counter', '5m', '', 'mode')[0]?.queries[0]?.expr).toBe('topk(8, sum by (mode) (rate(x_total[5m])))')
  expect(plotsOf('x_bucket', 'buckets', '5m', 'job="a"', '').flatMap((p) => p.queries.map((q) => q.expr))).toEqual([
    'histogram_quantile(0.5, sum by (le) (rate(x_bucket{job="a"}[5m])))',
    'histogram_quantile(0.9, sum by (le) (rate(x_bucket{job="a"}[5m])))',
    'histogram_quantile(0.99, sum by (le) (rate(x_bucket{job="a"}[5m])))',
    'sum (rate(x_count{job="a"}[5m]))',
  ])
  expect(plotsOf('x', 'native', '5m', '', '')[0]?.queries[1]?.expr).toBe('histogram_quantile(0.9, sum (rate(x[5m])))')
})

test('the first plot of a metric in a list', () => {
  expect(firstPlot('x_total', 'counter', false, '5m')?.title).toBe('Rate per second')
  expect(firstPlot('x', '', true, '5m')?.title).toBe('Quantiles')
  expect(['x', 'x_total', 'x_bucket', 'go_info'].filter((n) => mayBeNative(n, ''))).toEqual(['x'])
  expect(['gauge', 'counter', 'histogram'].filter((t) => mayBeNative('x', t))).toEqual(['histogram'])
})

test('a query for many rows', () => {
  expect(eachOf(['a', 'b.c'], (s) => `count(${s})`)).toBe('label_replace(count({__name__="a"}), "row", "0", "", "") or label_replace(count({__name__="b.c"}), "row", "1", "", "")')
})
