package storage

import (
	"context"
	"errors"
	"sync"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// ColumnReader reads the samples of one series of a selection after the other,
// as Series.Samples does, without copying where that can be helped, and fastest
// in the order of the selection:
//
//	var r storage.ColumnReader
//	defer r.Release()
//	for i := range set.Len() {
//		samples, shared, err := r.Read(ctx, set.At(i), tr)
//
// The zero value is ready. It is not safe for concurrent use: each goroutine
// has one of its own, and several may read one selection.
type ColumnReader struct {
	set     *SeriesSet
	readers []rowReader     // of the blocks of set, by number; nil = not used yet
	view    model.ColumnSet // the result of Read for floats of blocks
	columns block.Floats    // view shares their memory
	times   joinedTimes
	own     model.ColumnSet // the result of Read for other rows
	merged  model.ColumnSet // scratch
}

// rowReader reads the rows of series of a block, as *block.Reader does.
type rowReader interface {
	Append(ctx context.Context, ord uint32, tr model.TimeRange, dst *model.ColumnSet) error
	AppendFloats(ctx context.Context, ord uint32, tr model.TimeRange, f *block.Floats) (ok bool, err error)
	Release()
}

// Read returns the samples of a series in the range: see Series.Samples. They
// must not be changed and are valid until the next call or Release. If shared is
// true their times are never written to, even after that, and series that were
// scraped together mostly have the very same: what follows from the times alone
// can be kept for the slice.
func (r *ColumnReader) Read(ctx context.Context, s *Series, tr model.TimeRange) (rows *model.ColumnSet, shared bool, err error) {
	tr = s.set.view.st.visible(tr)
	if ok, shared, err := r.floats(ctx, s, tr); ok || err != nil {
		return &r.view, shared, err
	}
	r.own.Reset()
	err = r.append(ctx, s, tr, &r.own)
	return &r.own, false, err
}

// IntegralBits returns a bound of the values of the last Read: above 0, all are
// integers v with |v| < 2^bits ≤ 2^53. None of them is then a stale marker, and
// the sum of up to 2^(53-bits) of them is exact in any order. 0 means unknown.
func (r *ColumnReader) IntegralBits() int {
	if len(r.view.V) == 0 {
		return 0
	}
	return r.columns.WholeBits
}

// floats sets view to the samples of a series if they are floats of blocks, one
// after the other, from which nothing was deleted.
func (r *ColumnReader) floats(ctx context.Context, s *Series, tr model.TimeRange) (ok, shared bool, err error) {
	r.view = model.ColumnSet{}
	r.columns.Reset()
	if tr.Empty() {
		return true, false, nil
	}
	for _, src := range s.sources {
		if src.block == nil || len(src.block.deletions.Ranges(src.ord, nil)) > 0 {
			return false, false, nil
		}
	}
	for _, src := range s.sources {
		if err := s.set.view.checkpoint(ctx); err != nil {
			return false, false, err
		}
		ok, err := r.of(s.set, src.block).AppendFloats(ctx, src.ord, tr, &r.columns)
		if err := s.set.warnOf(err); err != nil || !ok {
			return false, false, err
		}
	}
	if len(r.columns.Times) > 0 {
		r.view.V = r.columns.Values
		r.view.T, shared = r.times.join(r.columns.Times)
	}
	return true, shared, nil
}

// Release releases the blocks. It is called before the view is released; the
// reader may be used again.
func (r *ColumnReader) Release() {
	for _, b := range r.readers {
		if b != nil {
			b.Release()
		}
	}
	clear(r.readers)
	r.columns.Reset()
	r.times.reset()
	r.set, r.readers, r.view = nil, r.readers[:0], model.ColumnSet{}
}

// of returns the reader of a block of a selection.
func (r *ColumnReader) of(set *SeriesSet, b *sourceBlock) rowReader {
	if r.set != set {
		r.Release()
		r.set = set
	}
	for len(r.readers) <= b.number {
		r.readers = append(r.readers, nil)
	}
	if r.readers[b.number] == nil {
		r.readers[b.number] = b.Reader()
	}
	return r.readers[b.number]
}

var columnReaders = sync.Pool{New: func() any { return new(ColumnReader) }}

// Samples appends the samples of the range to dst, merged over head and
// blocks, without what was deleted. The counter-reset hints of histograms are
// derived, as Prometheus' storage gives them. A chunk that cannot be read
// costs that chunk: the rest is delivered and the set warns.
func (s *Series) Samples(ctx context.Context, tr model.TimeRange, dst *model.ColumnSet) error {
	r := columnReaders.Get().(*ColumnReader)
	defer columnReaders.Put(r)
	defer r.Release()
	return r.append(ctx, s, s.set.view.st.visible(tr), dst)
}

// append is Samples for a range that is visible. It moves rows, whatever is in
// their columns.
func (r *ColumnReader) append(ctx context.Context, s *Series, tr model.TimeRange, dst *model.ColumnSet) error {
	if tr.Empty() {
		return nil
	}
	first := dst.Len()
	for _, src := range s.sources {
		if err := s.set.view.checkpoint(ctx); err != nil {
			return err
		}
		n := dst.Len()
		if err := r.read(ctx, s, src, tr, dst); err != nil {
			return err
		}
		if n == first || n == dst.Len() || dst.T[n-1] < dst.T[n] {
			continue
		}
		older, newer := dst.Slice(first, n), dst.Slice(n, dst.Len())
		r.merged.Reset()
		r.merged.AppendRange(dst, 0, first)
		model.Merge(&r.merged, &older, &newer)
		*dst, r.merged = r.merged, *dst
	}
	deriveHints(dst, first)
	return nil
}

// read appends the samples of one source.
func (r *ColumnReader) read(ctx context.Context, s *Series, src source, tr model.TimeRange, dst *model.ColumnSet) error {
	st := s.set.view.st
	if src.block == nil {
		if tr = s.set.kept(s.Labels, tr); tr.Empty() {
			return nil
		}
		if st.frozen == nil {
			st.active.Samples(src.ref, tr, dst)
			return nil
		}
		var frozen, active model.ColumnSet
		st.frozen.Samples(src.ref, tr, &frozen)
		deletedOf(s.set.deleted, s.Labels).Remove(&frozen, 0)
		st.active.Samples(src.ref, tr, &active)
		model.Merge(dst, &frozen, &active)
		return nil
	}
	from := dst.Len()
	err := r.of(s.set, src.block).Append(ctx, src.ord, tr, dst)
	if src.block.deletions != nil {
		src.block.deletions.Ranges(src.ord, nil).Remove(dst, from)
	}
	return s.set.warnOf(err)
}

// warnOf records damage as a warning and returns other errors.
func (s *SeriesSet) warnOf(err error) error {
	if errors.Is(err, format.ErrCorrupt) {
		s.warn(err)
		return nil
	}
	return err
}
