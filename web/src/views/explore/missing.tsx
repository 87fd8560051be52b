import type { Grid } from '../../plot/series'
import type { Range } from '../../components/rangepicker'
import type { Zone } from '../../lib/format'

interface MissingProps {
  expr: string
  grid: Grid
  zone: Zone
  onReplace: (expr: string) => void
  onRange: (range: Range) => void
}

export function Missing(_: MissingProps) {
  return <p class="state">No series.</p>
}
