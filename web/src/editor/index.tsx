import type { ComponentType } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { EditorProps } from './editor'

let loaded: ComponentType<EditorProps> | undefined
const loading = () => import('./editor').then((m) => (loaded = m.default))

/** The editor; until its code is there, a plain field that works as well. */
export function QueryEditor(props: EditorProps) {
  const [Editor, setEditor] = useState<{ is: ComponentType<EditorProps> } | undefined>(loaded && { is: loaded })
  const plain = useRef<HTMLTextAreaElement>(null)
  const typing = useRef(false)
  useEffect(() => {
    if (props.autoFocus) plain.current?.focus()
    if (!Editor) loading().then(
        (is) => {
          typing.current = document.activeElement === plain.current
          setEditor({ is })
        },
        () => {}, // the plain field stays
      )
  }, [])
  if (Editor) return <Editor.is {...props} autoFocus={(props.autoFocus ?? false) || typing.current} />
  return (
    <textarea
      ref={plain}
      class="editor plain mono"
      aria-label={props.label}
      rows={1}
      spellcheck={false}
      value={props.value}
      onInput={(e) => props.onChange(e.currentTarget.value)}
      onKeyDown={(e) => {
        if (e.key !== 'Enter' || e.shiftKey) return
        e.preventDefault()
        props.onRun()
      }}
    />
  )
}
