package encoding

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The integer of a prediction is the same however it is found: columns were written
// with nearestInteger.
func TestIntegerNearIsNearestInteger(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	check := func(v float64) {
		t.Helper()
		for _, power := range []float64{1, 10, 1000, 1e6} {
			if !areSmall([]float64{0, v, 1}, power) {
				if math.Abs(v*power) < 1<<51-1 {
					t.Fatalf("%v · %v is not small", v, power)
				}
				continue
			}
			if got, want := int64(integerNear(float64(v*power))), nearestInteger(v, power); got != want {
				t.Fatalf("%v · %v: %d, want %d", v, power, got, want)
			}
		}
	}
	for _, v := range []float64{0, math.Copysign(0, -1), 0.5, 1.5, 2.5, -0.5, -1.5, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64,
		1 << 51, 1<<51 - 0.25, -(1<<51 - 0.25), 1<<51 + 0.5, 1 << 52, 1 << 53, 1<<53 - 1, -1 << 53, 1 << 54} {
		check(v)
	}
	for range 100_000 {
		check(math.Float64frombits(r.Uint64()))
		check(math.Ldexp(r.Float64()*2-1, r.IntN(56)))
		check(float64(r.Int64N(1<<54)-1<<53) / 2)
	}
}
