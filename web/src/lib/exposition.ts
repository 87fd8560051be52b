/** Prometheus' text format, as /metrics has it. Pure. */
export interface Reading {
  name: string
  labels: Record<string, string>
  value: number
}

const line = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g

/** The samples whose names begin with one of the prefixes. */
export function parseExposition(text: string, prefixes: readonly string[]): Reading[] {
  const all: Reading[] = []
  for (const s of text.split('\n')) {
    if (s.startsWith('#') || !prefixes.some((p) => s.startsWith(p))) continue
    const m = line.exec(s)
    if (!m?.[1]) continue
    const labels: Record<string, string> = {}
    for (const [, name, value] of (m[2] ?? '').matchAll(label)) labels[name ?? ''] = (value ?? '').replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c))
    all.push({ name: m[1], labels, value: Number(m[3]?.replace('Inf', 'Infinity')) })
  }
  return all
}

/** The sum of the readings of a name, of those whose labels are as given; undefined without any. */
export function total(all: readonly Reading[], name: string, labels: Record<string, string> = {}): number | undefined {
  let sum: number | undefined
  for (const r of all) {
    if (r.name !== name || Object.entries(labels).some(([n, v]) => r.labels[n] !== v)) continue
    sum = (sum ?? 0) + r.value
  }
  return sum
}

/** The sums of the readings of a name by the values of a label. */
export function totalsBy(all: readonly Reading[], name: string, by: string): Map<string, number> {
  const sums = new Map<string, number>()
  for (const r of all) if (r.name === name) sums.set(r.labels[by] ?? '', (sums.get(r.labels[by] ?? '') ?? 0) + r.value)
  return sums
}
