package storage

import (
	"context"
	"math"

	"github.com/RoaringBitmap/roaring/v2"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
)

// By retention rules the samples and the rows of a series may expire before those of
// others, so that both depend on the series.

// setFloors sets rawFloor and tierFloor.
func (s *TieredSet) setFloors() {
	st := s.view.st
	s.rawFloor, s.tierFloor = max(st.floor, st.rules.possible(block.Raw, s.matchers)), math.MinInt64
	for _, slice := range s.tiers {
		if slice.Tier != block.Raw {
			s.tierFloor = max(s.tierFloor, st.rules.possible(slice.Tier, s.matchers))
		}
	}
}

// hasRules reports whether series of the set may have floors of their own.
func (s *TieredSet) hasRules() bool { return s.view.st.rules != nil }

// RawFloor returns the time before which the samples of the series have expired, Unix
// milliseconds, except for those that stand in for buckets.
func (s *TieredSeries) RawFloor() int64 {
	st := s.set.view.st
	return max(st.floor, st.rules.floor(block.Raw, s.Labels))
}

// hidden returns the times whose rows are hidden of the series.
func (s *TieredSeries) hidden() []model.TimeRange {
	var all []model.TimeRange
	from := int64(math.MinInt64)
	for i, slice := range s.set.tiers {
		tr := model.TimeRange{Min: from, Max: math.MaxInt64}
		if i+1 < len(s.set.tiers) {
			tr.Max = s.set.tiers[i+1].From
		}
		from = tr.Max
		if slice.Tier == block.Raw {
			continue
		}
		if tr.Max = min(tr.Max, s.set.view.st.rules.floor(slice.Tier, s.Labels)); !tr.Empty() {
			all = append(all, tr)
		}
	}
	return all
}

// hiddenIn returns the series of an L1 or L2 whose rows of the tier are hidden on its day,
// which is covered, so that their samples are read. It returns nil if there are none.
func (s *tieredSelection) hiddenIn(ctx context.Context, e *blockset.Entry) (*roaring.Bitmap, model.TimeRange, error) {
	if e.Level == block.L0 || e.Block() == nil || e.Partition >= s.tierFloor || !s.hasRules() {
		return nil, model.TimeRange{}, nil
	}
	days, tier := daysIn(s.covered, e.Span()), s.tiers.At(e.Partition)
	if len(days) == 0 || tier == block.Raw {
		return nil, model.TimeRange{}, nil
	}
	hidden, err := s.view.st.blocks.BelowRules(ctx, e, tier, e.Partition)
	if err != nil || hidden.IsEmpty() {
		return nil, model.TimeRange{}, err
	}
	return hidden, days[0].times, nil
}

// removeHidden removes the rows of dst, from index from on, that retention rules hide.
func (r *TieredReader) removeHidden(s *TieredSeries, dst *model.Buckets, from int, need model.BucketColumns) {
	if dst.Len() == from || dst.End[from] >= s.set.tierFloor || !s.set.hasRules() {
		return
	}
	r.remove(dst, from, need, s.hidden())
}
