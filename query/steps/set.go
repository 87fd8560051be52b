package steps

import (
	"math"
	"math/bits"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/value"
)

// Set is a set of steps for grids with the same step and phase. A step is identified
// by its time divided by the step. The zero value is an empty set to which nothing
// can be added.
type Set struct {
	first int64    // number of the step of the first bit, a multiple of 64
	words []uint64 // one bit per step
}

const wordSteps = 64

// numbers returns the range from ≤ k < to of the numbers of a grid's steps.
func (g Grid) numbers() (from, to int64) {
	from = g.Start / g.Step
	if g.Start%g.Step < 0 {
		from--
	}
	return from, from + int64(g.N)
}

// NewSet returns a set that can hold the steps of a grid. For an empty grid it
// returns the zero value.
func NewSet(g Grid) Set {
	if g.N == 0 {
		return Set{}
	}
	from, to := g.numbers()
	first := from &^ (wordSteps - 1)
	return Set{first, make([]uint64, (to-first+wordSteps-1)/wordSteps)}
}

// overlap returns the range i ≤ w < j of words with bits of the steps from ≤ k < to.
func (s *Set) overlap(from, to int64) (i, j int) {
	i = int(max(from-s.first, 0) / wordSteps)
	j = int(min((max(to-s.first, 0)+wordSteps-1)/wordSteps, int64(len(s.words))))
	return i, j
}

// mask returns the bits of word w that represent the steps from ≤ k < to.
func (s *Set) mask(w int, from, to int64) uint64 {
	number := s.first + int64(w)*wordSteps
	lo, hi := max(from-number, 0), min(to-number, wordSteps)
	if lo >= hi {
		return 0
	}
	return ^uint64(0) << lo & (^uint64(0) >> (wordSteps - hi))
}

// AddValues adds the steps at which a column has a float; g is the column's grid. It
// is safe for concurrent use. Steps already in the set are skipped, so columns with
// values at the same steps are cheap.
func (s *Set) AddValues(g Grid, v []float64) {
	if len(s.words) == 0 {
		return
	}
	from, to := g.numbers()
	for w, end := s.overlap(from, to); w < end; w++ {
		missing := s.mask(w, from, to) &^ atomic.LoadUint64(&s.words[w])
		at := s.first + int64(w)*wordSteps - from // of bit 0 in the column; may be negative
		found := uint64(0)
		for ; missing != 0; missing &= missing - 1 {
			bit := bits.TrailingZeros64(missing)
			other := math.Float64bits(v[at+int64(bit)]) ^ value.StaleNaN // 0 = absent
			found |= (other | -other) >> 63 << bit                       // branch-free: takes 0.6 of the time of a branch
		}
		if found != 0 {
			atomic.OrUint64(&s.words[w], found)
		}
	}
}

// AddFrom adds the steps of another set that are in a grid. Steps outside the range
// of s are skipped.
func (s *Set) AddFrom(o *Set, g Grid) {
	from, to := g.numbers()
	for w, end := o.overlap(from, to); w < end; w++ {
		if k := int64(w) + (o.first-s.first)/wordSteps; k >= 0 && k < int64(len(s.words)) {
			s.words[k] |= o.words[w] & o.mask(w, from, to)
		}
	}
}

// Overlaps reports whether any step of a grid is in the set.
func (s *Set) Overlaps(g Grid) bool {
	from, to := g.numbers()
	for w, end := s.overlap(from, to); w < end; w++ {
		if s.words[w]&s.mask(w, from, to) != 0 {
			return true
		}
	}
	return false
}

// IsZero reports whether the set is the zero value.
func (s *Set) IsZero() bool { return len(s.words) == 0 }

// Bytes returns the memory of the set's steps.
func (s *Set) Bytes() int64 { return int64(8 * cap(s.words)) }
