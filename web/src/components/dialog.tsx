/** A box over the page that has to be closed before anything else. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { Icon } from './icon'

interface DialogProps {
  title: string
  onClose: () => void
  children: ComponentChildren
}

export function Dialog({ title, onClose, children }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const dialog = box.current
    if (!dialog?.open) dialog?.showModal()
    return () => dialog?.close() // gives the focus back
  }, [])
  return (
    <dialog class="dialog" ref={box} aria-label={title} onClose={onClose}>
      <header class="row">
        <h2>{title}</h2>
        <span class="grow" />
        <button class="quiet" aria-label="Close" onClick={() => box.current?.close()}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </dialog>
  )
}
