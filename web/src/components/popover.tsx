import type { ComponentChildren, RefObject } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Icon, type IconName } from './icon'

/** Closes what is open on a click elsewhere or Escape; Escape returns the focus to the button. */
function useDismiss(open: boolean, anchor: RefObject<HTMLElement>, close: () => void): void {
  useEffect(() => {
    if (!open) return
    const click = (e: Event) => {
      if (!anchor.current?.contains(e.target as Node)) close()
    }
    const key = (e: KeyboardEvent) => {
      if (e.key !== 'Escape') return
      close()
      anchor.current?.querySelector('button')?.focus()
    }
    addEventListener('pointerdown', click, true)
    addEventListener('keydown', key)
    return () => {
      removeEventListener('pointerdown', click, true)
      removeEventListener('keydown', key)
    }
  }, [open])
}

interface PopoverProps {
  /** What the button shows. */
  text: ComponentChildren
  label: string
  icon?: IconName
  class?: string
  children: (close: () => void) => ComponentChildren
}

/** A button that opens a box of controls. */
export function Popover({ text, label, icon, class: cls, children }: PopoverProps) {
  const [open, setOpen] = useState(false)
  const anchor = useRef<HTMLDivElement>(null)
  useDismiss(open, anchor, () => setOpen(false))
  const close = () => {
    setOpen(false)
    anchor.current?.querySelector('button')?.focus() // the chosen control goes
  }
  return (
    <div class="menu-anchor" ref={anchor}>
      <button class={cls} aria-haspopup="dialog" aria-expanded={open} aria-label={label} title={label} onClick={() => setOpen(!open)}>
        {icon && <Icon name={icon} />}
        {text}
      </button>
      {open && (
        <div class="popover" role="dialog" aria-label={label}>
          {children(close)}
        </div>
      )}
    </div>
  )
}

export interface MenuItem {
  text: string
  run: () => void
  icon?: IconName
  disabled?: boolean
  /** Of a choice: whether it is the present one. */
  checked?: boolean
}

interface MenuProps {
  text?: ComponentChildren
  label: string
  icon?: IconName
  class?: string
  /** On which side of the button the menu begins. */
  start?: boolean
  /** null draws a line. */
  items: (MenuItem | null)[]
}

/** A button that opens a list of commands. */
export function Menu({ text, label, icon, class: cls, start, items }: MenuProps) {
  const [open, setOpen] = useState(false)
  const anchor = useRef<HTMLDivElement>(null)
  const list = useRef<HTMLDivElement>(null)
  useDismiss(open, anchor, () => setOpen(false))
  useEffect(() => {
    if (open) (list.current?.querySelector<HTMLElement>('[aria-checked=true]') ?? list.current?.querySelector('button'))?.focus()
  }, [open])
  const key = (e: KeyboardEvent) => {
    const all = [...(list.current?.querySelectorAll<HTMLButtonElement>('button:not(:disabled)') ?? [])]
    const at = all.indexOf(document.activeElement as HTMLButtonElement)
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[e.key]
    if (e.key === 'Tab') setOpen(false)
    if (to === undefined) return
    e.preventDefault()
    all[(to + all.length) % all.length]?.focus()
  }
  return (
    <div class="menu-anchor" ref={anchor}>
      <button class={cls} aria-haspopup="menu" aria-expanded={open} aria-label={label} title={label} onClick={() => setOpen(!open)}>
        {icon && <Icon name={icon} />}
        {text}
      </button>
      {open && (
        <div class={start ? 'menu start' : 'menu'} role="menu" aria-label={label} ref={list} onKeyDown={key}>
          {items.map((item, i) =>
            item === null ? (
              <hr key={i} />
            ) : (
              <button
                key={item.text}
                role={item.checked === undefined ? 'menuitem' : 'menuitemradio'}
                aria-checked={item.checked}
                disabled={item.disabled}
                tabIndex={-1}
                onClick={() => {
                  setOpen(false)
                  anchor.current?.querySelector('button')?.focus()
                  item.run()
                }}
              >
                {item.icon && <Icon name={item.icon} />}
                {item.text}
              </button>
            ),
          )}
        </div>
      )}
    </div>
  )
}
