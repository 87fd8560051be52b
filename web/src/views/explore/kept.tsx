/** Queries of the past and favourites, to put into the editor again. */
import { useState } from 'preact/hooks'
import { forgetHistory, kept, toggleFavourite } from './history'
import { Icon } from '../../components/icon'

export function KeptQueries({ onPick }: { onPick: (expr: string) => void }) {
  const [now, setNow] = useState(kept)
  const [filter, setFilter] = useState('')
  const has = (e: string) => e.toLowerCase().includes(filter.toLowerCase())
  const favourites = now.favourites.filter(has)
  const history = now.history.filter(has).slice(0, 100)
  const list = (title: string, all: string[], none: string) => (
    <section>
      <h3>{title}</h3>
      {all.length === 0 && <p class="hint">{none}</p>}
      <ul class="kept">
        {all.map((e) => (
          <li key={e}>
            <button class="quiet" aria-label={now.favourites.includes(e) ? `Remove ${e} from favourites` : `Keep ${e} as favourite`} onClick={() => setNow(toggleFavourite(e))}>
              <span class={now.favourites.includes(e) ? 'starred' : ''}>
                <Icon name="star" />
              </span>
            </button>
            <button class="quiet pick mono" onClick={() => onPick(e)}>
              {e}
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
  return (
    <div class="kept-box">
      <input type="search" placeholder="Filter" aria-label="Filter queries" value={filter} onInput={(e) => setFilter(e.currentTarget.value)} />
      {list('Favourites', favourites, 'The star beside a query keeps it here.')}
      {list('History', history, 'Queries that you run are listed here. They stay in this browser.')}
      {now.history.length > 0 && (
        <button
          class="small"
          onClick={() => {
            forgetHistory()
            setNow(kept())
          }}
        >
          Forget the history
        </button>
      )}
    </div>
  )
}
