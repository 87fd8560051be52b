package block

import (
	"cmp"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"tsdb/internal/model"
)

// DeletedRanges is a set of deleted time ranges of one series, disjoint and in
// ascending order.
type DeletedRanges []model.TimeRange

// Add returns the set with r added. It may change d.
func (d DeletedRanges) Add(r model.TimeRange) DeletedRanges {
	if r.Empty() {
		return d
	}
	i, _ := slices.BinarySearchFunc(d, r.Min, func(e model.TimeRange, t int64) int { return cmp.Compare(e.Max, t) })
	j := i
	for j < len(d) && d[j].Min <= r.Max {
		r.Min, r.Max = min(r.Min, d[j].Min), max(r.Max, d[j].Max)
		j++
	}
	return slices.Replace(d, i, j, r)
}

// Contains reports whether the set contains t.
func (d DeletedRanges) Contains(t int64) bool {
	return slices.ContainsFunc(d, func(r model.TimeRange) bool { return r.Contains(t) })
}

// Overlaps reports whether the set overlaps r.
func (d DeletedRanges) Overlaps(r model.TimeRange) bool { return slices.ContainsFunc(d, r.Overlaps) }

// Covers reports whether the set contains all of r.
func (d DeletedRanges) Covers(r model.TimeRange) bool {
	return slices.ContainsFunc(d, func(e model.TimeRange) bool { return e.Min <= r.Min && e.Max >= r.Max })
}

// Remove deletes the samples of s, from index from on, whose times are in the set,
// and closes the gaps.
func (d DeletedRanges) Remove(s *model.ColumnSet, from int) {
	if len(d) == 0 {
		return
	}
	to, i := from, from
	for _, r := range d {
		lo := i + searchTime(s.T[i:], r.Min)
		hi := lo + searchTime(s.T[lo:], r.Max)
		to = s.Move(to, i, lo)
		i = hi
	}
	s.Truncate(s.Move(to, i, s.Len()))
}

// Deletions are the tombstones that apply to one block, resolved to its series.
// They are immutable and safe for concurrent use; nil deletes nothing.
type Deletions struct {
	parts []Deletion
}

// Deletion is one tombstone, resolved to the series of a block.
type Deletion struct {
	Series *roaring.Bitmap // shared, not changed
	Range  model.TimeRange // deleted from each of them
	Gen    uint64          // generation in which it was made
}

// NewDeletions combines parts, which it retains. It returns nil for none.
func NewDeletions(parts []Deletion) *Deletions {
	if len(parts) == 0 {
		return nil
	}
	return &Deletions{parts: parts}
}

// Ranges returns the deleted ranges of a series, in the memory of dst.
func (d *Deletions) Ranges(ord uint32, dst DeletedRanges) DeletedRanges {
	dst = dst[:0]
	if d == nil {
		return dst
	}
	for _, p := range d.parts {
		if p.Series.Contains(ord) {
			dst = dst.Add(p.Range)
		}
	}
	return dst
}

// maxConcerned bounds the series that Concern looks up.
const maxConcerned = 4096

// Concern reports whether a series of b, the block to which d applies, may have rows
// in a part of tr that is deleted. It reads the directory only, and reports true if it
// has looked up very many series in vain.
func (d *Deletions) Concern(b *Block, tr model.TimeRange) (bool, error) {
	if d == nil {
		return false, nil
	}
	r := b.Reader()
	defer r.Release()
	seen := 0
	for _, p := range d.parts {
		deleted := p.Range.Intersect(tr)
		if deleted.Empty() {
			continue
		}
		if step := b.Info().Tier.Ms(); step > 0 { // the chunks of a rollup tell the ends of buckets
			deleted.Max = bucketEnd(deleted.Max-1, step) + 1
		}
		for it := p.Series.Iterator(); it.HasNext(); seen++ {
			if chunks, err := r.find(it.Next(), deleted); err != nil || len(chunks) > 0 || seen >= maxConcerned {
				return true, err
			}
		}
	}
	return false, nil
}

// bucketEnd returns the end of the bucket of time t: the first multiple of the resolution
// that is not before t.
func bucketEnd(t, resolution int64) int64 {
	end := t - t%resolution
	if end < t {
		end += resolution
	}
	return end
}

// Generation returns the newest generation of the deletions that overlap a range of a
// series, 0 if none does.
func (d *Deletions) Generation(ord uint32, r model.TimeRange) uint64 {
	gen := uint64(0)
	if d == nil {
		return gen
	}
	for _, p := range d.parts {
		if p.Gen > gen && p.Range.Overlaps(r) && p.Series.Contains(ord) {
			gen = p.Gen
		}
	}
	return gen
}
