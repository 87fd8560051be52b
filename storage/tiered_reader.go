package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// TieredReader reads the series of tiered selections, fastest in their order:
//
//	var r storage.TieredReader
//	defer r.Release()
//	for i := range set.Len() {
//		gaps, err = r.Buckets(ctx, set.At(i), tr, need, &buckets, gaps[:0])
//		for _, gap := range gaps {
//			err = r.Samples(ctx, set.At(i), gap, &samples)
//
// The zero value is ready. It is not safe for concurrent use: each goroutine has one
// of its own, and several may read one selection.
type TieredReader struct {
	set     *TieredSet
	readers []rowsReader // of the blocks of set.base, by number; nil = not used yet
	ords    []int64      // of the series being read, by the number of the block; -1 = not there
	columns map[*SeriesSet]*ColumnReader

	newer   []model.TimeRange // scratch
	standIn []model.TimeRange // scratch
	scratch newerScratch
	kept    model.Buckets // scratch
}

// rowsReader reads the rows of series of a rollup block, as *block.Reader does.
type rowsReader interface {
	Buckets(ctx context.Context, ord uint32, tr model.TimeRange, need model.BucketColumns, dst *model.Buckets, standIn []model.TimeRange) ([]model.TimeRange, error)
	Release()
}

// maxColumnReaders bounds the selections of samples that a TieredReader keeps open.
const maxColumnReaders = 32

// Buckets appends the rows of a series that the tier has, with ends in tr, to dst.
// To gaps it appends the ranges of tr, sorted and disjoint, whose buckets the tier
// does not answer; their samples are read with Samples. They are whole buckets, but
// for the ends of tr. Where there is neither row nor gap, the series has no samples.
// Columns that are not in need hold anything.
func (r *TieredReader) Buckets(ctx context.Context, s *TieredSeries, tr model.TimeRange, need model.BucketColumns, dst *model.Buckets, gaps []model.TimeRange) ([]model.TimeRange, error) {
	set := s.set
	if tr = tr.Intersect(set.times); tr.Empty() {
		return gaps, nil
	}
	whole := set.tiers.whole(tr).Intersect(set.times)
	var err error
	if r.newer, err = s.newer(ctx, whole, &r.scratch, r.newer[:0]); err != nil {
		return gaps, err
	}
	first, from := len(gaps), dst.Len()
	for _, raw := range s.raw {
		gaps = append(gaps, set.runs[raw.run].times.Intersect(tr))
	}
	if gaps, err = r.rows(ctx, s, tr, need, dst, gaps); err != nil {
		return gaps, err
	}
	r.removeHidden(s, dst, from, need)
	if err := r.warnOfCut(ctx, s, dst, from); err != nil {
		return gaps, err
	}
	r.remove(dst, from, need, r.newer)
	gaps = append(gaps, r.newer...)
	for i := first; i < len(gaps); i++ {
		gaps[i] = set.tiers.whole(gaps[i]).Intersect(tr).Intersect(set.rawTimes)
	}
	return gaps[:first+len(mergeRanges(gaps[first:]))], nil
}

// rows appends the rows of rollup blocks in tr, and to gaps the ranges for which
// samples stand in or which are damaged.
func (r *TieredReader) rows(ctx context.Context, s *TieredSeries, tr model.TimeRange, need model.BucketColumns, dst *model.Buckets, gaps []model.TimeRange) ([]model.TimeRange, error) {
	set := s.set
	if !r.use(s) {
		return gaps, nil
	}
	i, _ := slices.BinarySearchFunc(set.segments, tr.Min, func(g segment, t int64) int {
		if g.times.Max <= t {
			return -1
		}
		return 1
	})
	for ; i < len(set.segments) && set.segments[i].times.Min < tr.Max; i++ {
		g := set.segments[i]
		if r.ords[g.block] < 0 {
			continue
		}
		if err := set.view.checkpoint(ctx); err != nil {
			return gaps, err
		}
		n, part := dst.Len(), g.times.Intersect(tr)
		var err error
		if gaps, err = r.read(ctx, g.block, part, need, dst, gaps); errors.Is(err, format.ErrCorrupt) {
			dst.Truncate(n)
			gaps, err = r.readByDay(ctx, g.block, part, need, dst, gaps)
		}
		if err != nil {
			return gaps, err
		}
	}
	return gaps, nil
}

