import { useEffect, useState } from 'preact/hooks'

const told = 'tsdb:toast'

/** Shows a short message at the bottom of the page for some seconds. */
export function toast(text: string): void {
  dispatchEvent(new CustomEvent(told, { detail: text }))
}

/** Copies a text and says so. Where the browser has no clipboard, as over plain HTTP, the user gets the text to copy. */
export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
    toast(`${what} copied`)
  } catch {
    if (copyBySelection(text)) toast(`${what} copied`)
    else toast('The browser does not let the page copy')
  }
}

/** The way of browsers without a clipboard for insecure pages. */
function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea')
  area.className = 'visually-hidden'
  area.value = text
  document.body.append(area)
  area.select()
  try {
    return document.execCommand('copy')
  } catch {
    return false
  } finally {
    area.remove()
  }
}

/** Lets the browser save a text as a file. */
export function download(text: string, name: string, type: string): void {
  const a = document.createElement('a')
  a.href = URL.createObjectURL(new Blob([text], { type }))
  a.download = name
  a.click()
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000)
}

export function Toasts() {
  const [text, setText] = useState('')
  useEffect(() => {
    let timer = 0
    const show = (e: Event) => {
      clearTimeout(timer)
      setText((e as CustomEvent<string>).detail)
      timer = window.setTimeout(() => setText(''), 3000)
    }
    addEventListener(told, show)
    return () => removeEventListener(told, show)
  }, [])
  return (
    <div role="status" aria-live="polite">
      {text && <div class="toast">{text}</div>}
    </div>
  )
}
