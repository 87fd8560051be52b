package storage

import (
	"fmt"
	"time"

	"tsdb/internal/model"
)

// oldest returns the oldest time that ingest takes: inside raw retention, not
// below the recorded floor, and one that a sample can have. now and floor are
// Unix milliseconds, retention 0 is for ever.
func oldest(now, retentionMs, floor int64) int64 {
	floor = max(floor, model.MinTime)
	if retentionMs <= 0 {
		return floor
	}
	return max(model.SubTime(now, retentionMs), floor)
}

// newest returns the newest time that ingest takes: no further ahead than
// maxFutureMs, and one that a sample can have.
func newest(now, maxFutureMs int64) int64 {
	return min(model.AddTime(now, maxFutureMs), model.MaxTime)
}

// timeDetail says for people why a time is refused. A time that looks like
// another unit, in 1970 or beyond 2200, adds a hint.
func timeDetail(reason Reason, t, lo, hi int64) string {
	var s string
	switch reason {
	case ReasonBadTime:
		return boundsDetail("sample at", t)
	case ReasonTooNew:
		s = fmt.Sprintf("out of bounds: sample at %s is further ahead than %s allows (--ingest.max-future)", stamp(t), stamp(hi))
	default:
		s = fmt.Sprintf("too old sample: %s is before %s, where raw retention begins (--retention.raw)", stamp(t), stamp(lo))
	}
	if suspicious(t) {
		s += "; check the precision of the timestamp"
	}
	return s
}

// boundsDetail says for people that a time is one that no sample can have.
func boundsDetail(what string, t int64) string {
	return fmt.Sprintf("out of bounds: %s %s is not between %s and %s; check the precision of the timestamp",
		what, stamp(t), stamp(model.MinTime), stamp(model.MaxTime))
}

var (
	end1970    = time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	begin1970  = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	beyond2200 = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
)

// suspicious reports whether a time looks like a mistaken unit.
func suspicious(t int64) bool { return t >= begin1970 && t < end1970 || t >= beyond2200 }

func stamp(ms int64) string {
	if ms < -62135596800000 || ms > 253402300799999 {
		return fmt.Sprintf("%d ms", ms) // outside the years 1 to 9999
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
