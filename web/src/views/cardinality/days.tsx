/** The series of each day as columns: those that stayed, and those that are new. */
import type { ChurnDay } from '../../api/status'
import { count, short } from '../../lib/format'

interface DaysProps {
  /** The oldest first. */
  days: ChurnDay[]
  chosen: string
  onChoose: (date: string) => void
}

export function Days({ days, chosen, onChoose }: DaysProps) {
  const max = days.reduce((m, d) => Math.max(m, d.series), 1)
  return (
    <>
      <div class="days" role="group" aria-label="Days">
        {days.map((d) => (
          <button
            key={d.date}
            class="day"
            aria-pressed={d.date === chosen}
            title={`${d.date}\n${count(d.series)} series\n${count(d.new)} new\n${count(d.gone)} gone`}
            onClick={() => onChoose(d.date)}
          >
            <span class="visually-hidden">{`${d.date}: ${count(d.series)} series, ${count(d.new)} new, ${count(d.gone)} gone`}</span>
            <span class="day-count" aria-hidden="true">
              {d.series > 0 ? short(d.series) : ''}
            </span>
            <svg viewBox="0 0 10 100" preserveAspectRatio="none" aria-hidden="true">
              <rect class="stayed" x="1" width="8" y={100 - (d.series / max) * 100} height={(d.series / max) * 100} />
              <rect class="new" x="1" width="8" y={100 - (d.series / max) * 100} height={(d.new / max) * 100} />
            </svg>
            <span class="day-name" aria-hidden="true">
              {d.date.slice(8)}
            </span>
          </button>
        ))}
      </div>
      <p class="hint days-key">
        <span>
          <i class="stayed" /> there the day before
        </span>
        <span>
          <i class="new" /> new on the day
        </span>
        <span>days are those of UTC</span>
      </p>
    </>
  )
}
