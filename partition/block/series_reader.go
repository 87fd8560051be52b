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

// Reader reads the samples of one series of a block after the other. It
// remembers where it is, so that series in the order of the block cost no
// look-ups and few reads. It is not safe for concurrent use.
type Reader struct {
	chunks chunkReader
	fences []page         // of the directory
	number int            // of page in fences
	page   *directoryPage // the last one looked into; nil = none
	row    int            // in page: behind the rows of the series asked for last
	found  []Chunk        // what find returns
	clears uint64         // those of the cache before the reader was filled
}

// Reader returns a reader, to be released after use. The memory that it brings
// along is that of readers before it (BenchmarkReadSamples).
func (b *Block) Reader() *Reader {
	r, ok := b.readers.Get().(*Reader)
	if n := b.cache.clears(); !ok || r.clears != n {
		r = &Reader{chunks: chunkReader{block: b, cache: b.cache}, clears: n}
	}
	return r
}

// Release gives the reader back; it and what it returned must not be used any
// more.
func (r *Reader) Release() { r.chunks.block.readers.Put(r) }

// Append appends the samples of a series that lie in tr to dst, rising in time.
// What cannot be read, and histograms whose buckets have no index, are left out
// and everything else delivered; the error is then a *DamageError, the first of
// several. Any other error ends the call
// early.
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

// append is Append for chunks that were found. damaged is what was lost before.
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
	// Times are the times of each chunk. They are never written to again, and
	// other series of the block with equal times mostly have the very same.
	Times [][]int64
	// Values belong to the Times, one after the other.
	Values []float64
	// WholeBits is above 0 if all Values are known to be whole numbers v of so many
	// bits, |v| < 2^WholeBits ≤ 2^53. If it is 0 they may be whole nevertheless.
	WholeBits int
}

// Reset empties f and keeps the memory of the values.
func (f *Floats) Reset() {
	clear(f.Times)
	f.Times, f.Values, f.WholeBits = f.Times[:0], f.Values[:0], 0
}

// end returns the last time, or the least there can be.
func (f *Floats) end() int64 {
	if len(f.Times) == 0 {
		return math.MinInt64
	}
	ts := f.Times[len(f.Times)-1]
	return ts[len(ts)-1]
}

// AppendFloats is Append for floats whose times need not be copied. If it
// reports false there are other samples too, or some that are not after those
// in f: f is then of no use, and Append gives them.
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
	// Mostly it is the next series.
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
