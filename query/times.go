package query

import (
	"fmt"
	"math"
	"time"
)

// MinTime and MaxTime are the first and last time, in Unix milliseconds, at which a
// query can be evaluated, as in Prometheus' API. They are 1,969 years from the ends
// of int64, so that offsets and ranges of up to 292 years can be added.
const (
	MinTime int64 = (math.MinInt64/1000 + 62135596801) * 1000
	MaxTime int64 = (math.MaxInt64/1000-62135596801)*1000 + 999
)

// Points returns the number of steps of a range query, excluding the first.
func Points(startMs, endMs, stepMs int64) uint64 {
	if endMs < startMs {
		return 0
	}
	return (uint64(endMs) - uint64(startMs)) / uint64(stepMs)
}

// checkNanoseconds returns an error for times that overflow in Prometheus' engine,
// which counts in nanoseconds.
func checkNanoseconds(times ...time.Time) error {
	for _, t := range times {
		if ms := t.UnixMilli(); time.Unix(0, t.UnixNano()).UnixMilli() != ms {
			return fmt.Errorf("this expression can be evaluated from 1677-09-21 to 2262-04-11 only, got %d ms", ms)
		}
	}
	return nil
}
