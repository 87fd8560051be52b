package window

import (
	"math"

	"github.com/prometheus/prometheus/model/value"
)

// testColumn is what kernels write to: values that are stale markers before.
type testColumn struct{ v []float64 }

// reset makes c a column of n stale markers; it keeps the memory.
func (c *testColumn) reset(n int) {
	if cap(c.v) < n {
		c.v = make([]float64, n)
	}
	c.v = c.v[:n]
	for from := 0; from < n; {
		from += copy(c.v[from:], staleMarkers[:])
	}
}

var staleMarkers = func() (vs [512]float64) {
	for i := range vs {
		vs[i] = math.Float64frombits(value.StaleNaN)
	}
	return vs
}()

func isStale(v float64) bool { return math.Float64bits(v) == value.StaleNaN }
