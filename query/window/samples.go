package window

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// Samples is the samples of one series, in columns, rising in time.
type Samples struct {
	T  []int64
	V  []float64
	St []int64                     // start timestamps, or empty
	H  []*histogram.FloatHistogram // or empty; nil where the sample is a float
	// Stale is set if some of them may be stale markers.
	Stale bool
	// rising is set if no value is below the one before, or a NaN.
	rising bool
	// IntegralBits, unless it is 0, is the number of bits of all values: whole numbers,
	// no stale markers, below 2^integralBits ≤ 2^53 in magnitude.
	IntegralBits int
	// Shared is set if the times are never changed: other series may have the same.
	Shared bool
	// Weights, if there are any, are the numbers of samples that each stands for.
	Weights []int32
	// Counted is set if reading them has been counted elsewhere.
	Counted bool
}

// dropStale removes the stale markers from floats.
func (w *Scratch) dropStale(in Samples) Samples {
	if in.rising = risesThroughout(in.V); in.rising {
		return in
	}
	first := firstStale(in.V)
	if first == len(in.V) {
		return in
	}
	w.T, w.v = append(w.T[:0], in.T[:first]...), append(w.v[:0], in.V[:first]...)
	for i := first; i < len(in.V); i++ {
		if !value.IsStaleNaN(in.V[i]) {
			w.T, w.v = append(w.T, in.T[i]), append(w.v, in.V[i])
		}
	}
	in.T, in.V, in.Shared = w.T, w.v, false
	return in
}

// risesThroughout reports whether no value is below the one before, or a NaN.
func risesThroughout(vs []float64) bool {
	if len(vs) == 0 {
		return true
	}
	before := vs[0]
	for _, v := range vs {
		if !(v >= before) {
			return false
		}
		before = v
	}
	return true
}

// firstStale returns the index of the first stale marker, len(vs) if there is
// none. A sum with a NaN is a NaN, so four values are checked at once.
func firstStale(vs []float64) int {
	i := 0
	for ; i+4 <= len(vs); i += 4 {
		q := vs[i : i+4 : i+4]
		if s := q[0] + q[1] + q[2] + q[3]; s != s {
			for k, v := range q {
				if value.IsStaleNaN(v) {
					return i + k
				}
			}
		}
	}
	for ; i < len(vs); i++ {
		if value.IsStaleNaN(vs[i]) {
			return i
		}
	}
	return len(vs)
}
