package ingest

import (
	"math"
	"time"
)

// precision is the unit of the timestamps of a request.
type precision struct {
	unit time.Duration
}

// precisions1 and precisions2 are the names of the units in the two dialects.
var (
	precisions1 = map[string]precision{
		"": {time.Nanosecond}, "n": {time.Nanosecond}, "ns": {time.Nanosecond},
		"u": {time.Microsecond}, "us": {time.Microsecond}, "µ": {time.Microsecond},
		"ms": {time.Millisecond}, "s": {time.Second}, "m": {time.Minute}, "h": {time.Hour},
	}
	precisions2 = map[string]precision{
		"": {time.Nanosecond}, "ns": {time.Nanosecond}, "us": {time.Microsecond},
		"ms": {time.Millisecond}, "s": {time.Second},
	}
)

// The range of times in InfluxDB, in nanoseconds.
const (
	minInfluxNs = math.MinInt64 + 2
	maxInfluxNs = math.MaxInt64 - 1
)

// parseTime returns the Unix milliseconds of a timestamp. Nanoseconds and
// microseconds are rounded down, towards the past, also before 1970: -1 ns is
// -1 ms. So a sample never moves over the start of a second, and samples of
// one series less than a millisecond apart share a key, where the last wins.
func (p precision) parseTime(b []byte) (int64, *lineError) {
	digits := b
	negative := b[0] == '-'
	if negative {
		digits = b[1:]
	}
	u, ok, overflow := parseDigits(digits)
	if !ok {
		return 0, errTimestamp
	}
	unit := uint64(p.unit)
	if overflow || u > maxInfluxNs/unit {
		return 0, errTimeRange
	}
	ns := int64(u * unit)
	if negative {
		ns = -ns
	}
	return floorMs(ns), nil
}

// floorMs converts nanoseconds to milliseconds, rounding down.
func floorMs(ns int64) int64 {
	ms := ns / int64(time.Millisecond)
	if ns%int64(time.Millisecond) < 0 {
		ms--
	}
	return ms
}

// now returns the time of lines without one, cut to the precision as InfluxDB
// does, Unix milliseconds.
func (p precision) now(t time.Time) int64 {
	return floorMs(t.UTC().Truncate(p.unit).UnixNano())
}
