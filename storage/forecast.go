package storage

import (
	"cmp"
	"slices"

	"tsdb/internal/model"
)

// Forecast is what the blocks will take once every retention is full, if each day
// takes what the last ones took.
type Forecast struct {
	Bytes       int64 `json:"bytes"`       // of the tiers that are kept for a time
	BytesPerDay int64 `json:"bytesPerDay"` // by which the tiers that are kept for ever grow
}

// tierRate is what a day takes of one tier.
type tierRate struct {
	retentionMs int64 // 0 = for ever
	bytes       int64 // a day
	// standIn are the bytes of samples a day that stand in for buckets of the tier, and
	// are kept as long as it.
	standIn int64
}

// fullBytes returns the bytes of a tier when its retention is full: its blocks, and
// the samples that stand in for it after the keptMs for which they are kept anyway;
// each 0 = for ever. growth are bytes a day that never leave.
func (r tierRate) fullBytes(keptMs int64) (full, growth int64) {
	if r.retentionMs == 0 {
		growth = r.bytes
		if keptMs != 0 {
			growth += r.standIn
		}
		return 0, growth
	}
	full = retentionDays(r.retentionMs) * r.bytes
	if keptMs != 0 && r.retentionMs > keptMs {
		full += retentionDays(r.retentionMs-keptMs) * r.standIn
	}
	return full, 0
}

// retentionDays returns the days of a retention: the one that is being written counts too.
func retentionDays(ms int64) int64 { return (ms + model.DayMs - 1) / model.DayMs }

// forecast adds up the tiers, raw first, and returns the bytes of each: see fullBytes.
func forecast(tiers []tierRate) (total Forecast, each []Forecast) {
	kept := int64(0) // how long the samples are kept that stand in
	for i, t := range tiers {
		var f Forecast
		f.Bytes, f.BytesPerDay = t.fullBytes(kept)
		if i == 0 || kept != 0 && t.standIn > 0 && (t.retentionMs == 0 || t.retentionMs > kept) {
			kept = t.retentionMs
		}
		total.Bytes += f.Bytes
		total.BytesPerDay += f.BytesPerDay
		each = append(each, f)
	}
	return total, each
}

// rateDays is the number of the newest days of which the mean is taken for the bytes of
// a day.
const rateDays = 7

// dayBytes are the bytes of one day.
type dayBytes struct {
	start int64 // Unix milliseconds
	bytes float64
}

// perDay returns the bytes of a day: the mean of the newest complete days, and if there
// is none that of the running day so far, extended to a whole one. 0 without days.
func perDay(days []dayBytes, nowMs int64) int64 {
	complete := slices.DeleteFunc(slices.Clone(days), func(d dayBytes) bool { return d.start+model.DayMs > nowMs })
	slices.SortFunc(complete, func(a, b dayBytes) int { return cmp.Compare(b.start, a.start) })
	complete = complete[:min(len(complete), rateDays)]
	sum := 0.0
	for _, d := range complete {
		sum += d.bytes
	}
	if len(complete) > 0 {
		return int64(sum / float64(len(complete)))
	}
	for _, d := range days {
		if passed := nowMs - d.start; passed > 0 {
			return int64(d.bytes * float64(model.DayMs) / float64(passed))
		}
	}
	return 0
}
