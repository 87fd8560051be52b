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
	// Stale reports whether some of them may be stale markers.
	Stale bool
	// rising says that no value is below the one before, nor a NaN.
	rising bool
	// IntegralBits, unless it is 0, says that all values are whole numbers, none of them
	// a stale marker, and below 2^whole ≤ 2^53 in magnitude.
	IntegralBits int
	// Shared says that t is never changed: other series may have the same.
	Shared bool
	// Weights, if there are any, say how many samples each stands for.
	Weights []int32
	// Counted says that reading them has been counted elsewhere.
	Counted bool
}

// dropStale takes the stale markers out of a span of floats.
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

// risesThroughout reports that no value is below the one before, nor a NaN.
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
// none. A sum is a NaN if a part is, so four values are asked at once.
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
