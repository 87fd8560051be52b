/** The editor of one PromQL expression. */
import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, completionStatus } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from '@codemirror/commands'
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { lintKeymap } from '@codemirror/lint'
import { EditorState, Prec } from '@codemirror/state'
import { EditorView, keymap, placeholder } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { PromQLExtension } from '@prometheus-io/codemirror-promql'
import { useEffect, useRef } from 'preact/hooks'
import type { Span } from '../api/names'
import { ScopedClient } from './client'
import { helpOnHover } from './hover'

export interface EditorProps {
  value: string
  label: string
  /** The range shown: completion offers what has samples in it. */
  span: () => Span | undefined
  onChange: (value: string) => void
  onRun: () => void
  autoFocus?: boolean
}

const highlight = HighlightStyle.define([
  { tag: [tags.function(tags.variableName), tags.standard(tags.function(tags.variableName))], color: 'var(--syntax-function)' },
  { tag: [tags.labelName, tags.attributeName], color: 'var(--syntax-label)' },
  { tag: tags.string, color: 'var(--syntax-string)' },
  { tag: [tags.number, tags.bool, tags.literal], color: 'var(--syntax-number)' },
  { tag: [tags.keyword, tags.modifier, tags.operatorKeyword], color: 'var(--syntax-keyword)' },
  { tag: tags.comment, color: 'var(--muted)', fontStyle: 'italic' },
  { tag: tags.invalid, color: 'var(--error)' },
])

const nonce = () => document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce ?? ''

export default function Editor({ value, label, span, onChange, onRun, autoFocus }: EditorProps) {
  const host = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(null)
  /** Texts that were told and have not come back as the value yet: an echo is not a change from outside. */
  const told = useRef(new Set<string>())
  const now = useRef({ span, onChange, onRun })
  now.current = { span, onChange, onRun }

  useEffect(() => {
    const client = new ScopedClient(() => now.current.span())
    const promql = new PromQLExtension().setComplete({ remote: client, maxMetricsMetadata: 200 })
    const run = () => {
      now.current.onRun()
      return true
    }
    const editor = new EditorView({
      parent: host.current!,
      state: EditorState.create({
        doc: value,
        selection: { anchor: value.length },
        extensions: [
          EditorView.cspNonce.of(nonce()),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false' }),
          placeholder('PromQL, such as rate(http_requests_total[5m])'),
          history(),
          bracketMatching(),
          closeBrackets(),
          autocompletion({ maxRenderedOptions: 100 }),
          syntaxHighlighting(highlight),
          promql.asExtension(),
          helpOnHover(client),
          Prec.highest(
            keymap.of([
              // Enter takes a completion if the list is open, otherwise it runs the query.
              { key: 'Enter', run: (v) => (completionStatus(v.state) === 'active' && acceptCompletion(v) ? true : run()) },
              { key: 'Mod-Enter', run },
              { key: 'Shift-Enter', run: insertNewlineAndIndent },
              { key: 'Tab', run: (v) => completionStatus(v.state) === 'active' && acceptCompletion(v) },
            ]),
          ),
          keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
          EditorView.updateListener.of((u) => {
            if (!u.docChanged) return
            const text = u.state.doc.toString()
            told.current.add(text)
            now.current.onChange(text)
          }),
        ],
      }),
    })
    view.current = editor
    if (autoFocus) editor.focus()
    return () => {
      promql.destroy()
      editor.destroy()
    }
  }, [])

  useEffect(() => {
    const v = view.current
    if (!v) return
    if (v.state.doc.toString() === value) told.current.clear()
    else if (!told.current.has(value)) v.dispatch({ changes: { from: 0, to: v.state.doc.length, insert: value } })
  }, [value])

  return <div class="editor" ref={host} />
}
