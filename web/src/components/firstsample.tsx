import { Icon } from './icon'
import { copy } from './toast'

/** How to send a first sample, for views that have nothing to show. */
export function FirstSample() {
  const command = `curl '${location.origin}/write?db=home' --data-binary 'weather,room=kitchen celsius=21.5'`
  return (
    <>
      <p>
        Prometheus sends to <code>/api/v1/write</code> (remote_write), OpenTelemetry to <code>/v1/metrics</code>, Telegraf as to InfluxDB. Or try a line:
      </p>
      <pre class="sample wrapped">{command}</pre>
      <button onClick={() => void copy(command, 'Command')}>
        <Icon name="copy" /> Copy
      </button>
    </>
  )
}
