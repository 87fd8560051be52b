/** Small things that the browser keeps: history, favourites. They may be gone, full or forbidden at any time. */
export function load<T>(key: string, missing: T): T {
  try {
    const text = localStorage.getItem(`tsdb.${key}`)
    return text === null ? missing : (JSON.parse(text) as T)
  } catch {
    return missing
  }
}

export function save(key: string, value: unknown): void {
  try {
    localStorage.setItem(`tsdb.${key}`, JSON.stringify(value))
  } catch {
    // The page works without what it would remember.
  }
}
