import { expect, test } from 'vitest'
import { pathOf } from './mini'

test('gaps stay gaps, and a lone sample is a dot', () => {
  expect(pathOf([0, 1, null, 1, null], 0, 1)).toBe('M0.0 117.0L150.0 3.0M450.0 3.0h.01')
  expect(pathOf([null, NaN], 0, 1)).toBe('')
})
