package steps

import (
	"math"
	"time"

	"tsdb/internal/model"
)

// Moment is the time that a selector or subquery reads at an evaluation time: a fixed
// offset before it, or a fixed time.
type Moment struct {
	fixed   bool
	FixedAt int64 // if fixed, Unix milliseconds
	Offset  int64 // if not, milliseconds
}

// MomentOf returns the moment of an @ modifier, or nil, and an offset.
func MomentOf(at *int64, offset time.Duration) Moment {
	if at != nil {
		return Moment{fixed: true, FixedAt: ClampTime(model.SubTime(*at, offset.Milliseconds()))}
	}
	return Moment{Offset: offset.Milliseconds()}
}

// Resolve returns the time read at evaluation time t.
func (m Moment) Resolve(t int64) int64 {
	if m.fixed {
		return m.FixedAt
	}
	return t - m.Offset
}

// Ends returns the time read at the first time of a grid, and the distance by which
// each step moves it.
func (m Moment) Ends(g Grid) (first, step int64) {
	if m.fixed {
		return m.FixedAt, 0
	}
	return g.Start - m.Offset, g.Step
}

// AsOffset returns the moment as an offset from the first evaluation time, as
// Prometheus represents it.
func (m Moment) AsOffset(g Grid) time.Duration {
	const limit = math.MaxInt64 / int64(time.Millisecond) // the longest time.Duration
	return time.Duration(min(max(model.SubTime(g.Start, m.Resolve(g.Start)), -limit), limit)) * time.Millisecond
}

// timeMargin is the distance that ClampTime keeps from the ends of int64.
const timeMargin = 4 * (math.MaxInt64 / int64(time.Millisecond)) // four maximum durations

// ClampTime clamps t to bounds within which arithmetic with extreme ranges cannot
// overflow. No sample is outside the bounds.
func ClampTime(t int64) int64 {
	return min(max(t, math.MinInt64+timeMargin), math.MaxInt64-timeMargin)
}
