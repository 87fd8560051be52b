/** What the user may do. */
import { useEffect, useState } from 'preact/hooks'
import { request } from './client'

export interface Access {
  user: string
  authentication: boolean
  admin: boolean
}

const nothing: Access = { user: '', authentication: false, admin: false }
let asked: Promise<Access> | undefined

function access(): Promise<Access> {
  asked ??= request<Access>('status/whoami').then(
    (a) => a.data,
    () => {
      asked = undefined // signing in or a server that starts: the next view asks again
      return nothing
    },
  )
  return asked
}

/** The rights of the user; none until the server has said so, so that no button appears that answers 403. */
export function useAccess(): Access {
  const [now, setNow] = useState(nothing)
  useEffect(() => {
    let gone = false
    void access().then((a) => !gone && setNow(a))
    return () => {
      gone = true
    }
  }, [])
  return now
}
