package model

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// Kind is the type of a sample's value.
type Kind uint8

// The kinds of samples. A key (series, millisecond) holds one sample of any kind.
const (
	KindFloat Kind = iota
	KindHistogram
)

// Histogram is one native histogram, with integer or with float counts:
// exactly one of the two pointers is set. The zero value means "no histogram",
// that is: the sample is a float. The histograms are never changed.
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

// Equal reports whether both hold the same histogram, bit for bit, the
// counter-reset hint excepted unless one of them is a gauge: of the hints only
// gauge is stored.
func (h Histogram) Equal(o Histogram) bool {
	switch {
	case h.Int != nil && o.Int != nil:
		return gauge(h.Int.CounterResetHint) == gauge(o.Int.CounterResetHint) && h.Int.Equals(o.Int)
	case h.Float != nil && o.Float != nil:
		return gauge(h.Float.CounterResetHint) == gauge(o.Float.CounterResetHint) && h.Float.Equals(o.Float)
	}
	return h.IsZero() && o.IsZero()
}

func gauge(h histogram.CounterResetHint) bool { return h == histogram.GaugeType }

// Samples holds samples of one series in columns. The times are strictly
// rising unless a function says otherwise. The caller that made it owns it;
// it is not safe for concurrent use.
type Samples struct {
	T  []int64     // Unix milliseconds
	V  []float64   // as long as T; 0 where H holds a histogram
	ST []int64     // start timestamps, 0 = unset: as long as T, or empty if no sample has one
	H  []Histogram // as long as T, or empty if all samples are floats
}

// Len returns the number of samples.
func (s *Samples) Len() int { return len(s.T) }

// Reset empties s and keeps its memory but not the histograms.
func (s *Samples) Reset() {
	clear(s.H)
	s.T, s.V, s.ST, s.H = s.T[:0], s.V[:0], s.ST[:0], s.H[:0]
}

// Append adds one sample at the end: a histogram if h holds one, otherwise v.
func (s *Samples) Append(t, st int64, v float64, h Histogram) {
	if st != 0 && len(s.ST) == 0 {
		s.ST = appendZeros(s.ST, len(s.T))
	}
	if !h.IsZero() && len(s.H) == 0 {
		s.H = appendZeros(s.H, len(s.T))
	}
	if len(s.ST) > 0 || st != 0 {
		s.ST = append(s.ST, st)
	}
	if len(s.H) > 0 || !h.IsZero() {
		s.H = append(s.H, h)
	}
	s.T = append(s.T, t)
	s.V = append(s.V, v)
}

// AppendRange adds the samples i ≤ k < j of o, which may not be s.
func (s *Samples) AppendRange(o *Samples, i, j int) {
	if i >= j {
		return
	}
	n := len(s.T)
	if len(o.ST) > 0 {
		if len(s.ST) == 0 {
			s.ST = appendZeros(s.ST, n)
		}
		s.ST = append(s.ST, o.ST[i:j]...)
	} else if len(s.ST) > 0 {
		s.ST = appendZeros(s.ST, j-i)
	}
	if len(o.H) > 0 {
		if len(s.H) == 0 {
			s.H = appendZeros(s.H, n)
		}
		s.H = append(s.H, o.H[i:j]...)
	} else if len(s.H) > 0 {
		s.H = appendZeros(s.H, j-i)
	}
	s.T = append(s.T, o.T[i:j]...)
	s.V = append(s.V, o.V[i:j]...)
}

// Slice returns the samples i ≤ k < j; it shares their memory with s.
func (s *Samples) Slice(i, j int) Samples {
	r := Samples{T: s.T[i:j:j], V: s.V[i:j:j]}
	if len(s.ST) > 0 {
		r.ST = s.ST[i:j:j]
	}
	if len(s.H) > 0 {
		r.H = s.H[i:j:j]
	}
	return r
}

// StartAt returns the start timestamp of sample i, 0 if it has none.
func (s *Samples) StartAt(i int) int64 {
	if len(s.ST) == 0 {
		return 0
	}
	return s.ST[i]
}

// HistogramAt returns the histogram of sample i, the zero value if it is a float.
func (s *Samples) HistogramAt(i int) Histogram {
	if len(s.H) == 0 {
		return Histogram{}
	}
	return s.H[i]
}

// KindAt returns the kind of sample i.
func (s *Samples) KindAt(i int) Kind {
	if len(s.H) > 0 && !s.H[i].IsZero() {
		return KindHistogram
	}
	return KindFloat
}

// StaleAt reports whether sample i is a stale marker of either kind.
func (s *Samples) StaleAt(i int) bool {
	if len(s.H) > 0 && !s.H[i].IsZero() {
		return s.H[i].IsStale()
	}
	return value.IsStaleNaN(s.V[i])
}

// EqualAt reports whether sample i of s and sample j of o agree in time, start
// timestamp, kind and value, floats bit for bit.
func (s *Samples) EqualAt(i int, o *Samples, j int) bool {
	return s.T[i] == o.T[j] && s.StartAt(i) == o.StartAt(j) &&
		math.Float64bits(s.V[i]) == math.Float64bits(o.V[j]) &&
		s.HistogramAt(i).Equal(o.HistogramAt(j))
}

// Search returns the first i with s.T[i] >= t, len(s.T) if there is none.
func (s *Samples) Search(t int64) int {
	lo, hi := 0, len(s.T)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if s.T[m] < t {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// Overwrites reports whether a sample written later replaces one written earlier
// at the same key: the last write wins, but a stale marker never replaces a
// number.
func Overwrites(laterStale, earlierStale bool) bool { return !laterStale || earlierStale }

// Merge appends the union of older and newer, both strictly rising, to dst. At an
// equal time one sample stays, chosen by Overwrites with newer as the later one.
// dst must be neither of the two. Merging runs in the order in which they were
// written gives the same result however the merges are grouped.
func Merge(dst, older, newer *Samples) {
	i, j := 0, 0
	for i < older.Len() && j < newer.Len() {
		switch a, b := older.T[i], newer.T[j]; {
		case a < b:
			k := i + 1
			for k < older.Len() && older.T[k] < b {
				k++
			}
			dst.AppendRange(older, i, k)
			i = k
		case b < a:
			k := j + 1
			for k < newer.Len() && newer.T[k] < a {
				k++
			}
			dst.AppendRange(newer, j, k)
			j = k
		default:
			if Overwrites(newer.StaleAt(j), older.StaleAt(i)) {
				dst.AppendRange(newer, j, j+1)
			} else {
				dst.AppendRange(older, i, i+1)
			}
			i++
			j++
		}
	}
	dst.AppendRange(older, i, older.Len())
	dst.AppendRange(newer, j, newer.Len())
}

func appendZeros[T any](dst []T, n int) []T {
	for range n {
		var zero T
		dst = append(dst, zero)
	}
	return dst
}
