import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { advice, type ApiError } from '../api/client'
import { Icon } from './icon'

interface Action {
  text: string
  run: () => void
}

/** Something takes its time. */
export function Loading({ what, cancel }: { what: string; cancel?: () => void }) {
  return <Busy text={`Loading ${what}…`} cancel={cancel} />
}

/** Work under way: after some seconds it says for how long. */
export function Busy({ text, cancel }: { text: string; cancel?: (() => void) | undefined }) {
  const [seconds, setSeconds] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => setSeconds((n) => n + 1), 1000)
    return () => clearInterval(timer)
  }, [])
  return (
    <div class="state loading" role="status">
      <span class="spinner" aria-hidden="true" />
      <p>{text}</p>
      <p class="hint" aria-hidden="true">
        {seconds > 2 && `for ${seconds} s`}
      </p>
      {cancel && <button onClick={cancel}>Cancel</button>}
    </div>
  )
}

/** There is nothing to show; children say why and what to do. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="state empty">
      <h2>{title}</h2>
      {children}
    </div>
  )
}

/** Something failed as a whole. */
export function Failure({ title, text, action }: { title: string; text: string; action?: Action | undefined }) {
  return (
    <div class="state failure" role="alert">
      <h2>
        <Icon name="warn" /> {title}
      </h2>
      <p>{text}</p>
      {action && (
        <button class="primary" onClick={action.run}>
          {action.text}
        </button>
      )}
    </div>
  )
}

const titles: Record<ApiError['kind'], string> = {
  offline: 'The server cannot be reached',
  unauthorized: 'Sign in first',
  forbidden: 'Not allowed',
  bad_data: 'The request is not valid',
  execution: 'The query failed',
  timeout: 'The query took too long',
  unavailable: 'The server is not ready',
  not_found: 'Not found',
  cancelled: 'Nothing is loaded',
  internal: 'The server failed',
}

/** An error of the API, with what to do about it. */
export function ErrorNote({ error, retry }: { error: ApiError; retry?: () => void }) {
  const what = advice(error)
  return (
    <div class={error.kind === 'cancelled' ? 'note info' : 'note error'} role="alert">
      <Icon name={error.kind === 'cancelled' ? 'info' : 'warn'} />
      <div>
        <strong>{titles[error.kind]}</strong>
        <p>{error.message}</p>
        {what && <p class="hint">{what}</p>}
      </div>
      {retry && <button onClick={retry}>Try again</button>}
    </div>
  )
}
