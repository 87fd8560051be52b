import { expect, test } from 'vitest'
import { hrefOf, routeOf } from './router'

test('a route is the last part of the path and the parameters', () => {
  expect(routeOf('/ui/metrics', '').view).toBe('metrics')
  expect(routeOf('/behind/a/proxy/ui/explore', '?q=up').params.get('q')).toBe('up')
  expect(routeOf('/ui/', '').view).toBe('explore')
})

test('an address of a view is relative', () => {
  expect(hrefOf('explore')).toBe('explore')
  expect(hrefOf('explore', new URLSearchParams({ q: 'a+b' }))).toBe('explore?q=a%2Bb')
})
