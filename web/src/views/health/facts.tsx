import type { ComponentChildren } from 'preact'

interface FactProps {
  title: string
  value: ComponentChildren
  more?: ComponentChildren
  /** Part of a limit, 0 to 1; undefined = there is none. */
  part?: number | undefined
}

export function Fact({ title, value, more, part }: FactProps) {
  const shown = part === undefined || !Number.isFinite(part) ? undefined : Math.min(Math.max(part, 0), 1)
  return (
    <div>
      <dt>{title}</dt>
      <dd>
        <b>{value}</b>
        {shown !== undefined && (
          <svg class="meter" viewBox="0 0 100 1" preserveAspectRatio="none" role="img" aria-label={`${Math.round(shown * 100)} % of the limit`}>
            <rect width="100" height="1" />
            <rect class={shown > 0.85 ? 'full high' : 'full'} width={shown * 100} height="1" />
          </svg>
        )}
        {more && <span class="hint">{more}</span>}
      </dd>
    </div>
  )
}

export function Card({ title, children, side }: { title: string; children: ComponentChildren; side?: ComponentChildren }) {
  return (
    <section class="card part-card" aria-label={title}>
      <header class="row">
        <h2>{title}</h2>
        <span class="grow" />
        {side}
      </header>
      {children}
    </section>
  )
}
