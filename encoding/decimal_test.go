package encoding

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestFormulasAndExponentsAreGuessed(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var s scratch
	for _, c := range []formula{
		{TransformDec, 1}, {TransformDec, 2}, {TransformDec, 3}, {TransformDec, 6}, {TransformDec, 9},
		{TransformDecM, 3}, {TransformDecM, 6}, {TransformDecM, 9},
		{TransformDecDD, 6}, {TransformDecDD, 9},
	} {
		vs := fill(500, func(int) float64 { return c.float(1e6 + int64(r.IntN(1e9))) })
		vs[3], vs[250] = math.NaN(), math.Copysign(0, -1)
		if got, ok := s.guessDecimal(vs, allVoters); !ok || got != c {
			t.Errorf("%v is taken for %v (%v)", c, got, ok)
		}
	}
	for name, f := range map[string]func() float64{
		"uniform":  r.Float64,
		"normal":   func() float64 { return 100 + r.NormFloat64() },
		"any bits": func() float64 { return math.Float64frombits(r.Uint64()) },
		"NaN":      math.NaN,
	} {
		for range 50 {
			if d, ok := s.guessDecimal(fill(100, func(int) float64 { return f() }), allVoters); ok {
				t.Fatalf("%s floats are taken for %v", name, d)
			}
		}
	}
}

func TestNearestRoundsToEven(t *testing.T) {
	for _, x := range []float64{0, 0.5, 1.5, 2.5, -0.5, -1.5, 1<<51 - 0.5, 1<<51 + 0.5, 1<<52 + 1, -(1<<51 + 1.5), 1<<53 - 1} {
		if got, want := nearest(x, 1), int64(math.RoundToEven(x)); got != want {
			t.Errorf("%v: %d, want %d", x, got, want)
		}
	}
}

// Short columns of decimals and of floats a few units in the last place away: the
// corrections are then a column of a few integers, which exercises every shortcut of
// the coders.
func TestShortColumnsOfNearDecimals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	f := func(vs ...float64) {
		t.Helper()
		b, _ := AppendFloats(nil, vs, Fast, 0)
		got, err := DecodeFloats(nil, b, len(vs))
		if err != nil {
			t.Fatalf("%v: %v", vs, err)
		}
		for i := range vs {
			if math.Float64bits(got[i]) != math.Float64bits(vs[i]) {
				t.Fatalf("%v came back as %v", vs, got)
			}
		}
	}
	f(72.00000000000001, 70.9)
	f(72.00000000000001, 70.90000000000001)
	for range 200_000 {
		vs := make([]float64, 1+r.IntN(7))
		scale := math.Pow10(r.IntN(5))
		for i := range vs {
			v := float64(r.IntN(2000)-300) / scale
			for range r.IntN(3) {
				v = math.Nextafter(v, math.Inf(1-2*r.IntN(2)))
			}
			vs[i] = v
		}
		f(vs...)
	}
}
