package model

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// Kind is the type of the value of a row.
type Kind uint8

// The kinds of rows, a closed set. A key (series, millisecond) holds one row of
// any kind.
const (
	KindFloat     Kind = 0
	KindHistogram Kind = 1

	numKinds = 2
)

// Valid reports whether k is one of the kinds.
func (k Kind) Valid() bool { return k < numKinds }

func (k Kind) String() string {
	switch k {
	case KindFloat:
		return "float"
	case KindHistogram:
		return "histogram"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Histogram is one native histogram, with integer or with float counts:
// exactly one of the two pointers is set. The zero value means "no histogram":
// the sample is a float. The histograms are immutable.
type Histogram struct {
	Int   *histogram.Histogram
	Float *histogram.FloatHistogram
}

// IsZero reports whether h holds no histogram.
func (h Histogram) IsZero() bool { return h.Int == nil && h.Float == nil }

// IsStale reports whether h is a stale marker: its sum is the stale NaN.
func (h Histogram) IsStale() bool {
	switch {
	case h.Int != nil:
		return value.IsStaleNaN(h.Int.Sum)
	case h.Float != nil:
		return value.IsStaleNaN(h.Float.Sum)
	}
	return false
}

// Equal reports whether both hold the same histogram, bit for bit. Of the
// counter-reset hints it compares only whether they are gauge, the one hint that
// is stored.
func (h Histogram) Equal(o Histogram) bool {
	switch {
	case h.Int != nil && o.Int != nil:
		return gauge(h.Int.CounterResetHint) == gauge(o.Int.CounterResetHint) && equalInt(h.Int, o.Int)
	case h.Float != nil && o.Float != nil:
		return gauge(h.Float.CounterResetHint) == gauge(o.Float.CounterResetHint) && equalFloat(h.Float, o.Float)
	}
	return h.IsZero() && o.IsZero()
}

// equalInt is Equals by the bits of the zero threshold: Equals takes NaN for unequal and
// 0 and -0 for equal.
func equalInt(a, b *histogram.Histogram) bool {
	if math.Float64bits(a.ZeroThreshold) != math.Float64bits(b.ZeroThreshold) {
		return false
	}
	if math.IsNaN(a.ZeroThreshold) {
		x, y := *a, *b
		x.ZeroThreshold, y.ZeroThreshold = 0, 0
		a, b = &x, &y
	}
	return a.Equals(b)
}

// equalFloat is equalInt for float counts.
func equalFloat(a, b *histogram.FloatHistogram) bool {
	if math.Float64bits(a.ZeroThreshold) != math.Float64bits(b.ZeroThreshold) {
		return false
	}
	if math.IsNaN(a.ZeroThreshold) {
		x, y := *a, *b
		x.ZeroThreshold, y.ZeroThreshold = 0, 0
		a, b = &x, &y
	}
	return a.Equals(b)
}

func gauge(h histogram.CounterResetHint) bool { return h == histogram.GaugeType }
