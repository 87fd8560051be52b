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
        setState((s) => ({ ...s, loading: false, error: isAbort(e) ? s.error : asApiError(e) }))
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
