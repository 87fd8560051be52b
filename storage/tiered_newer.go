package storage

import (
	"context"
	"errors"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// newerScratch is memory that TieredSeries.newer reuses.
type newerScratch struct {
	chunks  []block.Chunk
	samples model.ColumnSet
	days    []model.TimeRange
}

// newer appends the buckets of tr, which must be whole buckets, that the rollup does
// not answer for the series, because something newer was written or deleted in
// them: sorted, disjoint ranges. It reads directories and the head, no columns.
func (s *TieredSeries) newer(ctx context.Context, tr model.TimeRange, scratch *newerScratch, dst []model.TimeRange) ([]model.TimeRange, error) {
	from := len(dst)
	var err error
	for _, src := range s.sources {
		switch {
		case src.block == nil:
			dst = s.newerInHead(src.ref, tr, scratch, dst)
		case !s.set.blocks[src.block.number].rollup:
			if err := s.set.view.checkpoint(ctx); err != nil {
				return dst, err
			}
			if dst, err = s.newerInBlock(src, tr, scratch, dst); err != nil {
				return dst, err
			}
		}
	}
	for i := range s.set.deletions {
		d := &s.set.deletions[i]
		if n := len(dst); match.All(d.ms, s.Labels) {
			dst = appendCommon(dst, d.ranges, tr)
			s.set.widen(dst[n:])
		}
	}
	if len(dst) > from {
		dst = dst[:from+len(mergeRanges(dst[from:]))]
	}
	return dst, nil
}

// newerInBlock is newer for a raw block.
func (s *TieredSeries) newerInBlock(src source, tr model.TimeRange, scratch *newerScratch, dst []model.TimeRange) ([]model.TimeRange, error) {
	scratch.days = appendCommon(scratch.days[:0], s.set.blocks[src.block.number].times, tr)
	if len(scratch.days) == 0 {
		return dst, nil
	}
	// Expired samples are not newer than the buckets that were made of them.
	deleted := src.block.deletions.Ranges(src.ord, nil)
	var err error
	scratch.chunks, err = src.block.Chunks(src.ord, hull(scratch.days), scratch.chunks[:0])
	if errors.Is(err, format.ErrCorrupt) {
		return append(dst, scratch.days...), nil // a reader of the samples will warn
	} else if err != nil {
		return dst, err
	}
	n := len(dst)
	for _, c := range scratch.chunks {
		if span := model.Inclusive(c.MinTime, c.MaxTime); !deleted.Covers(span) {
			dst = appendCommon(dst, scratch.days, span)
		}
	}
	s.set.widen(dst[n:])
	return dst, nil
}

// newerInHead is newer for the samples of the head: those of one buffer were mostly
// written in order, so that the first of them may be far from the rest.
func (s *TieredSeries) newerInHead(ref model.Ref, tr model.TimeRange, scratch *newerScratch, dst []model.TimeRange) []model.TimeRange {
	if tr = s.set.base.kept(s.Labels, tr); tr.Empty() {
		return dst
	}
	scratch.days = appendCommon(scratch.days[:0], s.set.coveredTimes, tr)
	for _, days := range scratch.days {
		for _, b := range s.set.view.st.buffers() {
			if !b.Has(ref, days) {
				continue
			}
			scratch.samples.Reset()
			b.Samples(ref, days, &scratch.samples)
			end := days.Min // of the bucket that was added last
			for _, t := range scratch.samples.T {
				if t >= end {
					bucket := s.set.tiers.whole(model.Inclusive(t, t))
					dst, end = append(dst, bucket), bucket.Max
				}
			}
		}
	}
	return dst
}

// widen extends ranges to whole buckets.
func (s *TieredSet) widen(rs []model.TimeRange) {
	for i, r := range rs {
		rs[i] = s.tiers.whole(r)
	}
}
