package block

import (
	"context"
	"errors"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"tsdb/internal/model"
	"tsdb/partition/format"
)

// ChunkCount returns the number of chunks of the block.
func (b *Block) ChunkCount() uint64 { return b.foot.chunks }

// Identities calls each for every series in bm, in order. It reads only identities; a
// damaged page of them ends it with a *DamageError.
func (b *Block) Identities(ctx context.Context, bm *roaring.Bitmap, each func(ord uint32, id model.Identity) error) error {
	var ids []model.Identity
	var first uint32
	for it := bm.Iterator(); it.HasNext(); {
		ord := it.Next()
		if err := b.checkOrdinal(ord); err != nil {
			return err
		}
		if ids == nil || uint64(ord) >= uint64(first)+uint64(len(ids)) {
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			if ids, first, err = b.identityPage(ord); err != nil {
				return err
			}
		}
		if err := each(ord, ids[ord-first]); err != nil {
			return err
		}
	}
	return nil
}

// rowCountMax and rowCountPart bound the series whose values are counted in the series
// table: above, reading every list of postings once is faster, and takes no memory.
const (
	rowCountMax  = 1 << 16
	rowCountPart = 16 // of the block's series
)

// CountValues calls each with every label value of the series in sets[0] and the number
// of series that have it, in each set; the other sets are subsets of the first. It
// reads dictionaries and postings. It skips the values in damaged pages and then returns
// the first *DamageError. Any other error, such as one of each, ends the call. The
// arguments of each are valid only during the call.
func (b *Block) CountValues(ctx context.Context, sets []*roaring.Bitmap, each func(name, value string, series []uint64) error) error {
	if n := sets[0].GetCardinality(); n <= rowCountMax && n <= b.foot.series/rowCountPart {
		return b.countRows(ctx, sets, each)
	}
	names, err := b.nameList()
	if err != nil {
		return err
	}
	var damaged error
	with, series := roaring.New(), make([]uint64, len(sets))
	for k, n := range names {
		f, err := b.nameFences(k)
		if err != nil {
			if damaged = firstDamage(damaged, err); !errors.Is(err, format.ErrCorrupt) {
				return err
			}
			continue
		}
		for i := range f.dictionary {
			if err := ctx.Err(); err != nil {
				return err
			}
			page, err := b.dictionaryPage(f, i)
			if err == nil {
				for at, v := range page {
					with.Clear()
					if err = b.addPostings(with, f, f.dictionary[i].first+uint32(at)); err != nil {
						break
					}
					for s := range sets {
						series[s] = with.AndCardinality(sets[s])
					}
					if series[0] > 0 {
						if err := each(n.name, v, series); err != nil {
							return err
						}
					}
				}
			}
			if err != nil {
				if damaged = firstDamage(damaged, err); !errors.Is(err, format.ErrCorrupt) {
					return err
				}
			}
		}
	}
	return damaged
}

// countRows is CountValues through the series table, for few series.
func (b *Block) countRows(ctx context.Context, sets []*roaring.Bitmap, each func(name, value string, series []uint64) error) error {
	r := b.labelReader()
	defer b.labelReaders.Put(r)
	type value struct{ name, number uint32 }
	counts := make(map[value][]uint64)
	var damaged error
	for it, n := sets[0].Iterator(), 0; it.HasNext(); n++ {
		ord := it.Next()
		if n%seriesCheck == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		e, err := r.row(ord)
		if err != nil {
			if damaged = firstDamage(damaged, err); !errors.Is(err, format.ErrCorrupt) {
				return err
			}
			continue
		}
		for i, name := range e.names {
			c := counts[value{name, e.values[i]}]
			if c == nil {
				c = make([]uint64, len(sets))
				counts[value{name, e.values[i]}] = c
			}
			for s := range sets {
				if s == 0 || sets[s].Contains(ord) {
					c[s]++
				}
			}
		}
	}
	all := make([]value, 0, len(counts))
	for v := range counts {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b value) int {
		if a.name != b.name {
			return int(a.name) - int(b.name)
		}
		return int(int64(a.number) - int64(b.number))
	})
	for n, v := range all {
		if n%seriesCheck == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		text, err := r.value(v.name, v.number)
		if err != nil {
			if damaged = firstDamage(damaged, err); !errors.Is(err, format.ErrCorrupt) {
				return err
			}
			continue
		}
		if err := each(r.names[v.name].name, text, counts[v]); err != nil {
			return err
		}
	}
	return damaged
}
