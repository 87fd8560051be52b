/**
 * The address of the page: ui/VIEW?parameters. A view keeps all that a link to it
 * should restore in the parameters.
 */
import { useEffect, useState } from 'preact/hooks'

export interface Route {
  view: string
  params: URLSearchParams
}

/** The route of an address. */
export function routeOf(pathname: string, search: string): Route {
  const at = pathname.lastIndexOf('/')
  return { view: decodeURIComponent(pathname.slice(at + 1)) || 'explore', params: new URLSearchParams(search) }
}

/** The address of a view, relative to the page's folder. */
export function hrefOf(view: string, params?: URLSearchParams): string {
  const query = params?.toString() ?? ''
  return query ? `${view}?${query}` : view
}

const changed = 'tsdb:route'

export function current(): Route {
  return routeOf(location.pathname, location.search)
}

/** Goes to a view. replace: the back button does not return to the present address. */
export function go(view: string, params?: URLSearchParams, replace = false): void {
  const href = hrefOf(view, params)
  const target = new URL(href, document.baseURI)
  if (target.href === location.href) return
  if (replace) history.replaceState(null, '', href)
  else history.pushState(null, '', href)
  dispatchEvent(new Event(changed))
}

/**
 * Changes parameters of a view in the address; an empty value is left out. Those that
 * are there count, not those of an earlier render. Nothing happens once another view
 * is shown.
 */
export function change(view: string, set: Record<string, string>, replace = false): void {
  const now = current()
  if (now.view !== view) return
  for (const [k, v] of Object.entries(set)) {
    if (v) now.params.set(k, v)
    else now.params.delete(k)
  }
  go(view, now.params, replace)
}

/** The present route; the component renders again when it changes. */
export function useRoute(): Route {
  const [route, setRoute] = useState(current)
  useEffect(() => {
    const update = () => setRoute(current())
    addEventListener('popstate', update)
    addEventListener(changed, update)
    return () => {
      removeEventListener('popstate', update)
      removeEventListener(changed, update)
    }
  }, [])
  return route
}