// use sets ords to those of a series and reports whether it is in a rollup block.
func (r *TieredReader) use(s *TieredSeries) bool {
	if r.set != s.set {
		r.Release()
		r.set = s.set
		r.readers = slices.Grow(r.readers, len(s.set.blocks))[:len(s.set.blocks)]
		r.ords = slices.Grow(r.ords, len(s.set.blocks))[:len(s.set.blocks)]
	}
	for i := range r.ords {
		r.ords[i] = -1
	}
	found := false
	for _, src := range s.sources {
		if src.block == nil || !s.set.blocks[src.block.number].rollup {
			break // those of rollups come first
		}
		n := src.block.number
		r.ords[n], found = int64(src.ord), true
		if r.readers[n] == nil {
			r.readers[n] = src.block.Reader()
		}
	}
	return found
}

// read appends the rows of the series in use that a block has in tr, and to gaps the
// ranges for which samples stand in.
func (r *TieredReader) read(ctx context.Context, number int, tr model.TimeRange, need model.BucketColumns, dst *model.Buckets, gaps []model.TimeRange) ([]model.TimeRange, error) {
	var err error
	r.standIn, err = r.readers[number].Buckets(ctx, uint32(r.ords[number]), tr, need, dst, r.standIn[:0])
	for _, g := range r.standIn {
		if g = g.Intersect(tr); g.Empty() {
			continue
		}
		if kept := r.set.view.st.blocks.Kept(); g.Min < kept.Min {
			r.set.base.warn(fmt.Errorf("samples that stand in for buckets of %v are gone: from %s to %s",
				r.set.tiers.At(g.Min), model.FormatTime(g.Min), model.FormatTime(min(g.Max, kept.Min)-1)))
		}
		gaps = append(gaps, g)
	}
	return gaps, err
}

// readByDay is read for a range in which something is damaged: days with damage are
// gaps, if they still have samples.
func (r *TieredReader) readByDay(ctx context.Context, number int, tr model.TimeRange, need model.BucketColumns, dst *model.Buckets, gaps []model.TimeRange) ([]model.TimeRange, error) {
	for tr.Min < tr.Max {
		day := block.Raw.PartitionRange(tr.Min).Intersect(tr)
		n, k := dst.Len(), len(gaps)
		var err error
		if gaps, err = r.read(ctx, number, day, need, dst, gaps); err != nil {
			if !errors.Is(err, format.ErrCorrupt) {
				return gaps, err
			}
			if r.set.isRaw(day.Min) {
				dst.Truncate(n)
				gaps = append(gaps[:k], day)
			} else {
				r.set.base.warn(err)
			}
		}
		tr.Min = day.Max
	}
	return gaps, nil
}

// remove removes the rows of dst, from index from on, with ends in the sorted,
// disjoint ranges rs.
func (r *TieredReader) remove(dst *model.Buckets, from int, need model.BucketColumns, rs []model.TimeRange) {
	if len(rs) == 0 || dst.Len() == from {
		return
	}
	r.kept.Reset()
	i := from
	for _, g := range rs {
		j := max(i, dst.Search(g.Min))
		r.kept.AppendColumns(dst, i, j, need)
		i = max(j, dst.Search(g.Max))
	}
	r.kept.AppendColumns(dst, i, dst.Len(), need)
	dst.Truncate(from)
	dst.AppendColumns(&r.kept, 0, r.kept.Len(), need)
}

// Samples appends the samples of a series in tr to dst, as Series.Samples does.
// Where the tier answers the series otherwise, the samples of the day are selected
// first.
func (r *TieredReader) Samples(ctx context.Context, s *TieredSeries, tr model.TimeRange, dst *model.ColumnSet) error {
	tr = tr.Intersect(s.set.rawTimes)
	first, parts := dst.Len(), 0
	for tr.Min < tr.Max {
		part, series, err := s.rawIn(ctx, tr)
		if err != nil {
			return err
		}
		if series != nil {
			if err := r.columnsOf(series.set).append(ctx, series, part, dst); err != nil {
				return err
			}
			parts++
		}
		tr.Min = part.Max
	}
	if parts > 1 {
		deriveHints(dst, first)
	}
	return nil
}

// columnsOf returns the reader of a selection of samples.
func (r *TieredReader) columnsOf(set *SeriesSet) *ColumnReader {
	if c := r.columns[set]; c != nil {
		return c
	}
	if len(r.columns) >= maxColumnReaders {
		r.releaseColumns()
	}
	if r.columns == nil {
		r.columns = make(map[*SeriesSet]*ColumnReader)
	}
	c := new(ColumnReader)
	r.columns[set] = c
	return c
}

func (r *TieredReader) releaseColumns() {
	for _, c := range r.columns {
		c.Release()
	}
	clear(r.columns)
}

// Release releases the blocks. It is called before the view is released; the reader
// may be used again.
func (r *TieredReader) Release() {
	for _, b := range r.readers {
		if b != nil {
			b.Release()
		}
	}
	clear(r.readers)
	r.set, r.readers = nil, r.readers[:0]
	r.releaseColumns()
}
