package storage

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// Aggregate is the count, minimum, maximum and sum of floats.
type Aggregate = block.Aggregate

// Interval is a range of time with the samples of a series in it, or the
// aggregate of all of them.
type Interval struct {
	Range     model.TimeRange
	Samples   *model.Samples // rising in time; nil if Aggregate answers
	Aggregate Aggregate      // of Count floats, none of which is NaN or infinite
}

// Intervals calls fn with the intervals of the range that have samples of the
// series, in order of time. Where the aggregate of a chunk covers all samples of
// the series in the chunk's range, and useAggregate is nil or returns true for
// it, the interval has that aggregate and the chunk is not read. All others have
// samples, as Samples returns them, in scratch, which fn may use until it returns.
func (s *Series) Intervals(ctx context.Context, tr model.TimeRange, useAggregate func(model.TimeRange) bool, scratch *model.Samples, fn func(Interval) error) error {
	tr = s.set.view.st.visible(tr)
	if tr.Empty() {
		return nil
	}
	aggregates, err := s.aggregates(ctx, tr)
	if err != nil {
		return err
	}
	between := func(tr model.TimeRange) error {
		if tr.Empty() {
			return nil
		}
		scratch.Reset()
		if err := s.Samples(ctx, tr, scratch); err != nil || scratch.Len() == 0 {
			return err
		}
		return fn(Interval{Range: tr, Samples: scratch})
	}
	for _, p := range aggregates {
		if useAggregate != nil && !useAggregate(p.Range) {
			continue
		}
		if err := between(model.TimeRange{Min: tr.Min, Max: p.Range.Min}); err != nil {
			return err
		}
		if err := fn(p); err != nil {
			return err
		}
		tr.Min = p.Range.Max
	}
	return between(tr)
}

// aggregates returns the chunks that lie entirely in the range, have an aggregate,
// and overlap no other chunk, deletion or buffer of the head: nothing else of the
// series can be there.
func (s *Series) aggregates(ctx context.Context, tr model.TimeRange) ([]Interval, error) {
	type sourceChunk struct {
		block.Chunk
		deleted block.DeletedRanges
	}
	var all []sourceChunk
	var chunks []block.Chunk
	for _, src := range s.sources {
		if err := s.set.view.checkpoint(ctx); err != nil {
			return nil, err
		}
		if src.block == nil {
			continue
		}
		var err error
		if chunks, err = src.block.Chunks(src.ord, tr, chunks[:0]); err != nil {
			if !errors.Is(err, format.ErrCorrupt) {
				return nil, err
			}
			s.set.warn(err)
		}
		deleted := src.block.deletions.Ranges(src.ord, nil)
		for _, c := range chunks {
			all = append(all, sourceChunk{c, deleted})
		}
	}
	slices.SortFunc(all, func(a, b sourceChunk) int { return cmp.Compare(a.MinTime, b.MinTime) })
	var aggregates []Interval
	before := int64(math.MinInt64) // last time of the chunks so far
	for i, c := range all {
		alone := before < c.MinTime && (i+1 == len(all) || all[i+1].MinTime > c.MaxTime)
		before = max(before, c.MaxTime)
		span := model.Inclusive(c.MinTime, c.MaxTime)
		if !alone || span.Intersect(tr) != span || c.deleted.Overlaps(span) || s.inHead(span) {
			continue
		}
		if a, ok := c.Aggregate(); ok {
			aggregates = append(aggregates, Interval{Range: span, Aggregate: a})
		}
	}
	return aggregates, nil
}

// inHead reports whether a buffer of the head may have samples of the series in
// the range.
func (s *Series) inHead(tr model.TimeRange) bool {
	return slices.ContainsFunc(s.sources, func(src source) bool {
		return src.block == nil && s.set.view.st.inHead(src.ref, tr)
	})
}
