import { expect, test } from 'vitest'
import { differing, selectorOf, shortName, type Labels } from './labels'

test('selectors quote what is no identifier', () => {
  expect(selectorOf({ __name__: 'up', job: 'a"b\n', instance: 'x' })).toBe('up{instance="x", job="a\\"b\\n"}')
  expect(selectorOf({ __name__: 'room.°C', 'the name': 'x' })).toBe('{"room.°C", "the name"="x"}')
  expect(selectorOf({})).toBe('{}')
})

test('only labels that differ name a series', () => {
  const sets: Labels[] = [
    { __name__: 'm', job: 'a', mode: 'user' },
    { __name__: 'm', job: 'a', mode: 'idle', cpu: '0' },
  ]
  const d = differing(sets)
  expect(d.common).toEqual({ __name__: 'm', job: 'a' })
  expect(d.names).toEqual(['cpu', 'mode'])
  expect(shortName(sets[0]!, d.names, 'm')).toBe('mode="user"')
  expect(shortName(sets[0]!, [], 'all')).toBe('all')
  expect(differing([])).toEqual({ common: {}, names: [] })
})
