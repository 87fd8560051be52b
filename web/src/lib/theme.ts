/** The colours: those of the system, unless the user has chosen. */
export type Theme = 'auto' | 'dark' | 'light'

const changed = 'tsdb:theme'

export function theme(): Theme {
  const t = document.documentElement.dataset['theme']
  return t === 'dark' || t === 'light' ? t : 'auto'
}

/** Sets the theme. The cookie tells the server, so that the next page has its colours from the first paint. */
export function setTheme(t: Theme): void {
  document.documentElement.dataset['theme'] = t
  const path = new URL('..', new URL('.', document.baseURI)).pathname
  document.cookie = `tsdb-theme=${t}; path=${path}; max-age=${t === 'auto' ? 0 : 31536000}; samesite=strict`
  dispatchEvent(new Event(changed))
}

export function isDark(): boolean {
  const t = theme()
  return t === 'dark' || (t === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches)
}

/** Calls f after each change of the colours, until the returned function is called. */
export function onThemeChange(f: () => void): () => void {
  const system = matchMedia('(prefers-color-scheme: dark)')
  addEventListener(changed, f)
  system.addEventListener('change', f)
  return () => {
    removeEventListener(changed, f)
    system.removeEventListener('change', f)
  }
}

/** The value of a colour of styles/tokens.css, for the canvas. */
export function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}
