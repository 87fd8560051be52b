/** What the server is set to. */
import { useState } from 'preact/hooks'
import { useAccess } from '../../api/access'
import { config, flags } from '../../api/status'
import { Icon } from '../../components/icon'
import { ErrorNote, Loading } from '../../components/states'
import { copy } from '../../components/toast'
import { useAsync } from '../../lib/useAsync'
import { Card } from './facts'

export function Settings() {
  const access = useAccess()
  const [text, setText] = useState('')
  const set = useAsync((signal) => flags({ signal }), [])
  const file = useAsync((signal) => config({ signal }), [])
  const rows = Object.entries(set.data?.data ?? {})
    .filter(([name, value]) => `${name} ${value}`.toLowerCase().includes(text.toLowerCase()))
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const yaml = file.data?.data.yaml ?? ''
  return (
    <>
      <p class="hint">
        {access.authentication ? `Signed in${access.user ? ` as ${access.user}` : ''}.` : 'The server asks for no credentials.'} {access.admin ? 'You may delete, cancel and administer.' : 'You may read and query; administration is open to clients on the machine itself, or with --web.enable-admin-api.'}
      </p>
      <Card
        title="Settings"
        side={
          <label class="search-field">
            <Icon name="search" />
            <span class="visually-hidden">Find a setting</span>
            <input type="search" placeholder="Find a setting" value={text} onInput={(e) => setText(e.currentTarget.value)} />
          </label>
        }
      >
        {set.error && <ErrorNote error={set.error} retry={set.reload} />}
        {!set.data && set.loading && <Loading what="the settings" />}
        {set.data && rows.length === 0 && <p class="hint pad">No setting is like that.</p>}
        <div class="scroll grid" tabIndex={0} role="region" aria-label="Table of settings">
          <table>
            <tbody>
              {rows.map(([name, value]) => (
                <tr key={name}>
                  <th scope="row" class="mono">
                    --{name}
                  </th>
                  <td class="mono setting">{value === '' ? <span class="muted">empty</span> : value}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </Card>
      {file.error && <ErrorNote error={file.error} retry={file.reload} />}
      {yaml && (
        <Card
          title="As a configuration file"
          side={
            <button class="small" onClick={() => void copy(yaml, 'Configuration')}>
              <Icon name="copy" /> Copy
            </button>
          }
        >
          <pre class="sample yaml" tabIndex={0}>
            {yaml}
          </pre>
        </Card>
      )}
    </>
  )
}
