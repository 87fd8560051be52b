/** Who is signed in. The browser forgets it with the tab. */
const key = 'tsdb.authorization'

/** The event that a request was refused for lack of valid credentials. */
export const wantsLogin = 'tsdb:login'

/** The event that the user has signed in or out. */
export const loginChanged = 'tsdb:login-changed'

/** The Authorization header of requests; empty = none. */
export function credentials(): string {
  try {
    return sessionStorage.getItem(key) ?? ''
  } catch {
    return ''
  }
}

/** Signs in with a name and a password; without a name the password is a token. */
export function signIn(name: string, password: string): void {
  const bytes = new TextEncoder().encode(`${name}:${password}`)
  keep(name === '' ? `Bearer ${password}` : `Basic ${btoa(String.fromCharCode(...bytes))}`)
}

export function signOut(): void {
  keep('')
}

function keep(value: string): void {
  try {
    if (value) sessionStorage.setItem(key, value)
    else sessionStorage.removeItem(key)
  } catch {
    // Without storage nobody can stay signed in.
  }
  dispatchEvent(new Event(loginChanged))
}
