/** Small plots of the metrics of a list, each read when it comes into sight. */
import type { ComponentChildren } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { queryInstant } from '../../api/query'
import { duration, plural } from '../../lib/format'
import { useAsync } from '../../lib/useAsync'
import { autoStep } from '../explore/state'
import type { Row } from '.'
import { Small } from './detail'
import { eachOf, firstPlot, mayBeNative } from './kinds'

const shownFirst = 24
const rangeMs = 3_600_000
const points = 120

interface GalleryProps {
  rows: Row[]
  /** Metrics of more series are not read for a small plot. */
  maxSeries: number
  /** The link to a metric. */
  link: (name: string) => ComponentChildren
}

export function Gallery({ rows, maxSeries, link }: GalleryProps) {
  const [size, setSize] = useState(shownFirst)
  const shown = useMemo(() => [...rows].sort((a, b) => (a.name < b.name ? -1 : 1)).slice(0, size), [rows, size])
  const unsure = shown.filter((r) => r.name && r.series <= maxSeries && mayBeNative(r.name, r.type)).map((r) => r.name)
  const natives = useAsync(
    async (signal) => {
      if (unsure.length === 0) return new Set<string>()
      const a = await queryInstant(eachOf(unsure, (s) => `count(histogram_count(${s}))`), Date.now(), { signal, uncounted: true }, rangeMs)
      return new Set(a.data.resultType === 'vector' ? a.data.result.map((s) => unsure[Number(s.metric['row'])] ?? '') : [])
    },
    [unsure.join('\n')],
  )
  const grid = useMemo(() => {
    const stepMs = autoStep(rangeMs, points)
    const endMs = Math.floor(Date.now() / stepMs) * stepMs
    return { startMs: endMs - rangeMs, endMs, stepMs }
  }, [rows])
  const window = duration(Math.max(300_000, 4 * grid.stepMs))
  return (
    <>
      <div class="minis">
        {shown.map((r) => {
          const spec = r.series <= maxSeries ? firstPlot(r.name, r.type, natives.data?.has(r.name) ?? false, window) : undefined
          return (
            <InSight key={r.name} label={r.name}>
              {!spec ? (
                <section class="card small-plot">
                  <header>{link(r.name)}</header>
                  <p class="mini-none muted">{plural(r.series, 'series', 'series')}: open it to plot them.</p>
                </section>
              ) : natives.data || natives.error ? (
                <Small spec={spec} grid={grid} label={r.name} title={link(r.name)}>
                  {() => <span class="hint">{spec.title}</span>}
                </Small>
              ) : undefined}
            </InSight>
          )
        })}
      </div>
      {rows.length > shown.length && (
        <p class="row">
          <button class="small" onClick={() => setSize(size + shownFirst)}>
            Show more
          </button>
          <span class="hint">
            {shown.length} of {rows.length}
          </span>
        </p>
      )}
    </>
  )
}

/** Its children once it has been in sight, until then their space. */
function InSight({ label, children }: { label: string; children: ComponentChildren }) {
  const [seen, setSeen] = useState(false)
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (seen || !box.current) return
    const watch = new IntersectionObserver((all) => all.some((e) => e.isIntersecting) && setSeen(true), { rootMargin: '200px' })
    watch.observe(box.current)
    return () => watch.disconnect()
  }, [seen])
  return seen && children ? <>{children}</> : <div class="card small-plot waiting" ref={box} role="status" aria-label={`Loading the plot of ${label}`} />
}
