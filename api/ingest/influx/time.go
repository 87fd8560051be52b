package influx

import (
	"math"
	"time"
)

// precision is the unit of the timestamps of a request.
type precision struct {
	unit time.Duration // 0 = guessed from the size of each timestamp
}

// precisions1 to precisions3 map the values of the parameter precision in the
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
	precisions3 = map[string]precision{
		"": {}, "auto": {}, "nanosecond": {time.Nanosecond}, "ns": {time.Nanosecond}, "n": {time.Nanosecond},
		"microsecond": {time.Microsecond}, "us": {time.Microsecond}, "u": {time.Microsecond},
		"millisecond": {time.Millisecond}, "ms": {time.Millisecond}, "second": {time.Second}, "s": {time.Second},
	}
)

// unitOf returns the unit of a timestamp without its sign. An unknown one is guessed from
// its size, as in InfluxDB 3: a number of seconds until the year 2128.
func (p precision) unitOf(u uint64) uint64 {
	const second = uint64(time.Second)
	switch {
	case p.unit != 0:
		return uint64(p.unit)
	case u < 5*second:
		return second
	case u < 5_000*second:
		return uint64(time.Millisecond)
	case u < 5_000_000*second:
		return uint64(time.Microsecond)
	}
	return 1
}

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
	unit := p.unitOf(u)
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
	if p.unit == 0 {
		return t.UnixMilli()
	}
	return floorMs(t.UTC().Truncate(p.unit).UnixNano())
}
