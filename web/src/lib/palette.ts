import { isDark } from './theme'

/** Colours of series; each has a contrast of at least 3:1 to the surface of its theme. */
const light = ['#3f51d9', '#c2410c', '#0f766e', '#be185d', '#7c3aed', '#4d7c0f', '#0369a1', '#a16207', '#b91c1c', '#475569', '#047857', '#a21caf']
const dark = ['#93a2ff', '#fb923c', '#2dd4bf', '#f472b6', '#c4a5ff', '#a3d65c', '#5cc3ff', '#facc4d', '#ff8b8b', '#b4c0d4', '#4ade9c', '#e08bff']

export function seriesColor(index: number): string {
  const colors = isDark() ? dark : light
  return colors[index % colors.length] ?? '#888888'
}
