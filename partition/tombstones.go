package partition

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// Tombstone is a recorded deletion that data older than it still needs: it
// covers every block and frozen head whose newest generation lies before Gen.
// Data that spans Gen was written with the deletion applied. It is never
// changed and safe for concurrent use.
type Tombstone struct {
	ID       uint64 // unique in the database
	Tenant   uint32
	Matchers []*labels.Matcher // a series is deleted if all match
	Range    model.TimeRange   // samples inside are deleted
	Gen      uint64            // the active generation when it was made
}

// Covers reports whether the deletion may concern a block: the block is older
// and has samples in the range. Which series it concerns is in its index.
func (t *Tombstone) Covers(b BlockInfo) bool {
	return b.MaxGen < t.Gen && t.Range.Overlaps(timeRangeOf(b))
}

// timeRangeOf returns the range from the first to the last sample of a block.
func timeRangeOf(b BlockInfo) model.TimeRange {
	return model.Inclusive(b.MinTime, b.MaxTime)
}

// SpentTombstones returns the IDs of the tombstones that nothing needs any
// more, rising: all generations before theirs have left the WAL, and no listed
// block, quarantined ones included, is covered. concerns, if not nil, says
// whether a covered block holds a series that the tombstone matches; it is
// asked only where that decides, and answers true when it cannot tell.
func SpentTombstones(s *State, concerns func(t *Tombstone, block string) bool) []uint64 {
	var spent []uint64
	blocks := s.Sorted()
	for i := range s.Tombstones {
		t := &s.Tombstones[i]
		if t.Gen >= s.WALLow {
			continue
		}
		needed := slices.ContainsFunc(blocks, func(b Listed) bool {
			return t.Covers(b.BlockInfo) && (concerns == nil || concerns(t, b.Name))
		})
		if !needed {
			spent = append(spent, t.ID)
		}
	}
	return spent
}

// DeletedRanges is a set of time ranges of one series, disjoint and rising.
type DeletedRanges []model.TimeRange

// Add returns the set with one more range; it may change d.
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

// Contains reports whether the set holds a time.
func (d DeletedRanges) Contains(t int64) bool {
	return slices.ContainsFunc(d, func(r model.TimeRange) bool { return r.Contains(t) })
}

// Overlaps reports whether the set shares a millisecond with a range.
func (d DeletedRanges) Overlaps(r model.TimeRange) bool { return slices.ContainsFunc(d, r.Overlaps) }

// Covers reports whether the set holds all of a range.
func (d DeletedRanges) Covers(r model.TimeRange) bool {
	return slices.ContainsFunc(d, func(e model.TimeRange) bool { return e.Min <= r.Min && e.Max >= r.Max })
}

// Remove deletes the samples of s from index from on that lie in the set,
// moving the others up.
func (d DeletedRanges) Remove(s *model.Samples, from int) {
	if len(d) == 0 {
		return
	}
	to, i := from, from
	for _, r := range d {
		lo := i + searchTime(s.T[i:], r.Min)
		hi := lo + searchTime(s.T[lo:], r.Max)
		to = moveSamples(s, to, i, lo)
		i = hi
	}
	truncate(s, moveSamples(s, to, i, s.Len()))
}

// moveSamples moves the samples i ≤ k < j down to index to and returns the
// index behind them.
func moveSamples(s *model.Samples, to, i, j int) int {
	if to != i {
		copy(s.T[to:], s.T[i:j])
		copy(s.V[to:], s.V[i:j])
		if len(s.ST) > 0 {
			copy(s.ST[to:], s.ST[i:j])
		}
		if len(s.H) > 0 {
			copy(s.H[to:], s.H[i:j])
		}
	}
	return to + j - i
}

// Deletions are the tombstones that concern one block, resolved to its series.
// It is never changed and safe for concurrent use; nil deletes nothing.
type Deletions struct {
	parts []deletion
}

type deletion struct {
	series *roaring.Bitmap // shared, not changed
	during model.TimeRange
}

// resolveDeletions finds the series of a block that tombstones concern.
// postings gives the series a tombstone matches.
func resolveDeletions(b BlockInfo, ts []Tombstone, postings func(*Tombstone) (*roaring.Bitmap, error)) (*Deletions, error) {
	var d Deletions
	for i := range ts {
		t := &ts[i]
		if !t.Covers(b) {
			continue
		}
		series, err := postings(t)
		if err != nil {
			return nil, fmt.Errorf("find series of tombstone %d in %s: %w", t.ID, b.Name, err)
		}
		if !series.IsEmpty() {
			d.parts = append(d.parts, deletion{series, t.Range})
		}
	}
	if len(d.parts) == 0 {
		return nil, nil
	}
	return &d, nil
}

// Ranges appends what is deleted of a series to dst, which is cut to length 0
// first.
func (d *Deletions) Ranges(ord uint32, dst DeletedRanges) DeletedRanges {
	dst = dst[:0]
	if d == nil {
		return dst
	}
	for _, p := range d.parts {
		if p.series.Contains(ord) {
			dst = dst.Add(p.during)
		}
	}
	return dst
}
