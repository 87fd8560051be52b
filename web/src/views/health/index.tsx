/** Ingest and health: what comes in, what is refused, what the server does, and what it is set to. */
import { go, hrefOf } from '../../lib/router'
import type { ViewProps } from '..'
import { Overview } from './overview'
import { Queries } from './queries'
import { Settings } from './settings'
import { Storage } from './storage'

const sections = [
  ['overview', 'Overview', Overview],
  ['storage', 'Storage', Storage],
  ['queries', 'Queries', Queries],
  ['settings', 'Settings', Settings],
] as const

export default function Health({ params }: ViewProps) {
  const [name, , Section] = sections.find(([n]) => n === params.get('s')) ?? sections[0]
  const link = (n: string) => new URLSearchParams(n === 'overview' ? {} : { s: n })
  return (
    <div class="view">
      <div class="detail-head">
        <h1>Ingest and health</h1>
        <nav class="segmented" aria-label="Parts of this view">
          {sections.map(([n, title]) => (
            <a
              key={n}
              href={hrefOf('health', link(n))}
              aria-current={n === name ? 'true' : undefined}
              onClick={(e) => {
                if (e.ctrlKey || e.metaKey || e.shiftKey || e.button !== 0) return
                e.preventDefault()
                go('health', link(n))
              }}
            >
              {title}
            </a>
          ))}
        </nav>
      </div>
      <Section />
    </div>
  )
}
