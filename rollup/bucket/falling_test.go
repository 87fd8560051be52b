package bucket

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/value"
)

// Sums of pairs are those of single floats, and the same floats are refused.
func TestAddEqualsAddPortable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	strange := []float64{0.5, math.NaN(), math.Float64frombits(value.StaleNaN), math.Float64frombits(0xfff8000000000001), math.Inf(1), math.Inf(-1),
		maxInteger, -maxInteger, maxInteger - 1, 1 - maxInteger, 1 << 52, -1 << 52, 1 << 53, -1 << 53, 1e16, -1e16, 1e300, -1e300,
		math.MaxFloat64, math.SmallestNonzeroFloat64, math.Copysign(0, -1)}
	taken := 0
	for range 50_000 {
		vs := make([]float64, 2+r.IntN(40))
		bits, rising := r.IntN(50), r.IntN(2)
		for i := range vs {
			if vs[i] = float64(r.Int64N(1 << bits)); r.IntN(2) == 0 {
				vs[i] = -vs[i]
			}
			if i > 0 && rising > 0 && r.IntN(30) > 0 {
				vs[i] = vs[i-1] + float64(r.IntN(3))
			}
		}
		from := 1 + r.IntN(len(vs)-1)
		if r.IntN(4) == 0 {
			vs[from+r.IntN(len(vs)-from)] = strange[r.IntN(len(strange))]
		}
		first, _ := integer(vs[from-1])
		got := falling{sum: first, lost: 7, least: first, most: first, falls: 2, rises: 3}
		want := got
		ok, wantOK := got.add(vs, from), want.addPortable(vs, from)
		if ok != wantOK {
			t.Fatalf("add of %v from %d is %v, by itself %v", vs, from, ok, wantOK)
		}
		magnitude := float64(max(-want.least, want.most))
		if ok && magnitude*float64(len(vs)) < exactSum {
			if taken++; got != want {
				t.Fatalf("add of %v from %d is %+v, by itself %+v", vs, from, got, want)
			}
		}
	}
	if taken < 10_000 {
		t.Errorf("only %d sums compared", taken)
	}
}
