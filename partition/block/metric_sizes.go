package block

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"tsdb/partition/format"
)

// MetricRun is a metric of a block: its series have the ordinals from First up to the
// First of the next run, or the end of the tenant.
type MetricRun struct {
	First uint32
	Name  string // "" for series without a name
}

// MetricRuns returns the metrics of a tenant, in the order of their series.
func (b *Block) MetricRuns(ctx context.Context, tenant uint32) ([]MetricRun, error) {
	from, to, err := b.tenantRange(tenant)
	if err != nil || from >= to {
		return nil, err
	}
	var runs []MetricRun
	k, ok, err := b.findName(MetricName)
	if err != nil {
		return nil, err
	}
	if ok {
		f, err := b.nameFences(k)
		if err != nil {
			return nil, err
		}
		with := roaring.New()
		for i := range f.dictionary {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			page, err := b.dictionaryPage(f, i)
			if err != nil {
				return nil, err
			}
			for at, name := range page {
				with.Clear()
				if err := b.addPostings(with, f, f.dictionary[i].first+uint32(at)); err != nil {
					return nil, err
				}
				it := with.Iterator()
				it.AdvanceIfNeeded(uint32(from))
				if it.HasNext() && uint64(it.PeekNext()) < to {
					runs = append(runs, MetricRun{it.PeekNext(), strings.Clone(name)})
				}
			}
		}
	}
	slices.SortFunc(runs, func(a, b MetricRun) int { return int(int64(a.First) - int64(b.First)) })
	if len(runs) == 0 || uint64(runs[0].First) > from { // series without a name come first
		runs = slices.Insert(runs, 0, MetricRun{First: uint32(from)})
	}
	return runs, nil
}

// maxSharedColumns bounds the columns whose chunks are counted, sharedBytes each; beyond
// it a column counts as a whole for each of its chunks.
const (
	maxSharedColumns = 1 << 20
	sharedBytes      = 48
)

// columnPlace is the place of a column in a block: the offset of its frame, or of the
// directory page that holds it, and its start in there.
type columnPlace struct {
	off   int64
	start uint32
}

// columnUses counts the chunks of each column that chunks may share.
type columnUses map[columnPlace]uint32

// place returns the place of a column, and false for columns that are never shared.
func (p page) place(d *directoryPage, s stream, c columnRef) (columnPlace, bool) {
	switch {
	case c.length == 0 || s == streamValues && c.length < dedupeBytesMin:
		return columnPlace{}, false
	case c.frame == inlineFrame:
		return columnPlace{p.off + int64(s), c.start}, true
	}
	return columnPlace{d.frames[s][c.frame].off, c.start}, true
}

func (u columnUses) count(p page, d *directoryPage, s stream, c columnRef) {
	if at, ok := p.place(d, s, c); ok {
		if n := u[at]; n > 0 || len(u) < maxSharedColumns {
			u[at] = n + 1
		}
	}
}

// share returns the bytes of a column, divided by its chunks.
func (u columnUses) share(p page, d *directoryPage, s stream, c columnRef) float64 {
	bytes := float64(d.storedBytes(s, c))
	if at, ok := p.place(d, s, c); ok {
		bytes /= float64(max(u[at], 1))
	}
	return bytes
}

// ChunkBytesMemory returns the memory that ChunkBytes takes at most.
func (b *Block) ChunkBytesMemory() int64 {
	return int64(min(2*b.foot.chunks, maxSharedColumns)) * sharedBytes
}

// ChunkBytes calls each for every chunk of the series in bm, in order, with its bytes in
// the file according to the directory: those of a column are divided by the chunks that
// share it, whether or not their series are in bm. The directory is read twice, past the
// cache, and no columns. Unreadable pages are skipped, and the first *DamageError is
// returned at the end.
func (b *Block) ChunkBytes(ctx context.Context, bm *roaring.Bitmap, each func(c Chunk, bytes float64) error) error {
	uses := make(columnUses)
	var damaged error
	err := b.walkDirectory(ctx, func(p page, d *directoryPage) error {
		for i := range d.rows {
			w := &d.rows[i]
			uses.count(p, d, streamTimes, d.times[w.time].columnRef)
			uses.count(p, d, streamValues, w.value)
		}
		return nil
	}, &damaged)
	if err != nil {
		return err
	}
	it := bm.Iterator()
	err = b.walkDirectory(ctx, func(p page, d *directoryPage) error {
		for i := range d.rows {
			w := &d.rows[i]
			it.AdvanceIfNeeded(w.ord)
			if !it.HasNext() {
				return nil
			}
			if it.PeekNext() != w.ord {
				continue
			}
			bytes := uses.share(p, d, streamTimes, d.times[w.time].columnRef) + uses.share(p, d, streamValues, w.value) +
				float64(d.storedBytes(streamValues, w.starts))
			if err := each(newChunk(nil, d, p.off, i), bytes); err != nil {
				return err
			}
		}
		return nil
	}, &damaged)
	if err != nil {
		return err
	}
	return damaged
}

// walkDirectory calls each for every page of the directory that can be read, in order.
func (b *Block) walkDirectory(ctx context.Context, each func(p page, d *directoryPage) error, damaged *error) error {
	pages, err := b.fencesOf(&b.directory, sectionDirectory)
	if err != nil {
		return err
	}
	for _, p := range pages {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := b.readPage(p)
		var d *directoryPage
		if err == nil {
			d, err = b.decodeDirectoryPage(p, data)
			err = b.damage(p.off, err)
		}
		if errors.Is(err, format.ErrCorrupt) {
			*damaged = firstDamage(*damaged, err)
			continue
		}
		if err == nil {
			err = each(p, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
