package influx

import (
	"math"
	"time"
)

// precision is the unit of the timestamps of a request.
type precision struct {
	unit time.Duration
}

// precisions1 and precisions2 map the values of the parameter precision in the two
// dialects.
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

// maxNs is the largest timestamp in InfluxDB, in nanoseconds. The smallest is its
// negative.
const maxNs = math.MaxInt64 - 1

// parseTime parses a timestamp and returns it in Unix milliseconds. Fractions of a
// millisecond are rounded down, also before 1970: -1 ns becomes -1 ms. Thus
// rounding never moves a sample past the start of a second. Of several samples of
// a series in the same millisecond, the last one is stored.
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
	if overflow || u > maxNs/unit {
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

// now returns the timestamp of lines without one: t truncated to the precision, as
// in InfluxDB, in Unix milliseconds.
func (p precision) now(t time.Time) int64 {
	return floorMs(t.UTC().Truncate(p.unit).UnixNano())
}
