package storage

import (
	"fmt"
	"slices"
	"sort"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// TierSlice is a part of a tiered selection that is read from one tier.
type TierSlice struct {
	From int64      // the start of a day, Unix milliseconds; the slice ends where the next one begins
	Tier block.Tier // Raw = samples
}

// TierSlices are the slices of a selection, by time. The first one also holds what comes
// before it. Bounds of days are bounds of the buckets of all tiers, so no bucket is cut.
type TierSlices []TierSlice

// OneTier returns the slices of a selection that is read from one tier.
func OneTier(t block.Tier) TierSlices { return TierSlices{{Tier: t}} }

// At returns the tier of a time.
func (s TierSlices) At(t int64) block.Tier {
	i := sort.Search(len(s), func(i int) bool { return s[i].From > t })
	return s[max(i-1, 0)].Tier
}

// Resolution returns the resolution of the buckets at a time, in milliseconds: 1 where
// samples are read.
func (s TierSlices) Resolution(t int64) int64 {
	if tier := s.At(t); tier != block.Raw {
		return tier.Ms()
	}
	return 1
}

// whole returns the range extended to whole buckets.
func (s TierSlices) whole(tr model.TimeRange) model.TimeRange {
	if tr.Empty() {
		return tr
	}
	first, last := s.Resolution(tr.Min), s.Resolution(tr.Max-1)
	if first == last {
		return wholeBuckets(tr, first)
	}
	return model.TimeRange{
		Min: wholeBuckets(model.Inclusive(tr.Min, tr.Min), first).Min,
		Max: wholeBuckets(model.Inclusive(tr.Max-1, tr.Max-1), last).Max,
	}
}

// check panics unless s are slices of days.
func (s TierSlices) check() {
	ok := len(s) > 0
	for i, p := range s {
		ok = ok && (p.Tier == block.Raw || slices.Contains(block.Rollups, p.Tier)) &&
			(i == 0 || p.From > s[i-1].From && p.From == block.Raw.PartitionRange(p.From).Min)
	}
	if !ok {
		panic(fmt.Sprintf("BUG: tiered selection of %v", s))
	}
}
