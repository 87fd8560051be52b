package operators

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/util/kahansum"
)

// The sum of many values has the bits of Prometheus'.
func TestSumsEqualPrometheus(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 2000 {
		n := 1 + r.IntN(4)
		sum, c := make([]float64, n), make([]float64, n)
		want, wantC := make([]float64, n), make([]float64, n)
		for i := range sum {
			sum[i], want[i] = absent, absent
		}
		for range 1 + r.IntN(20) {
			vs := make([]float64, n)
			for i := range vs {
				switch r.IntN(4) {
				case 0:
					vs[i] = absent
				case 1:
					vs[i] = strangeValues[r.IntN(len(strangeValues))]
				default:
					vs[i] = r.NormFloat64() * math.Pow(10, float64(r.IntN(30)-15))
				}
				if isAbsent(vs[i]) {
					continue
				}
				if isAbsent(want[i]) {
					want[i] = vs[i]
				} else {
					want[i], wantC[i] = kahansum.Inc(vs[i], want[i], wantC[i])
				}
			}
			addSum(sum, c, vs)
		}
		for i := range sum {
			if math.Float64bits(sum[i]) != math.Float64bits(want[i]) && !(math.IsNaN(sum[i]) && math.IsNaN(want[i])) ||
				math.Float64bits(c[i]) != math.Float64bits(wantC[i]) && !(math.IsNaN(c[i]) && math.IsNaN(wantC[i])) {
				t.Fatalf("sum %v + %v, want %v + %v", sum[i], c[i], want[i], wantC[i])
			}
		}
	}
}

// strangeValues are values that aggregations compare and add.
var strangeValues = []float64{
	0, math.Copysign(0, -1), 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64,
	math.SmallestNonzeroFloat64, 1e308, -1e308, 1e-300, 1 << 53, 0.1, 3.7,
}
