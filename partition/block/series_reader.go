package block

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"

	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Reader reads the samples of a block, one series after another. It remembers its
// position, so that series in the order of the block need no look-ups and few
// reads. It is not safe for concurrent use.
type Reader struct {
	chunks chunkReader
	fences []page         // of the directory
	number int            // of page in fences
	page   *directoryPage // the last one used; nil = none
	row    int            // in page: just past the rows of the last series
	found  []Chunk        // result of find
	clears uint64         // Cache.clears when the reader was made
}

// Reader returns a reader, to be released after use. It reuses the memory of
// released readers (BenchmarkReadSamples).
func (b *Block) Reader() *Reader {
	r, ok := b.readers.Get().(*Reader)
	if n := b.cache.clears(); !ok || r.clears != n {
		r = &Reader{chunks: chunkReader{block: b, cache: b.cache}, clears: n}
	}
	return r
}

// Release returns the reader to the block. The reader and its results must not be
// used afterwards.
func (r *Reader) Release() { r.chunks.block.readers.Put(r) }

// Append appends the samples of a series in tr to dst, in ascending order of time.
// It skips samples that cannot be read and histograms whose buckets have no index,
// and then returns the first *DamageError. Any other error ends the call early.
func (r *Reader) Append(ctx context.Context, ord uint32, tr model.TimeRange, dst *model.ColumnSet) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	chunks, err := r.find(ord, tr)
	if err != nil && !errors.Is(err, format.ErrCorrupt) {
		return err
	}
	return r.append(chunks, tr, dst, err)
}

// append is Append for the chunks found. damaged is the error of finding them.
func (r *Reader) append(chunks []Chunk, tr model.TimeRange, dst *model.ColumnSet, damaged error) error {
	from := dst.Len()
	for _, c := range chunks {
		r.chunks.unusable = 0
		err := r.chunks.merge(c, tr, from, dst)
		if n := r.chunks.unusable; err == nil && n > 0 {
			err = &format.DamageError{Path: r.chunks.block.info.Name, Offset: c.pageOff, What: fmt.Sprintf(
				"%d histograms of series %d from %d to %d have buckets whose index is out of bounds", n, c.Ordinal, c.MinTime, c.MaxTime)}
		}
		if err != nil {
			if damaged = firstDamage(damaged, err); !errors.Is(err, format.ErrCorrupt) {
				return err
			}
		}
	}
	return damaged
}

// Floats are samples of a series in columns, chunk after chunk.
type Floats struct {
	// Times are the times of each chunk. They are never changed, and series of
	// the block with equal times mostly share the same slice.
	Times [][]int64
	// Values are the values of all Times, concatenated.
	Values []float64
	// WholeBits, if above 0, means that all Values v are known to be integers with
	// |v| < 2^WholeBits ≤ 2^53. If it is 0 they may still be integers.
	WholeBits int
}

// Reset empties f. It keeps the memory of Values.
func (f *Floats) Reset() {
	clear(f.Times)
	f.Times, f.Values, f.WholeBits = f.Times[:0], f.Values[:0], 0
}

// end returns the last time, or the minimum int64 if f is empty.
func (f *Floats) end() int64 {
	if len(f.Times) == 0 {
		return math.MinInt64
	}
	ts := f.Times[len(f.Times)-1]
	return ts[len(ts)-1]
}

// AppendFloats is Append for floats, without copying their times. It reports false
// if some samples are not plain floats or not after those in f; the content of f
// is then undefined, and the caller uses Append instead.
func (r *Reader) AppendFloats(ctx context.Context, ord uint32, tr model.TimeRange, f *Floats) (ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	chunks, damaged := r.find(ord, tr)
	if damaged != nil && !errors.Is(damaged, format.ErrCorrupt) {
		return false, damaged
	}
	for _, c := range chunks {
		if !c.isPlain() {
			return false, nil
		}
		ok, err := r.chunks.appendShared(c, tr, f)
		if err != nil {
			if damaged = firstDamage(damaged, err); !errors.Is(err, format.ErrCorrupt) {
				return false, err
			}
		} else if !ok {
			return false, nil
		}
	}
	return true, damaged
}

// appendShared appends the samples of a plain chunk that lie in tr. It reports
// false if they are not after those in f.
func (r *chunkReader) appendShared(c Chunk, tr model.TimeRange, f *Floats) (bool, error) {
	ts, col, i, j, err := r.span(c, tr)
	if err != nil || i >= j {
		return err == nil, err
	}
	if ts[i] <= f.end() {
		return false, nil
	}
	vs, err := encoding.DecodeFloatsRange(f.Values, col, len(ts), i, j)
	if err != nil {
		return false, r.damage(c, err)
	}
	switch bits := encoding.IntegralBits(col, len(ts)); {
	case len(f.Times) == 0:
		f.WholeBits = bits
	case bits == 0 || f.WholeBits == 0:
		f.WholeBits = 0
	default:
		f.WholeBits = max(f.WholeBits, bits)
	}
	f.Times, f.Values = append(f.Times, ts[i:j:j]), vs
	return true, nil
}

// find returns the chunks of a series that overlap tr, in the order of the
// block, valid until the next call. A damaged page of the directory costs the
// chunks in it: the error is then a *DamageError.
func (r *Reader) find(ord uint32, tr model.TimeRange) ([]Chunk, error) {
	r.found = r.found[:0]
	if err := r.chunks.block.checkOrdinal(ord); err != nil {
		return nil, err
	}
	if r.fences == nil {
		var err error
		if r.fences, err = r.chunks.block.fencesOf(&r.chunks.block.directory, sectionDirectory); err != nil {
			return nil, err
		}
	}
	// Usually ord is the next series.
	if d := r.page; d != nil && r.row > 0 && r.row < len(d.rows) && d.rows[r.row].ord == ord {
		r.collect(ord, tr)
		if r.row < len(d.rows) {
			return r.found, nil
		}
		r.found = r.found[:0] // it may go on in the next page
	}
	// The chunks of a series may begin in one page and end in a later one.
	ps := r.fences
	from := max(0, sort.Search(len(ps), func(i int) bool { return ps[i].first >= ord })-1)
	var damaged error
	for i := from; i < len(ps) && ps[i].first <= ord; i++ {
		if r.page == nil || r.number != i {
			d, err := r.chunks.block.directoryPage(ps[i])
			if err != nil {
				r.page = nil
				if damaged = firstDamage(damaged, err); !errors.Is(err, format.ErrCorrupt) {
					return nil, err
				}
				continue
			}
			r.page, r.number = d, i
		}
		r.row, _ = r.page.rowsOf(ord)
		r.collect(ord, tr)
	}
	return r.found, damaged
}

// collect adds the chunks of a series that overlap tr, from row on.
func (r *Reader) collect(ord uint32, tr model.TimeRange) {
	d := r.page
	for ; r.row < len(d.rows) && d.rows[r.row].ord == ord; r.row++ {
		if c := newChunk(&r.chunks, d, r.fences[r.number].off, r.row); c.Overlaps(tr) {
			r.found = append(r.found, c)
		}
	}
}
