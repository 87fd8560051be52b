import { EqlRegex, EqlSingle, Neq } from '@prometheus-io/lezer-promql'
import { Matcher } from '@prometheus-io/codemirror-promql/dist/esm/types'
import { expect, test } from 'vitest'
import { selectorWithout } from './client'

test('values are asked for within what has been typed', () => {
  const typed = [new Matcher(EqlSingle, 'job', 'a\\n'), new Matcher(EqlRegex, 'mode', 'u.*'), new Matcher(Neq, 'cpu', '')]
  expect(selectorWithout('cpu', 'm', typed)).toBe('{__name__="m",job="a\\n",mode=~"u.*"}')
  expect(selectorWithout('job', undefined, typed)).toBe('')
  expect(selectorWithout('mode', undefined, typed)).toBe('{job="a\\n"}')
  expect(selectorWithout('x', 'm')).toBe('{__name__="m"}')
  expect(selectorWithout('x', undefined, [new Matcher(EqlSingle, 'a', `it "is"`)])).toBe('{a="it \\"is\\""}')
})
