package encoding

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// areIntegral reports whether all values are integers of at most bits bits.
func areIntegral(vs []float64, bits int) bool {
	for _, v := range vs {
		if v != math.Trunc(v) || math.Abs(v) >= math.Ldexp(1, bits) {
			return false
		}
	}
	return true
}

func TestWholeBitsHold(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 9, 40, 300, 1030, 4320} {
		for _, p := range slices.Concat(floatPatterns, pointColumns) {
			vs := p.make(r, n)
			for _, tier := range []Tier{Fast, Full} {
				src := firstOf(AppendFloats(nil, vs, tier, 0))
				if bits := IntegralBits(src, n); bits < 0 || bits > 53 || bits > 0 && !areIntegral(vs, bits) {
					t.Fatalf("%d of %s: not all are whole numbers of %d bits", n, p.name, bits)
				}
			}
		}
	}
}

func TestWholeBitsOfColumns(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		pattern string
		bits    int // of 4,320 values at most; 0 for not known
	}{
		{"tsbs-cpu", 17}, {"gauge", 17}, {"counter", 32}, {"sparse", 22}, {"zero", 1}, {"constant", 6},
		{"INT delta TOK-B points", 20}, {"INT delta2 TOK-B points", 32}, {"INT delta PACK gcd points", 33},
		{"decimal", 0}, {"walk", 0}, {"stale", 0}, {"memory", 0}, {"bits", 0}, {"special", 0},
	} {
		for _, p := range slices.Concat(floatPatterns, pointColumns) {
			if p.name != c.pattern {
				continue
			}
			src := fullColumn(p.make(r, 4320))
			if bits := IntegralBits(src, 4320); bits > c.bits || (bits == 0) != (c.bits == 0) {
				info, _ := ColumnInfo(KindFloats, src, 4320)
				t.Errorf("%s (%v): %d bits, want %d at most", c.pattern, info, bits, c.bits)
			}
		}
	}
	for _, c := range []struct {
		v    float64
		bits int
	}{{0, 1}, {1, 1}, {-1, 1}, {2, 2}, {1<<53 - 1, 0}, {1 << 51, 52}, {-(1 << 60), 0}, {0.5, 0}, {math.Inf(1), 0}, {math.NaN(), 0}} {
		if got := IntegralBits(appendConst(nil, c.v), 7); got != c.bits {
			t.Errorf("constant %v: %d bits, want %d", c.v, got, c.bits)
		}
	}
	if IntegralBits(nil, 0) != 0 || IntegralBits([]byte{0}, 3) != 0 || IntegralBits([]byte{0, 1}, MaxValues+1) != 0 {
		t.Error("bits of no column")
	}
}
