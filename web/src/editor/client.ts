/**
 * Where completion gets names from. The client of the library asks for every
 * name; this one asks for what has samples in the range shown, matches what has
 * been typed, and no more than a limit, and keeps answers for a minute.
 */
import type { PrometheusClient } from '@prometheus-io/codemirror-promql'
import { EqlRegex, EqlSingle, Neq, NeqRegex } from '@prometheus-io/lezer-promql'
import type { Matcher } from '@prometheus-io/codemirror-promql/dist/esm/types'
import { labelNames, labelValues, metadata, type Metadata, type Span } from '../api/names'
import { labelName, metricSelector, quote } from '../lib/labels'

const maxNames = 500
const maxValues = 1000
const maxMetadata = 2000
const keepMs = 60_000
const maxKept = 200

export class ScopedClient implements PrometheusClient {
  private readonly kept = new Map<string, { at: number; value: Promise<unknown> }>()

  constructor(private readonly span: () => Span | undefined) {}

  metricNames(prefix = ''): Promise<string[]> {
    const match = prefix === '' ? [] : [`{__name__=~${quote(`(?i).*${escapeRegExp(prefix)}.*`)}}`]
    return this.keep(`names ${prefix}`, () => labelValues('__name__', { match, span: this.rounded(), limit: maxNames }).then((a) => a.data))
  }

  labelNames(metricName?: string): Promise<string[]> {
    const match = metricName ? [metricSelector(metricName)] : []
    return this.keep(`labels ${metricName ?? ''}`, () =>
      labelNames({ match, span: this.rounded(), limit: maxValues }).then((a) => a.data.filter((n) => n !== '__name__' || !metricName)),
    )
  }

  labelValues(label: string, metricName?: string, matchers?: Matcher[]): Promise<string[]> {
    const selector = selectorWithout(label, metricName, matchers)
    return this.keep(`values ${label} ${selector}`, () =>
      labelValues(label, { match: selector ? [selector] : [], span: this.rounded(), limit: maxValues }).then((a) => a.data),
    )
  }

  metricMetadata(): Promise<Record<string, Metadata[]>> {
    return this.keep('metadata', () => metadata(undefined, maxMetadata).then((a) => a.data))
  }

  /** Metadata of one metric; of a histogram's or summary's series that of the whole. */
  async metadataOf(metric: string): Promise<Metadata | undefined> {
    for (const name of [metric, metric.replace(/_(count|sum|bucket|total)$/, '')]) {
      const found = await this.keep(`metadata ${name}`, () => metadata(name, 1).then((a) => a.data))
      const first = found[name]?.[0]
      if (first) return first
    }
    return undefined
  }

  series(): Promise<Map<string, string>[]> {
    return Promise.resolve([])
  }

  flags(): Promise<Record<string, string>> {
    return Promise.resolve({})
  }

  /** The range in whole minutes, so that answers can be kept while time goes on. */
  private rounded(): Span | undefined {
    const s = this.span()
    return s && { startMs: Math.floor(s.startMs / 60_000) * 60_000, endMs: Math.ceil(s.endMs / 60_000) * 60_000 }
  }

  private keep<T>(key: string, ask: () => Promise<T>): Promise<T> {
    const s = this.rounded()
    const full = `${s?.startMs} ${s?.endMs} ${key}`
    const old = this.kept.get(full)
    const now = Date.now()
    if (old && now - old.at < keepMs) return old.value as Promise<T>
    const value = ask()
    value.catch(() => this.kept.delete(full))
    if (this.kept.size >= maxKept) this.kept.delete(this.kept.keys().next().value ?? '')
    this.kept.set(full, { at: now, value })
    return value
  }
}

function escapeRegExp(s: string): string {
  return s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** The selector of what has been typed so far, without the matcher that is being typed; empty if it would select everything. */
export function selectorWithout(label: string, metricName?: string, matchers: Matcher[] = []): string {
  const others = matchers.filter((m) => m.name !== label && m.name !== '__name__' && m.value !== '')
  const parts = others.map((m) => `${labelName(m.name)}${operators[m.type] ?? '='}${asLiteral(m.value)}`)
  if (metricName) parts.unshift(`__name__=${quote(metricName)}`)
  const selects = metricName || others.some((m) => m.type === EqlSingle)
  return selects ? `{${parts.join(',')}}` : ''
}

const operators: Record<number, string> = { [EqlSingle]: '=', [Neq]: '!=', [EqlRegex]: '=~', [NeqRegex]: '!~' }

/** The library hands out what stands between the quotes as it was typed. */
function asLiteral(source: string): string {
  return `"${source.replace(/(?<!\\)"/g, '\\"')}"`
}
