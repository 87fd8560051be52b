/** A field whose text counts once it is left or Enter is pressed. */
import type { ComponentProps } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'

interface CommitFieldProps extends Omit<ComponentProps<'input'>, 'value'> {
  /** The text that counts. */
  value: string
  /** Takes a text; false = it cannot be used, and the one before comes back. */
  commit: (text: string) => boolean | void
}

export function CommitField({ value, commit, ...rest }: CommitFieldProps) {
  const [text, setText] = useState(value)
  const gone = useRef(false)
  useLayoutEffect(() => setText(value), [value])
  // A field that leaves the page with its view loses the focus; what was typed is not wanted then.
  useLayoutEffect(() => {
    gone.current = false
    return () => {
      gone.current = true
    }
  }, [])
  const end = () => {
    if (!gone.current && text.trim() !== value && commit(text.trim()) === false) setText(value)
  }
  return <input {...rest} value={text} onInput={(e) => setText(e.currentTarget.value)} onBlur={end} onKeyDown={(e) => e.key === 'Enter' && end()} />
}
