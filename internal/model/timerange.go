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

// AllTime is the range of every time a sample can have.
var AllTime = TimeRange{Min: math.MinInt64, Max: math.MaxInt64}

// Contains reports whether t lies inside.
func (r TimeRange) Contains(t int64) bool { return t >= r.Min && t < r.Max }

// Overlaps reports whether both ranges share a millisecond.
func (r TimeRange) Overlaps(o TimeRange) bool {
	return r.Min < o.Max && o.Min < r.Max && !r.Empty() && !o.Empty()
}

// Intersect returns what both ranges share; it may be empty.
func (r TimeRange) Intersect(o TimeRange) TimeRange {
	return TimeRange{Min: max(r.Min, o.Min), Max: min(r.Max, o.Max)}
}

// Empty reports whether the range holds no millisecond.
func (r TimeRange) Empty() bool { return r.Max <= r.Min }

// PartitionStart returns the first millisecond of the day partition that holds
// t. A day's partition is [D + 1 ms, D + 1 d + 1 ms), which is (D, D + 1 d] in
// whole milliseconds, so that no left-open, right-closed bucket or window that
// is aligned to the day ever straddles two partitions.
func PartitionStart(t int64) int64 {
	d := (t - 1) / DayMs
	if (t-1)%DayMs < 0 {
		d--
	}
	return d*DayMs + 1
}

// PartitionRange returns the range of the day partition that holds t.
func PartitionRange(t int64) TimeRange {
	s := PartitionStart(t)
	return TimeRange{Min: s, Max: s + DayMs}
}
