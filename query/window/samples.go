package window

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// Samples is the samples of one series in columns, in ascending order of time.
type Samples struct {
	T  []int64
	V  []float64
	St []int64                     // start timestamps, or empty
	H  []*histogram.FloatHistogram // or empty; nil if the sample is a float
	// Stale is set if any sample may be a stale marker.
	Stale bool
	// rising is set if no value is NaN or below the preceding one.
	rising bool
	// IntegralBits is the number of bits of the values if they are known to be
	// integers below 2^IntegralBits ≤ 2^53 in magnitude and not stale markers;
	// otherwise it is 0.
	IntegralBits int
	// Shared is set if T is never changed and may be shared with other series.
	Shared bool
	// Weights, if not empty, holds the number of samples that each sample represents.
	Weights []int32
	// Counted is set if the samples have been counted as read elsewhere.
	Counted bool
}

// dropStale removes stale markers from floats.
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

// risesThroughout reports whether no value is NaN or below the preceding one.
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

// firstStale returns the index of the first stale marker, or len(vs). It checks four
// values at once, because a sum with a NaN is a NaN.
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
