/** Finds what somebody may have meant. Pure. */

/** The number of characters to insert, delete, replace or swap; more than max = max + 1. */
export function distance(a: string, b: string, max: number): number {
  if (Math.abs(a.length - b.length) > max) return max + 1
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    let least = i
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let d = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) d = Math.min(d, (before[j - 2] ?? 0) + 1)
      next.push(d)
      if (d < least) least = d
    }
    if (least > max) return max + 1
    before = row
    row = next
  }
  return Math.min(row[b.length] ?? 0, max + 1)
}

/** Up to n of all that resemble the text, the most similar first. */
export function nearest(text: string, all: readonly string[], n: number): string[] {
  const max = Math.max(2, Math.floor(text.length / 4))
  const low = text.toLowerCase()
  const words = low.split(/[_:.\-]+/).filter((w) => w.length > 2)
  const scored: { name: string; score: number }[] = []
  for (const name of all) {
    if (name === text) continue
    const other = name.toLowerCase()
    const d = distance(low, other, max)
    if (d <= max) scored.push({ name, score: d })
    else if (low.length > 3 && (other.includes(low) || low.includes(other))) scored.push({ name, score: max + 1 })
    else {
      const shared = words.filter((w) => other.includes(w)).length
      if (words.length > 1 && shared >= words.length - 1) scored.push({ name, score: max + 2 + words.length - shared })
    }
  }
  return scored.sort((a, b) => a.score - b.score || (a.name < b.name ? -1 : 1)).slice(0, n).map((s) => s.name)
}
