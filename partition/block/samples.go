package block

import (
	"tsdb/internal/model"
	"tsdb/partition/format"
)

func (b *Block) directoryPage(p page) (*directoryPage, error) {
	key := cacheKey{block: b.id, kind: cachedPage, off: p.off}
	return cached(b.cache, key, func() (*directoryPage, int, error) {
		data, err := b.readPage(p)
		if err != nil {
			return nil, 0, err
		}
		d, err := b.decodeDirectoryPage(p, data)
		if err != nil {
			return nil, 0, b.damage(p.off, err)
		}
		return d, d.bytes(), nil
	})
}

func (b *Block) decodeDirectoryPage(p page, data []byte) (*directoryPage, error) {
	d := &directoryPage{}
	if err := d.decode(data, b.info.Size, b.foot.version); err != nil {
		return nil, err
	}
	if len(d.rows) == 0 || d.rows[0].ord != p.first || uint64(d.rows[len(d.rows)-1].ord) >= b.foot.series {
		return nil, format.Corrupt("directory page does not fit its fence")
	}
	if b.foot.version < versionAggregates && d.aggregates.n > 0 {
		return nil, format.Corrupt("aggregates in a block of version %d", b.foot.version)
	}
	for i := range d.rows {
		if k := d.rows[i].flags.kind(); !k.fits(b.info.Tier) {
			return nil, format.Corrupt("chunk of %v in a block of the %v tier", k, b.info.Tier)
		}
	}
	return d, nil
}

// firstDamage returns first, or err if first is nil.
func firstDamage(first, err error) error {
	if first != nil {
		return first
	}
	return err
}

// Chunks appends the chunks of a series that overlap tr to dst, ordered by
// window and kind. A *DamageError means that some may be missing.
func (b *Block) Chunks(ord uint32, tr model.TimeRange, dst []Chunk) ([]Chunk, error) {
	r := b.Reader()
	defer r.Release()
	chunks, err := r.find(ord, tr)
	return append(dst, chunks...), err
}

// CountIn returns how many rows of a chunk of the block lie in tr. Where tr cuts a chunk of
// samples it reads their times, which series that were scraped together share.
func (b *Block) CountIn(c Chunk, tr model.TimeRange) (int, error) {
	if c.Bad || c.Kind >= sampleKinds || tr.Min <= c.MinTime && c.MaxTime < tr.Max {
		return int(c.Count), nil
	}
	r := b.Reader()
	defer r.Release()
	ts, err := r.chunks.timestamps(c.page, c.pageOff, &c.page.times[c.page.rows[c.row].time])
	if err != nil {
		return 0, err
	}
	return searchTime(ts, tr.Max) - searchTime(ts, tr.Min), nil
}

// merge adds a chunk to dst, where the samples from index from on are those of
// earlier chunks of the same series. Only chunks of different kinds overlap in
// time.
func (r *chunkReader) merge(c Chunk, tr model.TimeRange, from int, dst *model.ColumnSet) error {
	n := dst.Len()
	if n == from || dst.T[n-1] < c.MinTime {
		return r.append(c, tr, dst)
	}
	var chunk model.ColumnSet
	if err := r.append(c, tr, &chunk); err != nil || chunk.Len() == 0 {
		return err
	}
	at := from + searchTime(dst.T[from:], chunk.T[0])
	var tail, old model.ColumnSet
	old = dst.Slice(at, n)
	tail.AppendRange(&old, 0, old.Len())
	dst.Truncate(at)
	model.Merge(dst, &tail, &chunk)
	return nil
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
