/** The form to sign in, shown once the server has refused a request for lack of credentials. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiError, request } from '../api/client'
import { signIn, signOut, wantsLogin } from '../api/session'

export function Login() {
  const [open, setOpen] = useState(false)
  const [wrong, setWrong] = useState('')
  const [busy, setBusy] = useState(false)
  const box = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const ask = () => setOpen(true)
    addEventListener(wantsLogin, ask)
    return () => removeEventListener(wantsLogin, ask)
  }, [])
  useEffect(() => {
    if (open && !box.current?.open) box.current?.showModal()
  }, [open])
  const submit = async (e: Event) => {
    e.preventDefault()
    const data = new FormData(e.currentTarget as HTMLFormElement)
    setBusy(true)
    setWrong('')
    signIn(String(data.get('name') ?? '').trim(), String(data.get('password') ?? ''))
    try {
      await request('status/buildinfo')
      location.reload()
    } catch (error) {
      signOut()
      setWrong(error instanceof ApiError && error.kind === 'unauthorized' ? 'Name and password do not match.' : error instanceof Error ? error.message : String(error))
      setBusy(false)
    }
  }
  if (!open) return null
  return (
    <dialog class="login" ref={box} aria-labelledby="login-title" onClose={() => setOpen(false)}>
      <form onSubmit={submit}>
        <h2 id="login-title">Sign in</h2>
        <label class="field">
          <span>Name, empty with a token</span>
          <input name="name" autoComplete="username" autoFocus />
        </label>
        <label class="field">
          <span>Password or token</span>
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        {wrong && (
          <p class="note error" role="alert">
            {wrong}
          </p>
        )}
        <button class="primary" type="submit" disabled={busy}>
          Sign in
        </button>
      </form>
    </dialog>
  )
}
