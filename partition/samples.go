package partition

import (
	"context"
	"errors"
	"sort"

	"tsdb/internal/model"
)

// readInto fills data from off on.
func (b *Block) readInto(off int64, data []byte) error {
	return b.ReadRanges(context.Background(), Range{off, data})
}

// directoryPages returns the fences of the directory pages that can hold chunks
// of a series: the chunks of one series may begin in one page and end in a
// later one.
func (b *Block) directoryPages(ord uint32) ([]page, error) {
	ps, err := b.fencesOf(&b.directory, sectionDirectory)
	if err != nil {
		return nil, err
	}
	from := max(0, sort.Search(len(ps), func(i int) bool { return ps[i].first >= ord })-1)
	to := from + sort.Search(len(ps)-from, func(i int) bool { return ps[from+i].first > ord })
	return ps[from:to], nil
}

func (b *Block) directoryPage(p page) (*directoryPage, error) {
	return decodedPage(b, p, 6, func(data []byte) (*directoryPage, error) { return b.decodeDirectoryPage(p, data) })
}

func (b *Block) decodeDirectoryPage(p page, data []byte) (*directoryPage, error) {
	d := &directoryPage{}
	if err := d.decode(data, b.info.Size); err != nil {
		return nil, err
	}
	if len(d.rows) == 0 || d.rows[0].ord != p.first || uint64(d.rows[len(d.rows)-1].ord) >= b.foot.series {
		return nil, corrupt("directory page does not fit its fence")
	}
	if b.foot.version < versionAggregates && len(d.aggregates) > 0 {
		return nil, corrupt("aggregates in a block of version %d", b.foot.version)
	}
	return d, nil
}

// eachChunk calls fn with the chunks of a series that overlap tr, in the order
// of the block. A damaged page of the directory costs the chunks in it: the
// first such error is returned at the end.
func (b *Block) eachChunk(r *chunkReader, ord uint32, tr model.TimeRange, fn func(Chunk) error) error {
	if err := b.checkOrdinal(ord); err != nil {
		return err
	}
	pages, err := b.directoryPages(ord)
	if err != nil {
		return err
	}
	var damaged error
	for _, p := range pages {
		d, err := b.directoryPage(p)
		if err != nil {
			if damaged = firstDamage(damaged, err); !errors.Is(err, ErrCorrupt) {
				return err
			}
			continue
		}
		from, to := d.rowsOf(ord)
		for i := from; i < to; i++ {
			c := newChunk(r, d, p.off, i)
			if !c.Overlaps(tr) {
				continue
			}
			if err := fn(c); err != nil {
				if damaged = firstDamage(damaged, err); !errors.Is(err, ErrCorrupt) {
					return err
				}
			}
		}
	}
	return damaged
}

// firstDamage keeps the first of two errors.
func firstDamage(first, err error) error {
	if first != nil {
		return first
	}
	return err
}

// Chunks appends the chunks of a series that overlap tr to dst, ordered by
// window and kind. A *DamageError means that some may be missing.
func (b *Block) Chunks(ord uint32, tr model.TimeRange, dst []Chunk) ([]Chunk, error) {
	r := b.newReader()
	err := b.eachChunk(r, ord, tr, func(c Chunk) error {
		dst = append(dst, c)
		return nil
	})
	return dst, err
}

func (b *Block) newReader() *chunkReader { return &chunkReader{block: b, cache: b.cache} }

// Samples appends the samples of a series that lie in tr to dst, rising in
// time. What cannot be read is left out and everything else delivered; the
// error is then a *DamageError, the first of several. Any other error ends the
// call early.
func (b *Block) Samples(ctx context.Context, ord uint32, tr model.TimeRange, dst *model.Samples) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// Reuse of the reader's memory saves two allocations as large as the columns
	// (BenchmarkReadSamples).
	r, ok := b.chunkReaders.Get().(*chunkReader)
	if !ok {
		r = b.newReader()
	}
	defer b.chunkReaders.Put(r)
	from := dst.Len()
	return b.eachChunk(r, ord, tr, func(c Chunk) error { return r.merge(c, tr, from, dst) })
}

// merge adds a chunk to dst, whose samples from number from on are of the same
// series and from chunks before it. Only chunks of different kinds overlap in
// time.
func (r *chunkReader) merge(c Chunk, tr model.TimeRange, from int, dst *model.Samples) error {
	n := dst.Len()
	if n == from || dst.T[n-1] < c.MinTime {
		return r.append(c, tr, dst)
	}
	var chunk model.Samples
	if err := r.append(c, tr, &chunk); err != nil || chunk.Len() == 0 {
		return err
	}
	at := from + searchTime(dst.T[from:], chunk.T[0])
	var tail, old model.Samples
	old = dst.Slice(at, n)
	tail.AppendRange(&old, 0, old.Len())
	truncate(dst, at)
	model.Merge(dst, &tail, &chunk)
	return nil
}

// truncate leaves the first n samples.
func truncate(s *model.Samples, n int) {
	s.T, s.V = s.T[:n], s.V[:n]
	if len(s.ST) > 0 {
		s.ST = s.ST[:n]
	}
	if len(s.H) > 0 {
		clear(s.H[n:])
		s.H = s.H[:n]
	}
}

// Exemplars returns the exemplars of a series. They are shared and must not be
// changed.
func (b *Block) Exemplars(ord uint32) ([]model.Exemplar, error) {
	if err := b.checkOrdinal(ord); err != nil {
		return nil, err
	}
	ps, err := b.fencesOf(&b.exemplars, sectionExemplars)
	if err != nil {
		return nil, err
	}
	i := pageOf(ps, ord)
	if i < 0 {
		return nil, nil
	}
	all, err := decodedPage(b, ps[i], 4, func(data []byte) ([]seriesExemplars, error) {
		return decodeExemplarPage(data, ps[i].first)
	})
	return exemplarsOf(all, ord), err
}

// Metadata returns the metadata of all metrics, sorted by tenant and metric.
func (b *Block) Metadata() ([]MetricMetadata, error) {
	if b.table[sectionMetadata].id == 0 {
		return nil, nil
	}
	data, err := b.readSection(sectionMetadata)
	if err != nil {
		return nil, err
	}
	ms, err := decodeMetadata(data)
	return ms, b.damage(b.table[sectionMetadata].off, err)
}
