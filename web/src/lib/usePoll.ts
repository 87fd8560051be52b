import { useEffect } from 'preact/hooks'

/** Calls f again and again while the page is in sight. */
export function usePoll(f: () => void, everyMs: number): void {
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') f()
    }, everyMs)
    return () => clearInterval(timer)
  }, [f, everyMs])
}
