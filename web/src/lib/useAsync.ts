import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { ApiError, asApiError, isAbort } from '../api/client'

export interface Async<T> {
  /** The newest result; it stays while a reload runs or has failed. */
  data: T | undefined
  error: ApiError | undefined
  loading: boolean
  reload: () => void
  cancel: () => void
}

const cancelled = new ApiError('cancelled', 'It was cancelled before its answer came.')

/**
 * Runs f when the component appears and when any of deps changes, and ends the
 * previous run through the signal.
 */
export function useAsync<T>(f: (signal: AbortSignal) => Promise<T>, deps: readonly unknown[]): Async<T> {
  const [state, setState] = useState<{ data: T | undefined; error: ApiError | undefined; loading: boolean }>({
    data: undefined,
    error: undefined,
    loading: true,
  })
  const running = useRef<AbortController>(null)
  const run = useCallback(() => {
    running.current?.abort()
    const c = new AbortController()
    running.current = c
    setState((s) => ({ ...s, loading: true }))
    f(c.signal).then(
      (data) => {
        if (running.current === c) setState({ data, error: undefined, loading: false })
      },
      (e) => {
        if (running.current !== c) return
        // Only the user ends the newest run.
        setState((s) => ({ ...s, loading: false, error: !isAbort(e) ? asApiError(e) : s.data === undefined ? cancelled : s.error }))
      },
    )
  }, deps)
  useEffect(() => {
    run()
    return () => running.current?.abort()
  }, [run])
  const cancel = useCallback(() => running.current?.abort(), [])
  return { ...state, reload: run, cancel }
}
