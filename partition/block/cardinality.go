package block

import (
	"context"
	"errors"

	"github.com/RoaringBitmap/roaring/v2"

	"tsdb/internal/model"
	"tsdb/partition/format"
)

// ChunkCount returns the number of chunks of the block.
func (b *Block) ChunkCount() uint64 { return b.foot.chunks }

// Identities calls each for every series of a tenant. It reads only identities; a
// damaged page of them ends it with a *DamageError.
func (b *Block) Identities(ctx context.Context, tenant uint32, each func(ord uint32, id model.Identity)) error {
	from, to, err := b.tenantRange(tenant)
	for err == nil && from < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		var ids []model.Identity
		var first uint32
		if ids, first, err = b.identityPage(uint32(from)); err != nil {
			break
		}
		for i := from - uint64(first); i < uint64(len(ids)) && from < to; i++ {
			each(uint32(from), ids[i])
			from++
		}
	}
	return err
}

// CountValues calls each with every label value of the series in bm and the number
// of series that have it. It reads dictionaries and postings. It skips the values
// in damaged pages and then returns the first *DamageError. The strings are valid
// only during the call.
func (b *Block) CountValues(ctx context.Context, bm *roaring.Bitmap, each func(name, value string, series uint64)) error {
	names, err := b.nameList()
	if err != nil {
		return err
	}
	var damaged error
	with := roaring.New()
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
					if series := with.AndCardinality(bm); series > 0 {
						each(n.name, v, series)
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
