package encoding

import (
	"sync"

	"github.com/klauspost/compress/huff0"
)

// scratch is the memory one Append call works in, and its tier.
type scratch struct {
	tier    Tier
	ints    []int64  // a float column's integers
	units   []int64  // integers divided by their gcd
	grid    []int64  // their distances from a grid
	words   []uint64 // residuals
	patches []patch
	stats   [3]residualStats
	excs    exceptions
	voters  []float64 // values that a formula is guessed by
	// corrections of a decimal column, one a value, if corrected
	corrections []int64
	corrected   bool
	bytes       []byte  // a column inside a column
	column      []byte  // likewise, of floats
	gaps        []int64 // of SPARSE
	changes     []int64 // likewise
	inner       []byte  // a column inside a SPARSE one
	tokens      []byte
	huff        huff0.Scratch
}

// shortColumn is the number of values below which the fast tier chooses by a few
// of them: to measure all takes longer than to encode them.
const shortColumn = 128

// sampledOrderMinValues is the number of values from which on a few say something of the order.
const sampledOrderMinValues = 16

// short reports whether a column of n values is chosen for by a few of them.
func (s *scratch) short(n int) bool { return s.tier == Fast && n < shortColumn }

// A pool, because the Append functions are plain functions that any goroutine
// calls: without it a column of 40 samples costs two allocations, more than
// its encoding.
var scratches = sync.Pool{New: func() any { return new(scratch) }}

// takeScratch returns a scratch for a call of the given tier. It goes back to
// scratches.
func takeScratch(tier Tier) *scratch {
	s := scratches.Get().(*scratch)
	s.tier = tier
	return s
}

// sized returns a slice of n elements that reuses the memory of s if it can.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
