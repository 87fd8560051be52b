/** What to plot of a metric. Pure. */
import { metricSelector, quote, labelName } from '../../lib/labels'

export type Kind = 'counter' | 'gauge' | 'buckets' | 'native' | 'summary' | 'info'

/** What a metric is: by its type, and by its name where no type is known. native: a sample of it is a histogram. */
export function kindOf(name: string, type: string, native: boolean): Kind {
  if (native) return 'native'
  if (name.endsWith('_bucket')) return 'buckets'
  if (type === 'info' || name.endsWith('_info')) return 'info'
  if (type === 'gauge' || type === 'stateset' || type === 'gaugehistogram') return 'gauge'
  if (type === 'summary' && !/_(count|sum)$/.test(name)) return 'summary'
  if (type === 'counter' || /_(total|count|sum)$/.test(name)) return 'counter'
  return 'gauge'
}

export interface PlotSpec {
  title: string
  /** A query for each line, or one whose series are the lines. */
  queries: { name: string; expr: string }[]
}

/** The selector of a metric with further matchers, such as job="a". */
export function selectorWith(name: string, matchers: string): string {
  const inner = matchers.trim()
  const plain = metricSelector(name)
  if (!inner) return plain
  return plain.endsWith('}') ? `${plain.slice(0, -1)}, ${inner}}` : `${plain}{${inner}}`
}

const quantiles = [0.5, 0.9, 0.99]

/** The plots of a metric. window is a duration of PromQL, by a label whose values are compared; empty = none. */
export function plotsOf(name: string, kind: Kind, window: string, matchers: string, by: string): PlotSpec[] {
  const s = selectorWith(name, matchers)
  const group = by ? ` by (${labelName(by)})` : ''
  const compared = (expr: string) => (by ? `topk(8, ${expr})` : expr)
  switch (kind) {
    case 'counter':
      return [{ title: by ? `Rate per second, by ${by}` : 'Rate per second', queries: [{ name: 'rate', expr: compared(`sum${group} (rate(${s}[${window}]))`) }] }]
    case 'buckets': {
      const of = selectorWith(name.replace(/_bucket$/, '_count'), matchers)
      return [
        { title: 'Quantiles', queries: quantiles.map((q) => ({ name: `q${q * 100}`, expr: `histogram_quantile(${q}, sum by (le) (rate(${s}[${window}])))` })) },
        { title: by ? `Observations per second, by ${by}` : 'Observations per second', queries: [{ name: 'rate', expr: compared(`sum${group} (rate(${of}[${window}]))`) }] },
      ]
    }
    case 'native':
      return [
        { title: 'Quantiles', queries: quantiles.map((q) => ({ name: `q${q * 100}`, expr: `histogram_quantile(${q}, sum (rate(${s}[${window}])))` })) },
        { title: by ? `Observations per second, by ${by}` : 'Observations per second', queries: [{ name: 'rate', expr: compared(`histogram_count(sum${group} (rate(${s}[${window}])))`) }] },
      ]
    case 'summary':
      return [{ title: 'Quantiles, the mean of all series', queries: [{ name: 'mean', expr: `avg by (quantile) (${s})` }] }]
    case 'info':
      return [{ title: 'Series', queries: [{ name: 'series', expr: compared(`count${group} (${s})`) }] }]
    case 'gauge':
      if (by) return [{ title: `Mean, by ${by}`, queries: [{ name: 'mean', expr: compared(`avg${group} (${s})`) }] }]
      return [{ title: 'Value', queries: ['max', 'avg', 'min'].map((f) => ({ name: f, expr: `${f}(${s})` })) }]
  }
}

/** Whether only a sample tells if a metric is a native histogram. */
export function mayBeNative(name: string, type: string): boolean {
  return (type === 'histogram' || type === '') && !/_(bucket|count|sum|total|info)$/.test(name)
}

/** The first plot of a metric, for a list of many. */
export function firstPlot(name: string, type: string, native: boolean, window: string): PlotSpec | undefined {
  return plotsOf(name, kindOf(name, type, native), window, '', '')[0]
}

/** A query whose series i says what rows[i] has: used for the rows in sight, a series each. */
export function eachOf(names: readonly string[], of: (selector: string) => string): string {
  return names.map((n, i) => `label_replace(${of(`{__name__=${quote(n)}}`)}, "row", "${i}", "", "")`).join(' or ')
}
