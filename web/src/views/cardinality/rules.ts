/** Texts that stop series: relabel rules, and selectors of what is deleted. Pure. */
import { labelName, quote } from '../../lib/labels'

/** What a row of a table stands for. */
export type Subject = { kind: 'metric'; name: string } | { kind: 'label'; name: string } | { kind: 'pair'; name: string; value: string }

/** A text as an expression that matches nothing else. */
function literal(text: string): string {
  return text.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&')
}

/** A scalar of YAML in single quotes. */
function yaml(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** The rule that leaves the series of the subject out, or the label away, when they are first sent. */
export function relabelRule(s: Subject): string {
  const lines =
    s.kind === 'label'
      ? [`- action: labeldrop`, `  regex: ${yaml(literal(s.name))}`]
      : [`- source_labels: [${yaml(s.kind === 'metric' ? '__name__' : s.name)}]`, `  regex: ${yaml(literal(s.kind === 'metric' ? s.name : s.value))}`, `  action: drop`]
  return ['relabel_configs:', ...lines.map((l) => '  ' + l)].join('\n') + '\n'
}

/** The series of the subject. */
export function matcherOf(s: Subject): string {
  switch (s.kind) {
    case 'metric':
      return `__name__=${quote(s.name)}`
    case 'label':
      return `${labelName(s.name)}!=""`
    case 'pair':
      return `${labelName(s.name)}=${quote(s.value)}`
  }
}

/** Matchers with one more, unless they are that one already. */
export function withMatcher(matchers: string, one: string): string {
  return matchers === one || matchers === '' ? one : matchers.endsWith(`, ${one}`) ? matchers : `${matchers}, ${one}`
}

/** Splits name=value, as the server writes pairs. */
export function pairOf(text: string): Subject {
  const at = text.indexOf('=')
  return { kind: 'pair', name: text.slice(0, at), value: text.slice(at + 1) }
}

/** Days before a UTC day. */
export function dayBefore(date: string, days = 1): string {
  return new Date(Date.parse(date + 'T00:00:00Z') - days * 86_400_000).toISOString().slice(0, 10)
}
