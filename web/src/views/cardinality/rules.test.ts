import { expect, test } from 'vitest'
import { dayBefore, matcherOf, pairOf, relabelRule, withMatcher } from './rules'

test('rules match what was meant and nothing else', () => {
  expect(relabelRule({ kind: 'metric', name: 'a.b_total' })).toBe("relabel_configs:\n  - source_labels: ['__name__']\n    regex: 'a\\.b_total'\n    action: drop\n")
  expect(relabelRule(pairOf("path=/it's?x=1"))).toBe("relabel_configs:\n  - source_labels: ['path']\n    regex: '/it''s\\?x=1'\n    action: drop\n")
  expect(relabelRule({ kind: 'label', name: 'pod' })).toBe("relabel_configs:\n  - action: labeldrop\n    regex: 'pod'\n")
})

test('selectors of subjects', () => {
  expect(matcherOf({ kind: 'metric', name: 'up' })).toBe('__name__="up"')
  expect(matcherOf({ kind: 'label', name: 'a.b' })).toBe('"a.b"!=""')
  expect(matcherOf(pairOf('job=a"b'))).toBe('job="a\\"b"')
})

test('a matcher is not repeated', () => {
  expect(withMatcher('', 'a="1"')).toBe('a="1"')
  expect(withMatcher('a="1"', 'a="1"')).toBe('a="1"')
  expect(withMatcher('a="1"', 'b="2"')).toBe('a="1", b="2"')
  expect(withMatcher('a="1", b="2"', 'b="2"')).toBe('a="1", b="2"')
})

test('days', () => {
  expect(dayBefore('2026-03-01')).toBe('2026-02-28')
  expect(dayBefore('2026-11-30', 6)).toBe('2026-11-24')
})
