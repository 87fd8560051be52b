/** What stands under the pointer: a function with its signature, or a metric with its metadata. */
import { syntaxTree } from '@codemirror/language'
import { hoverTooltip } from '@codemirror/view'
import { aggregateOpTerms, functionIdentifierTerms } from '@prometheus-io/codemirror-promql/dist/esm/complete/promql.terms'
import { getFunction, ValueType } from '@prometheus-io/codemirror-promql/dist/esm/types'
import { AggregateOp, FunctionIdentifier, Identifier } from '@prometheus-io/lezer-promql'
import { labelValues } from '../api/names'
import { metricSelector } from '../lib/labels'
import type { ScopedClient } from './client'

const typeNames: Record<string, string> = {
  [ValueType.vector]: 'instant vector',
  [ValueType.matrix]: 'range vector',
  [ValueType.scalar]: 'scalar',
  [ValueType.string]: 'string',
}

interface Help {
  title: string
  detail: string
  text: string
}

export function functionHelp(name: string, node: number): Help | undefined {
  const term = functionIdentifierTerms.find((t) => t.label === name)
  if (!term) return undefined
  const f = getFunction(node)
  const args = f?.argTypes.map((t) => typeNames[t] ?? t) ?? []
  if (f && f.variadic !== 0 && args.length > 0) args[args.length - 1] += ' …'
  return { title: name, detail: f?.name ? `(${args.join(', ')}) → ${typeNames[f.returnType] ?? f.returnType}` : 'function', text: term.info }
}

function aggregationHelp(name: string): Help | undefined {
  const term = aggregateOpTerms.find((t) => t.label === name)
  return term && { title: name, detail: 'aggregation', text: term.info }
}

async function metricHelp(name: string, client: ScopedClient): Promise<Help | undefined> {
  const [meta, series] = await Promise.all([
    client.metadataOf(name),
    labelValues('__name__', { match: [metricSelector(name)], limit: 1 }).then((a) => a.data.length),
  ])
  if (!meta && series > 0) return { title: name, detail: 'metric', text: 'No type, unit or help of it has been sent.' }
  if (!meta) return { title: name, detail: 'no such metric', text: 'No series of this name is stored.' }
  const unit = meta.unit ? `, in ${meta.unit}` : ''
  return { title: name, detail: (meta.type || 'unknown type') + unit, text: meta.help || 'No help of it has been sent.' }
}

export function helpOnHover(client: ScopedClient) {
  return hoverTooltip(async (view, pos, side) => {
    const node = syntaxTree(view.state).resolveInner(pos, side)
    const name = view.state.sliceDoc(node.from, node.to)
    let help: Help | undefined
    const parent = node.parent
    if (parent?.type.id === FunctionIdentifier || node.type.id === FunctionIdentifier) {
      help = functionHelp(name, (parent?.type.id === FunctionIdentifier ? node : node.firstChild ?? node).type.id)
    } else if (parent?.type.id === AggregateOp || node.type.id === AggregateOp) {
      help = aggregationHelp(name)
    } else if (node.type.id === Identifier) {
      help = await metricHelp(name, client).catch(() => undefined)
    }
    if (!help) return null
    const found = help
    return {
      pos: node.from,
      end: node.to,
      above: true,
      create: () => {
        const dom = document.createElement('div')
        dom.className = 'editor-help'
        for (const [tag, text] of [
          ['strong', found.title],
          ['span', found.detail],
          ['p', found.text],
        ] as const) {
          const e = document.createElement(tag)
          e.textContent = text
          dom.append(e)
        }
        return { dom }
      },
    }
  })
}
