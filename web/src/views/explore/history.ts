/** Queries that were run, and those that the user keeps; in the browser alone. */
import { load, save } from '../../lib/storage'

const maxHistory = 200
const maxFavourites = 200

export interface Kept {
  history: string[]
  favourites: string[]
}

export function kept(): Kept {
  const strings = (x: unknown) => (Array.isArray(x) ? x.filter((s): s is string => typeof s === 'string') : [])
  return { history: strings(load('history', [])), favourites: strings(load('favourites', [])) }
}

/** Puts queries that were run in front. */
export function remember(exprs: string[]): void {
  const { history } = kept()
  const news = exprs.map((e) => e.trim()).filter(Boolean)
  save('history', [...new Set([...news, ...history])].slice(0, maxHistory))
}

export function toggleFavourite(expr: string): Kept {
  const now = kept()
  const e = expr.trim()
  const favourites = now.favourites.includes(e) ? now.favourites.filter((f) => f !== e) : [e, ...now.favourites].slice(0, maxFavourites)
  save('favourites', favourites)
  return { ...now, favourites }
}

export function forgetHistory(): void {
  save('history', [])
}
