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

// OldestSetting names the setting that bounds the oldest time that is taken: see Bounds.
func (db *DB) OldestSetting() string {
	lo, _ := db.timeBounds(db.now())
	return db.settingOf(lo, db.policy.Load().shortestRaw())
}

// settingOf names the setting that makes lo the oldest time that is taken of series with
// a retention: the bound of bytes, if it lies above what their retention asks for.
func (db *DB) settingOf(lo, retentionMs int64) string {
	if lo > oldest(db.now(), retentionMs, model.MinTime) && db.bound.plan.Load() != nil {
		return "--retention.size"
	}
	return "--retention.raw"
}

// timeDetail returns the reason why a time is refused; setting names what bounds lo. A
// time in 1970 or after 2200, probably in another unit, adds a hint.
func timeDetail(reason Reason, t, lo, hi int64, setting string) string {
	var s string
	switch reason {
	case ReasonBadTime:
		return boundsDetail("sample at", t)
	case ReasonTooNew:
		s = fmt.Sprintf("out of bounds: sample at %s is further ahead than %s allows (--ingest.max-future)", model.FormatTime(t), model.FormatTime(hi))
	default:
		s = fmt.Sprintf("too old sample: %s is before %s, where raw retention begins (%s)", model.FormatTime(t), model.FormatTime(lo), setting)
	}
	if suspicious(t) {
		s += "; check the precision of the timestamp"
	}
	return s
}

// boundsDetail returns the message about a time that no sample can have. name is
// that of the time.
func boundsDetail(name string, t int64) string {
	return fmt.Sprintf("out of bounds: %s %s is not between %s and %s; check the precision of the timestamp",
		name, model.FormatTime(t), model.FormatTime(model.MinTime), model.FormatTime(model.MaxTime))
}

var (
	end1970    = time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	begin1970  = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	beyond2200 = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
)

// suspicious reports whether a time is probably in another unit.
func suspicious(t int64) bool { return t >= begin1970 && t < end1970 || t >= beyond2200 }
