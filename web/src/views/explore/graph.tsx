/** The graph of all queries: plot, tiers, legend, and what keeps it readable. */
import { useMemo, useState } from 'preact/hooks'
import { Icon } from '../../components/icon'
import { count, short, type Zone } from '../../lib/format'
import { seriesColor } from '../../lib/palette'
import { selectorOf } from '../../lib/labels'
import { useTheme } from '../../lib/useTheme'
import { heatMapOf, onlyHistograms } from '../../plot/histogram'
import { Legend } from '../../plot/legend'
import { Plot, type PlotLine } from '../../plot/plot'
import { capped, linesOf, nameLines, timesOf, type Line } from '../../plot/series'
import { letter, type Mode } from './state'
import { TierStrip } from './strip'
import type { Runs } from './run'

interface GraphProps {
  runs: Runs
  mode: Mode
  log: boolean
  zone: Zone
  onZoom: (startMs: number, endMs: number) => void
}

/** Lines drawn unless the user asks for all. */
export const drawnLines = 200

export function Graph({ runs, mode, log, zone, onZoom }: GraphProps) {
  const { grid } = runs
  const dark = useTheme()
  const [everything, setEverything] = useState(false)
  const [hidden, setHidden] = useState<Set<string>>(new Set())
  const [focus, setFocus] = useState<string>()
  const [box, setBox] = useState({ left: 0, width: 0 })

  const answers = runs.runs.map((r) => r?.range)
  const times = useMemo(() => timesOf(grid), [grid])
  const { lines, common, color } = useMemo(() => {
    const all = answers.flatMap((a, i) => (a ? linesOf(a.result, i, grid, times.length) : []))
    const names = nameLines(all, runs.runs.map((r) => r?.expr ?? ''))
    const color = new Map(all.map((l, i) => [l.id, i]))
    return { lines: all, common: names, color }
  }, [times, ...answers])
  const results = useMemo(() => answers.flatMap((a) => a?.result ?? []), answers)
  const asHeat = mode === 'heatmap' || onlyHistograms(results)
  const heat = useMemo(() => (asHeat ? heatMapOf(results, grid, times.length) : undefined), [asHeat, results, times])

  const { wanted, chosen, undrawn } = useMemo(() => {
    const wanted = hidden.size > 0 ? lines.filter((l) => !hidden.has(l.id)) : lines
    const chosen = everything ? wanted : capped(wanted, drawnLines)
    const drawn = new Set(chosen)
    return { wanted, chosen, undrawn: new Set(wanted.filter((l) => !drawn.has(l)).map((l) => l.id)) }
  }, [lines, hidden, everything])
  const colorOf = (l: Line) => seriesColor(color.get(l.id) ?? 0)
  const visible: PlotLine[] = useMemo(
    () => (heat ? [] : chosen.map((l) => ({ id: l.id, name: l.name, color: colorOf(l), values: l.values }))),
    [chosen, heat, dark],
  )
  const queries = runs.runs.filter(Boolean).length

  return (
    <>
      {mode === 'heatmap' && !heat && results.length > 0 && (
        <div class="note info">
          <Icon name="info" />
          <div>
            A heat map needs histograms: native ones, or series with the label <code>le</code>, as <code>sum by (le) (rate(…_bucket[5m]))</code> gives. Lines are shown instead.
          </div>
        </div>
      )}
      <Plot
        times={times}
        lines={visible}
        heat={heat}
        stacked={mode === 'stacked' && !heat}
        log={log}
        zone={zone}
        startMs={grid.startMs}
        endMs={grid.endMs}
        focus={focus}
        label={heat ? 'Heat map of histograms' : `Graph of ${count(visible.length)} series`}
        onZoom={onZoom}
        onBox={(left, width) => setBox((b) => (b.left === left && b.width === width ? b : { left, width }))}
      />
      <TierStrip explained={runs.runs.map((r) => r?.explained)} startMs={grid.startMs} endMs={grid.endMs} left={box.left} width={box.width} zone={zone} />
      {heat ? (
        <p class="row hint">
          0 <span class="heat-scale" aria-hidden="true" /> {short(heat.max)} in a bucket and step
          {heat.series > 1 && ` · ${count(heat.series)} histograms are added up`}
        </p>
      ) : (
        <>
          {wanted.length > drawnLines && (
            <p class="note info">
              <Icon name="info" />
              <span class="grow">{everything ? `All ${count(wanted.length)} series are drawn.` : `The ${count(chosen.length)} of ${count(wanted.length)} series with the largest maximum are drawn.`}</span>
              <button class="small" onClick={() => setEverything(!everything)}>
                {everything ? `Show the largest ${drawnLines}` : 'Show all'}
              </button>
            </p>
          )}
          {[...common].map(([query, d]) =>
            d.names.length > 0 && Object.keys(d.common).length > 0 ? (
              <p key={query} class="hint common">
                {queries > 1 && <span class="letter">{letter(query)}</span>} all have <code>{selectorOf(d.common)}</code>
              </p>
            ) : null,
          )}
          {lines.length > 0 && (
            <Legend lines={lines} colorOf={colorOf} hidden={hidden} undrawn={undrawn} onHide={setHidden} onFocus={setFocus} letters={(q) => (queries > 1 ? letter(q) : undefined)} />
          )}
        </>
      )}
    </>
  )
}
