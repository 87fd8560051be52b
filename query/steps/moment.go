package steps

import (
	"math"
	"time"

	"tsdb/internal/model"
)

// Moment is the time that a selector or subquery reads at a time of evaluation: a
// fixed distance before it, or always the same.
type Moment struct {
	fixed   bool
	FixedAt int64 // if fixed, Unix milliseconds
	Offset  int64 // if not, milliseconds
}

func MomentOf(at *int64, offset time.Duration) Moment {
	if at != nil {
		return Moment{fixed: true, FixedAt: ClampTime(model.SubTime(*at, offset.Milliseconds()))}
	}
	return Moment{Offset: offset.Milliseconds()}
}

// Resolve returns the time that is read when the evaluation is at t.
func (m Moment) Resolve(t int64) int64 {
	if m.fixed {
		return m.FixedAt
	}
	return t - m.Offset
}

// Ends returns the time that is read at the first time of a grid, and by how much
// each step moves it.
func (m Moment) Ends(g Grid) (first, step int64) {
	if m.fixed {
		return m.FixedAt, 0
	}
	return g.Start - m.Offset, g.Step
}

// AsOffset returns the moment as Prometheus keeps it: as an offset from the
// first time of the evaluation.
func (m Moment) AsOffset(g Grid) time.Duration {
	const limit = math.MaxInt64 / int64(time.Millisecond) // the longest time.Duration
	return time.Duration(min(max(model.SubTime(g.Start, m.Resolve(g.Start)), -limit), limit)) * time.Millisecond
}

// timeMargin is the distance that ClampTime keeps from the ends of int64.
const timeMargin = 4 * (math.MaxInt64 / int64(time.Millisecond)) // four durations of the greatest length

// ClampTime returns t within bounds in which the arithmetic of extreme ranges cannot
// overflow. No sample is outside them.
func ClampTime(t int64) int64 {
	return min(max(t, math.MinInt64+timeMargin), math.MaxInt64-timeMargin)
}
