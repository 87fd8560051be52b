/** The series of each day as columns: those that stayed, and those that are new. */
import type { CountedDay } from '../../api/status'
import { count, short } from '../../lib/format'

interface DaysProps {
  /** The oldest first; undefined = the day was not counted. */
  days: { date: string; day: CountedDay | undefined }[]
  chosen: string
  onChoose: (date: string) => void
}

export function Days({ days, chosen, onChoose }: DaysProps) {
  const max = days.reduce((m, { day }) => Math.max(m, day?.series ?? 0), 1)
  const height = (n: number) => (n / max) * 100
  return (
    <>
      <div class="days" role="group" aria-label="Days">
        {days.map(({ date, day }) => (
          <button
            key={date}
            class="day"
            aria-pressed={date === chosen}
            title={day ? `${date}\n${count(day.series)} series\n${count(day.new)} new\n${count(day.gone)} gone` : `${date}\nnot counted`}
            onClick={() => onChoose(date)}
          >
            <span class="visually-hidden">{day ? `${date}: ${count(day.series)} series, ${count(day.new)} new, ${count(day.gone)} gone` : `${date}: not counted`}</span>
            <span class="day-count" aria-hidden="true">
              {day && day.series > 0 ? short(day.series) : ''}
            </span>
            <svg viewBox="0 0 10 100" preserveAspectRatio="none" aria-hidden="true">
              {day && <rect class="stayed" x="1" width="8" y={100 - height(day.series)} height={height(day.series)} />}
              {day && <rect class="new" x="1" width="8" y={100 - height(day.series)} height={height(day.new)} />}
            </svg>
            <span class="day-name" aria-hidden="true">
              {date.slice(8)}
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
