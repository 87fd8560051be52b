/** Reads the text of a selector as the server writes it. Pure. */
import { labelName, quote } from '../../lib/labels'

export interface Matcher {
  name: string
  op: '=' | '!=' | '=~' | '!~'
  value: string
}

export interface Selector {
  metric: string | undefined
  matchers: Matcher[]
}

/** The metric and the other matchers; ranges, offsets and @ are left out. undefined if the text is no selector. */
export function parseSelector(text: string): Selector | undefined {
  const head = /^\s*([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*/.exec(text)
  let at = head?.[0].length ?? 0
  const s: Selector = { metric: head?.[1], matchers: [] }
  if (text[at] !== '{') return s.metric ? s : undefined
  at++
  for (;;) {
    const space = /^[\s,]*/.exec(text.slice(at))
    at += space?.[0].length ?? 0
    if (text[at] === '}') break
    const m = /^([a-zA-Z_][a-zA-Z0-9_]*|"(?:[^"\\]|\\.)*")\s*(?:(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"))?/.exec(text.slice(at))
    if (!m?.[1]) return undefined
    at += m[0].length
    const name = unquote(m[1])
    if (m[2] === undefined) s.metric = name
    else if (name === '__name__' && m[2] === '=') s.metric = unquote(m[3] ?? '')
    else s.matchers.push({ name, op: m[2] as Matcher['op'], value: unquote(m[3] ?? '') })
  }
  return s
}

function unquote(s: string): string {
  if (!s.startsWith('"')) return s
  try {
    return JSON.parse(s) as string
  } catch {
    return s.slice(1, -1)
  }
}

/** A selector as match[] takes it. */
export function matchOf(s: Selector, matchers: readonly Matcher[] = s.matchers): string {
  const all = matchers.map((m) => `${labelName(m.name)}${m.op}${quote(m.value)}`)
  if (s.metric !== undefined) all.unshift(`__name__=${quote(s.metric)}`)
  return `{${all.join(', ')}}`
}
