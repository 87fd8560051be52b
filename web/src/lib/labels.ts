/** Label sets and selectors as text. Pure. Label values may hold anything: the text is never markup. */
export type Labels = Record<string, string>

const plainName = /^[a-zA-Z_][a-zA-Z0-9_]*$/
const plainMetric = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/

/** A string literal of PromQL. */
export function quote(s: string): string {
  return JSON.stringify(s)
}

export function labelName(name: string): string {
  return plainName.test(name) ? name : quote(name)
}

/** The selector of exactly these labels: up{job="a"}. Also the name of a series. */
export function selectorOf(labels: Labels): string {
  const metric = labels['__name__']
  const rest = Object.keys(labels)
    .filter((n) => n !== '__name__')
    .sort()
    .map((n) => `${labelName(n)}=${quote(labels[n] ?? '')}`)
  if (metric === undefined) return `{${rest.join(', ')}}`
  if (!plainMetric.test(metric)) return `{${[quote(metric), ...rest].join(', ')}}`
  return rest.length > 0 ? `${metric}{${rest.join(', ')}}` : metric
}

/** A selector of all series of a metric. */
export function metricSelector(name: string): string {
  return plainMetric.test(name) ? name : `{${quote(name)}}`
}

export interface Differing {
  /** The labels that all sets have with the same value. */
  common: Labels
  /** Names of the others, the metric first. */
  names: string[]
}

/** Splits the labels of some series into those that differ and those that do not. */
export function differing(sets: readonly Labels[]): Differing {
  const first = sets[0]
  if (first === undefined) return { common: {}, names: [] }
  const common: Labels = { ...first }
  const all = new Set<string>(Object.keys(first))
  for (const set of sets) {
    for (const name of Object.keys(set)) all.add(name)
    for (const name of Object.keys(common)) if (set[name] !== common[name]) delete common[name]
  }
  const names = [...all].filter((n) => !(n in common)).sort((a, b) => (a === '__name__' ? -1 : b === '__name__' ? 1 : a < b ? -1 : 1))
  return { common, names }
}

/** What tells a series from its neighbours: the values of the differing labels. */
export function shortName(labels: Labels, names: readonly string[], fallback: string): string {
  if (names.length === 0) return fallback
  const text = names
    .filter((n) => labels[n] !== undefined)
    .map((n) => (n === '__name__' ? (labels[n] ?? '') : `${labelName(n)}=${quote(labels[n] ?? '')}`))
    .join(', ')
  return text || '{}'
}
