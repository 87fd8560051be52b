/** Names and values of labels, and metadata; always limited. */
import { request, type Answer, type RequestOptions } from './client'
import type { Labels } from '../lib/labels'

/** Times between which something has samples, in Unix milliseconds. */
export interface Span {
  startMs: number
  endMs: number
}

interface Scope {
  match?: string[]
  span?: Span | undefined
  limit: number
}

function params({ match, span, limit }: Scope) {
  return { 'match[]': match, start: span && span.startMs / 1000, end: span && span.endMs / 1000, limit }
}

export function labelNames(scope: Scope, options: RequestOptions = {}): Promise<Answer<string[]>> {
  return request('labels', params(scope), options)
}

export function labelValues(label: string, scope: Scope, options: RequestOptions = {}): Promise<Answer<string[]>> {
  return request(`label/${encodeURIComponent(/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label) ? label : escaped(label))}/values`, params(scope), options)
}

/** The form U__… of a name that is no identifier. */
function escaped(name: string): string {
  let text = 'U__'
  for (const c of name) {
    if (c === '_') text += '__'
    else if (/[a-zA-Z0-9]/.test(c)) text += c
    else text += `_${(c.codePointAt(0) ?? 0).toString(16).toUpperCase()}_`
  }
  return text
}

export function series(scope: Scope, options: RequestOptions = {}): Promise<Answer<Labels[]>> {
  return request('series', params(scope), options)
}

export interface Metadata {
  type: string
  unit: string
  help: string
}

export function metadata(metric: string | undefined, limit: number, options: RequestOptions = {}): Promise<Answer<Record<string, Metadata[]>>> {
  return request('metadata', { metric, limit }, options)
}
