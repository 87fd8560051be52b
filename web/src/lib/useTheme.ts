import { useEffect, useState } from 'preact/hooks'
import { isDark, onThemeChange } from './theme'

/** Whether the colours are dark; the component renders again when they change. */
export function useTheme(): boolean {
  const [dark, setDark] = useState(isDark)
  useEffect(() => onThemeChange(() => setDark(isDark())), [])
  return dark
}
