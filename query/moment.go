package query

import (
	"math"
	"time"

	"tsdb/internal/model"
)

// moment is where in time a selector or subquery looks when the evaluation is
// at a time: a fixed distance before it, or always at the same place.
type moment struct {
	fixed  bool
	place  int64 // if fixed, Unix milliseconds
	offset int64 // if not, milliseconds
}

func momentOf(at *int64, offset time.Duration) moment {
	if at != nil {
		return moment{fixed: true, place: clampTime(model.SubTime(*at, offset.Milliseconds()))}
	}
	return moment{offset: offset.Milliseconds()}
}

// seen returns the time that is looked at when the evaluation is at t.
func (m moment) seen(t int64) int64 {
	if m.fixed {
		return m.place
	}
	return t - m.offset
}

// ends returns what is looked at first on a grid, and by how much each step
// moves it.
func (m moment) ends(g grid) (first, step int64) {
	if m.fixed {
		return m.place, 0
	}
	return g.start - m.offset, g.step
}

// asOffset returns the moment as Prometheus keeps it: as an offset from the
// first time of the evaluation.
func (m moment) asOffset(g grid) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond) // as in Prometheus, an offset ends there
	return time.Duration(min(max(model.SubTime(g.start, m.seen(g.start)), -most), most)) * time.Millisecond
}

// timeMargin is what clampTime leaves to the ends of int64.
const timeMargin = 4 * (math.MaxInt64 / int64(time.Millisecond)) // four durations of the greatest length

// clampTime keeps the arithmetic of absurd ranges from wrapping around. No sample
// is that far away.
func clampTime(t int64) int64 {
	return min(max(t, math.MinInt64+timeMargin), math.MaxInt64-timeMargin)
}
