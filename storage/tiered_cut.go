package storage

import (
	"context"
	"fmt"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
)

// A deletion newer than the rollup hides the buckets that it touches. Where samples
// have expired, nothing stands in the place of a bucket of which it leaves a part. Once
// the deletion is applied to the rollup, the entry of the day has that part as lost;
// until then the reader warns of it.

// warnOfCut warns of the rows of dst, from index from on, that a deletion cuts and whose
// samples have expired. They are about to be removed. Nobody misses a row that is
// deleted as a whole.
func (r *TieredReader) warnOfCut(ctx context.Context, s *TieredSeries, dst *model.Buckets, from int) error {
	set := s.set
	if len(set.deletions) == 0 || dst.Len() == from || set.isRaw(dst.End[from]) {
		return nil
	}
	var deleted block.DeletedRanges
	for i := range set.deletions {
		if d := &set.deletions[i]; match.All(d.ms, s.Labels) {
			for _, tr := range d.ranges {
				deleted = deleted.Add(tr)
			}
		}
	}
	for _, tr := range deleted {
		for _, border := range []int64{tr.Min, tr.Max - 1} {
			bucket := set.tiers.whole(model.Inclusive(border, border))
			end := bucket.Max - 1
			if set.isRaw(end) || deleted.Covers(bucket) {
				continue
			}
			if k := max(dst.Search(bucket.Min), from); k == dst.Len() || dst.End[k] != end {
				continue
			}
			stand, err := s.samplesStandIn(ctx, bucket)
			if err != nil {
				return err
			}
			if !stand {
				set.warnOfCut(bucket)
			}
		}
	}
	return nil
}

// samplesStandIn reports whether there are samples on the day of a bucket below the
// floor of samples. They stand in for buckets of a finer tier, so that all are there.
func (s *TieredSeries) samplesStandIn(ctx context.Context, bucket model.TimeRange) (bool, error) {
	if bucket = bucket.Intersect(s.set.rawTimes); bucket.Empty() {
		return false, nil
	}
	_, series, err := s.rawIn(ctx, bucket)
	return series != nil, err
}

// warnOfCut warns of a bucket once, whatever series lack it.
func (s *TieredSet) warnOfCut(bucket model.TimeRange) {
	s.mu.Lock()
	known := s.cut.Covers(bucket)
	s.cut = s.cut.Add(bucket)
	s.mu.Unlock()
	if !known {
		s.base.warn(fmt.Errorf("raw samples up to %s have expired: the %v rollup lacks what a deletion left of the bucket from %s to %s",
			model.FormatTime(s.view.st.floor-1), s.tiers.At(bucket.Min), model.FormatTime(bucket.Min), model.FormatTime(bucket.Max-1)))
	}
}
