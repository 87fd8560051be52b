package model

import "math"

// Times are int64 Unix milliseconds everywhere.
const (
	SecondMs int64 = 1000
	MinuteMs       = 60 * SecondMs
	HourMs         = 60 * MinuteMs
	DayMs          = 24 * HourMs
)

// TimeRange is the half-open range [Min, Max) of Unix milliseconds.
type TimeRange struct {
	Min int64 // first millisecond inside
	Max int64 // first millisecond after; Max ≤ Min is an empty range
}

// MinTime and MaxTime are the earliest and the latest time that a sample, its
// start timestamp or an exemplar can have: 1677-09-21T00:12:43.145Z and
// 2262-04-11T23:47:16.854Z. An int64 of nanoseconds holds this range, and InfluxDB
// has the same one: every protocol and every client can express these times, and
// sums of a few of them, in milliseconds, are far from overflowing int64. A time
// outside the range is a mistaken unit or an overflow.
const (
	MinTime int64 = (math.MinInt64+2)/1_000_000 - 1
	MaxTime int64 = (math.MaxInt64 - 1) / 1_000_000
)

// AllTime is the range of every time a sample can have.
var AllTime = TimeRange{Min: MinTime, Max: MaxTime + 1}

// ValidTime reports whether a sample can have the time t.
func ValidTime(t int64) bool { return t >= MinTime && t <= MaxTime }

// Contains reports whether t lies in the range.
func (r TimeRange) Contains(t int64) bool { return t >= r.Min && t < r.Max }

// Overlaps reports whether both ranges share a millisecond.
func (r TimeRange) Overlaps(o TimeRange) bool {
	return r.Min < o.Max && o.Min < r.Max && !r.Empty() && !o.Empty()
}

// Intersect returns the common part of both ranges; it may be empty.
func (r TimeRange) Intersect(o TimeRange) TimeRange {
	return TimeRange{Min: max(r.Min, o.Min), Max: min(r.Max, o.Max)}
}

// Empty reports whether the range holds no millisecond.
func (r TimeRange) Empty() bool { return r.Max <= r.Min }

// AddTime returns t + d, saturated to the range of int64.
func AddTime(t, d int64) int64 {
	switch sum := t + d; {
	case d > 0 && sum < t:
		return math.MaxInt64
	case d < 0 && sum > t:
		return math.MinInt64
	default:
		return sum
	}
}

// SubTime returns t - d, saturated to the range of int64.
func SubTime(t, d int64) int64 {
	switch diff := t - d; {
	case d > 0 && diff > t:
		return math.MinInt64
	case d < 0 && diff < t:
		return math.MaxInt64
	default:
		return diff
	}
}

// Inclusive returns the range from first to last, both included; math.MaxInt64
// itself is never included.
func Inclusive(first, last int64) TimeRange { return TimeRange{Min: first, Max: AddTime(last, 1)} }
