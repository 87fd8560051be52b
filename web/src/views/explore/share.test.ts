import { expect, test } from 'vitest'
import { curl, grafanaPanel, recordingRule } from './share'

const grid = { startMs: 1_000_000, endMs: 1_060_000, stepMs: 15_000 }

test('curl quotes for the shell', () => {
  expect(curl('http://h:1/', `a{b='c'}`, grid, false)).toBe(
    `curl -sG 'http://h:1/api/v1/query_range' --data-urlencode 'query=a{b='\\''c'\\''}' -d start=1000 -d end=1060 -d step=15`,
  )
  expect(curl('http://h:1/x/', 'a', grid, true)).toContain("'http://h:1/x/api/v1/query' --data-urlencode 'query=a' -d time=1060")
})

test('a recording rule has a name of levels', () => {
  expect(recordingRule('sum by (job, mode) (rate(http_requests_total{a="b"}[5m]))', 15_000)).toContain('record: job_mode:http_requests:sum_rate5m\n')
  expect(recordingRule('a\n+ b', 1000)).toContain('expr: |\n          a\n          + b\n')
})

test('a panel holds all queries', () => {
  expect(JSON.parse(grafanaPanel(['a', 'b'], true)).targets.map((t: { refId: string }) => t.refId)).toEqual(['A', 'B'])
})
