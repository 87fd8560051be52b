/**
 * Client of the server's HTTP API. Every request of the page goes through here,
 * so errors have one form, and nothing is asked of any other server.
 */

import { credentials, wantsLogin } from './session'

/** What kind of failure it is, which decides what the page tells to do. */
export type ErrorKind =
  | 'offline' // the server cannot be reached
  | 'unauthorized'
  | 'forbidden'
  | 'bad_data' // a parameter, mostly the query
  | 'execution' // the query failed or reached a limit
  | 'timeout'
  | 'unavailable' // it starts, stops or is overloaded
  | 'not_found'
  | 'cancelled' // by the user
  | 'internal'

export class ApiError extends Error {
  constructor(
    readonly kind: ErrorKind,
    message: string,
    readonly status = 0,
    /** Seconds after which the server asks to be asked again; 0 = it does not say. */
    readonly retryAfter = 0,
  ) {
    super(message)
  }
}

/** A successful response. */
export interface Answer<T> {
  data: T
  warnings: string[]
  infos: string[]
  /** Milliseconds from the request to the decoded answer. */
  tookMs: number
}

export type Params = Record<string, string | number | boolean | undefined | string[]>

export interface RequestOptions {
  signal?: AbortSignal
  /** Default GET. POST sends the parameters as a form: for those that may be long. */
  method?: 'GET' | 'POST'
}

/** Address of the folder that holds ui/, api/ and so on, with a slash at its end. */
export const root = typeof document === 'undefined' ? '/' : new URL('..', new URL('.', document.baseURI)).pathname

export function formOf(params: Params): URLSearchParams {
  const form = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined || value === '' || value === false) continue
    if (Array.isArray(value)) for (const v of value) form.append(name, v)
    else form.set(name, String(value))
  }
  return form
}

/** Asks a path below api/v1/ and returns its data. Throws ApiError, or the AbortError of the signal. */
export async function request<T>(path: string, params: Params = {}, options: RequestOptions = {}): Promise<Answer<T>> {
  const begin = performance.now()
  const form = formOf(params)
  let address = `${root}api/v1/${path}`
  // The header keeps the browser from opening a dialog of its own when credentials are missing.
  const headers: Record<string, string> = { 'X-Tsdb-Page': '1' }
  const authorization = credentials()
  if (authorization) headers['Authorization'] = authorization
  const init: RequestInit = { method: options.method ?? 'GET', credentials: 'same-origin', headers }
  if (options.signal) init.signal = options.signal
  if (init.method === 'POST') init.body = form
  else if (form.size > 0) address += `?${form}`
  let response: Response
  let text: string
  try {
    response = await fetch(address, init)
    text = await response.text()
  } catch (e) {
    if (options.signal?.aborted) throw e
    throw new ApiError('offline', 'The server does not answer.')
  }
  const body = parse(text)
  if (response.ok && (body === undefined || body.status === undefined || body.status === 'success')) {
    const data = (body !== undefined && 'data' in body ? body.data : body) as T
    return { data, warnings: body?.warnings ?? [], infos: body?.infos ?? [], tookMs: performance.now() - begin }
  }
  if (response.status === 401) dispatchEvent(new Event(wantsLogin))
  throw failure(response.status, Number(response.headers.get('Retry-After')) || 0, body, text)
}

/** Asks a path of the server that answers in plain text, whatever its status. Throws ApiError, or the AbortError of the signal. */
export async function requestText(path: string, options: RequestOptions = {}): Promise<{ text: string; status: number }> {
  const headers: Record<string, string> = { 'X-Tsdb-Page': '1' }
  if (credentials()) headers['Authorization'] = credentials()
  try {
    const response = await fetch(root + path, { credentials: 'same-origin', headers, signal: options.signal ?? null })
    if (response.status === 401) {
      dispatchEvent(new Event(wantsLogin))
      throw new ApiError('unauthorized', 'unauthorized', 401)
    }
    return { text: await response.text(), status: response.status }
  } catch (e) {
    if (options.signal?.aborted || e instanceof ApiError) throw e
    throw new ApiError('offline', 'The server does not answer.')
  }
}

interface Envelope {
  status?: string
  data?: unknown
  errorType?: string
  error?: string
  warnings?: string[]
  infos?: string[]
}

function parse(text: string): Envelope | undefined {
  try {
    return JSON.parse(text) as Envelope
  } catch {
    return undefined
  }
}

const kinds: readonly string[] = ['unauthorized', 'forbidden', 'bad_data', 'execution', 'timeout', 'unavailable', 'not_found', 'internal']

function failure(status: number, retryAfter: number, body: Envelope | undefined, text: string): ApiError {
  let kind: ErrorKind = 'internal'
  if (body?.errorType && kinds.includes(body.errorType)) kind = body.errorType as ErrorKind
  else if (status === 401) kind = 'unauthorized'
  else if (status === 403) kind = 'forbidden'
  else if (status === 404) kind = 'not_found'
  else if (status === 429 || status >= 502) kind = 'unavailable'
  else if (status >= 400 && status < 500) kind = 'bad_data'
  const html = /^\s*</.test(text) // the page of a proxy
  const message = body?.error ?? ((!html && text.slice(0, 300).trim()) || `The server answers with status ${status}.`)
  return new ApiError(kind, message, status, retryAfter)
}

/** What a person can do about an error, in a sentence. */
export function advice(e: ApiError): string {
  switch (e.kind) {
    case 'offline':
      return 'Check that it runs and that this machine can reach it.'
    case 'unauthorized':
      return 'The server wants a name and a password, or a token.'
    case 'forbidden':
      return 'The settings of the server do not allow this from here.'
    case 'bad_data':
    case 'cancelled':
      return ''
    case 'execution':
      return 'Ask for fewer series or a shorter range, or raise the limit that the message names.'
    case 'timeout':
      return 'Ask for a shorter range or a longer step, or raise --query.timeout.'
    case 'unavailable':
      return `The server starts, stops or has too much to do. Try again in ${e.retryAfter > 0 ? `${e.retryAfter} s` : 'a moment'}.`
    case 'not_found':
      return 'It may have been removed meanwhile.'
    case 'internal':
      return 'The log of the server says more.'
  }
}

export function isAbort(e: unknown): boolean {
  return e instanceof DOMException && e.name === 'AbortError'
}

/** Any thrown value as an ApiError. */
export function asApiError(e: unknown): ApiError {
  return e instanceof ApiError ? e : new ApiError('internal', e instanceof Error ? e.message : String(e))
}
