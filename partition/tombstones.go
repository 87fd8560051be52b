package partition

import (
	"cmp"
	"math"
	"slices"

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
	if b.MaxTime == math.MaxInt64 {
		return model.TimeRange{Min: b.MinTime, Max: b.MaxTime}
	}
	return model.TimeRange{Min: b.MinTime, Max: b.MaxTime + 1}
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

// deletedRanges is a set of time ranges of one series, disjoint and rising.
type deletedRanges []model.TimeRange

// add puts a range into the set.
func (d deletedRanges) add(r model.TimeRange) deletedRanges {
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

// touches reports whether a range shares a millisecond with the set.
func (d deletedRanges) touches(r model.TimeRange) bool {
	return slices.ContainsFunc(d, r.Overlaps)
}

// remove deletes the samples of s from index from on that lie in the set,
// moving the others up.
func (d deletedRanges) remove(s *model.Samples, from int) {
	if len(d) == 0 {
		return
	}
	to, i := from, from
	for _, r := range d {
		lo := i + searchTime(s.T[i:], r.Min)
		hi := lo + searchTime(s.T[lo:], r.Max)
		to += moveSamples(s, to, i, lo)
		i = hi
	}
	to += moveSamples(s, to, i, s.Len())
	truncateSamples(s, to)
}

// moveSamples moves the samples i ≤ k < j down to index to and returns how
// many they are.
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
	return j - i
}

// truncateSamples cuts s to n samples.
func truncateSamples(s *model.Samples, n int) {
	s.T, s.V = s.T[:n], s.V[:n]
	if len(s.ST) > 0 {
		s.ST = s.ST[:n]
	}
	if len(s.H) > 0 {
		clear(s.H[n:])
		s.H = s.H[:n]
	}
}
