/** A query in the form of other programs. Pure. */
import type { Grid } from '../../plot/series'
import { duration } from '../../lib/format'

const shellQuote = (s: string) => `'${s.replaceAll("'", `'\\''`)}'`

/** A command that asks the same of the server. */
export function curl(address: string, expr: string, g: Grid, instant: boolean): string {
  const times = instant ? `-d time=${g.endMs / 1000}` : `-d start=${g.startMs / 1000} -d end=${g.endMs / 1000} -d step=${g.stepMs / 1000}`
  return `curl -sG ${shellQuote(`${address}api/v1/${instant ? 'query' : 'query_range'}`)} --data-urlencode ${shellQuote(`query=${expr}`)} ${times}`
}

/** A panel to paste into a dashboard of Grafana; it takes the dashboard's data source. */
export function grafanaPanel(exprs: string[], stacked: boolean): string {
  return JSON.stringify(
    {
      type: 'timeseries',
      title: exprs[0] ?? '',
      gridPos: { h: 9, w: 12, x: 0, y: 0 },
      fieldConfig: { defaults: { custom: { stacking: { mode: stacked ? 'normal' : 'none' }, fillOpacity: stacked ? 30 : 0 } }, overrides: [] },
      targets: exprs.map((expr, i) => ({ refId: String.fromCharCode(65 + (i % 26)), expr, range: true })),
    },
    null,
    2,
  )
}

/** A group with one recording rule; its name follows level:metric:operations as well as the text allows. */
export function recordingRule(expr: string, stepMs: number): string {
  const lines = expr.trim().split('\n')
  const text = lines.length > 1 ? `|\n${lines.map((l) => `          ${l}`).join('\n')}` : JSON.stringify(lines[0])
  return `groups:\n  - name: explore\n    interval: ${duration(Math.max(stepMs, 15_000))}\n    rules:\n      - record: ${recordName(expr)}\n        expr: ${text}\n`
}

export function recordName(expr: string): string {
  const by = /\bby\s*\(([^)]*)\)/.exec(expr)?.[1] ?? ''
  const level = by.split(',').map((s) => s.trim()).filter((s) => /^[a-zA-Z_]\w*$/.test(s)).join('_') || 'all'
  const bare = expr.replace(/"[^"]*"|'[^']*'/g, '').replace(/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, '').replace(/\[[^\]]*\]/g, '')
  const words = bare.match(/[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\(|[a-zA-Z0-9_:])/g) ?? []
  const metric = words.find((w) => !/^(and|or|unless|offset|bool)$/.test(w)) ?? 'query'
  const operations = [...expr.matchAll(/\b(sum|avg|min|max|count|rate|increase|delta|irate)\b/g)].map((m) => m[1] ?? '')
  const range = /\[(\w+)\]/.exec(expr)?.[1] ?? ''
  return `${level}:${metric.replace(/_total$/, '')}:${(operations.join('_') || 'value') + range}`
}
