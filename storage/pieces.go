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

// Aggregate is the count, least, greatest and sum of floats.
type Aggregate = block.Aggregate

// Piece is what a series has in a range of time: samples, or the aggregate of
// all of them.
type Piece struct {
	Range     model.TimeRange
	Samples   *model.Samples // rising in time; nil if Aggregate answers
	Aggregate Aggregate      // of Count floats, none of which is NaN or infinite
}

// Pieces calls fn with what the series has in the range, in order of time.
// Wherever the aggregate of a chunk of a block stands for all that the series
// has in the chunk's range, and whole agrees, the piece is that aggregate and
// the chunk is not read; everything else comes as samples, as Samples gives
// them, in scratch, which fn may use until it returns. A nil whole agrees
// always. Pieces without samples are left out.
func (s *Series) Pieces(ctx context.Context, tr model.TimeRange, whole func(model.TimeRange) bool, scratch *model.Samples, fn func(Piece) error) error {
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
		return fn(Piece{Range: tr, Samples: scratch})
	}
	for _, p := range aggregates {
		if whole != nil && !whole(p.Range) {
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

// aggregates returns the chunks that lie in the range as a whole, have an
// aggregate, and share their own range with no other chunk, deletion or buffer
// of the head: nothing else of the series can be there.
func (s *Series) aggregates(ctx context.Context, tr model.TimeRange) ([]Piece, error) {
	type placed struct {
		block.Chunk
		deleted block.DeletedRanges
	}
	var all []placed
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
			all = append(all, placed{c, deleted})
		}
	}
	slices.SortFunc(all, func(a, b placed) int { return cmp.Compare(a.MinTime, b.MinTime) })
	var pieces []Piece
	before := int64(math.MinInt64) // last time of the chunks so far
	for i, c := range all {
		alone := before < c.MinTime && (i+1 == len(all) || all[i+1].MinTime > c.MaxTime)
		before = max(before, c.MaxTime)
		span := model.Inclusive(c.MinTime, c.MaxTime)
		if !alone || span.Intersect(tr) != span || c.deleted.Overlaps(span) || s.inHead(span) {
			continue
		}
		if a, ok := c.Aggregate(); ok {
			pieces = append(pieces, Piece{Range: span, Aggregate: a})
		}
	}
	return pieces, nil
}

// inHead reports whether a buffer of the head may have samples of the series in
// the range.
func (s *Series) inHead(tr model.TimeRange) bool {
	return slices.ContainsFunc(s.sources, func(src source) bool {
		return src.block == nil && s.set.view.st.inHead(src.ref, tr)
	})
}
