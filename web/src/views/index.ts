import type { ComponentType } from 'preact'

/** What a view gets from the page. */
export interface ViewProps {
  params: URLSearchParams
}

export interface View {
  /** Its name in the address: ui/NAME. */
  name: string
  title: string
  /** Shown once the server scrapes. */
  scraping?: boolean
  load: () => Promise<{ default: ComponentType<ViewProps> }>
}

/** All views, in the order of the tabs. A view is loaded when it is opened. */
export const views: View[] = [
  { name: 'explore', title: 'Explore', load: () => import('./explore') },
  { name: 'metrics', title: 'Metrics', load: () => import('./metrics') },
  { name: 'cardinality', title: 'Cardinality', load: () => import('./cardinality') },
  { name: 'health', title: 'Ingest & health', load: () => import('./health') },
  { name: 'targets', title: 'Targets', scraping: true, load: () => import('./targets') },
]
