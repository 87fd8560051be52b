package bucket

import "tsdb/internal/model"

// The share and the number of the steps down from which on a series is one that falls
// often: a gauge. Counters of a process that crashes all the time, every minute at 5 s,
// are below the share.
const (
	fallsShare = 8 // 1/fallsShare of the pairs of neighbors
	minPairs   = 64
)

// OmitResets sets BucketNoResets in all of the buckets of a series on a day, and
// clears the columns that they lack then, if the series falls often. These columns take
// a third of the bytes of a gauge, of which nobody needs them. Buckets of an hour keep
// them, so that there is always a tier that answers once the samples have expired.
// It reports whether it did.
func OmitResets(resolution int64, b *model.Buckets) bool {
	if resolution >= model.HourMs || !fallsOften(b) {
		return false
	}
	for i := range b.Flags {
		b.Flags[i] |= model.BucketNoResets
	}
	clear(b.Lost)
	clear(b.Resets)
	clear(b.Changes)
	return true
}

// fallsOften reports whether the floats in the buckets fall often.
func fallsOften(b *model.Buckets) bool {
	pairs, falls := uint64(0), uint64(0)
	for i, n := range b.Count {
		pairs += uint64(max(n, 1) - 1)
		falls += uint64(b.Resets[i])
	}
	return pairs >= minPairs && falls*fallsShare >= pairs
}
