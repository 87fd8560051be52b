package encoding

import (
	"sync"

	"github.com/klauspost/compress/huff0"
)

// scratch holds the working memory of one Append call, and its tier.
type scratch struct {
	tier    Tier
	ints    []int64  // a float column's integers
	units   []int64  // integers divided by their gcd
	grid    []int64  // their distances from a grid
	words   []uint64 // residuals
	patches []patch
	stats   [3]residualStats
	excs    exceptions
	voters  []float64 // values from which a formula is guessed
	preds   []float64 // predictions of a column's values, nil if there are none
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

// shortColumn is the number of values below which the fast tier bases its choices
// on a few of them: measuring all would take longer than encoding them.
const shortColumn = 128

// sampledOrderMinValues is the minimum number of values for the order to be chosen
// from a few of them.
const sampledOrderMinValues = 16

// short reports whether choices for a column of n values are based on a few of them.
func (s *scratch) short(n int) bool { return s.tier == Fast && n < shortColumn }

// scratches is a pool because the Append functions are plain functions that any
// goroutine may call: without it a column of 40 samples costs two allocations,
// which take longer than its encoding.
var scratches = sync.Pool{New: func() any { return new(scratch) }}

// takeScratch returns a scratch for a call of the given tier. The caller puts it
// back into scratches.
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
