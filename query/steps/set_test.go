package steps

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/value"
)

// A set of steps does what a map of their times does: values are added, what was
// kept of a grid is added from another set, and grids are asked for.
func TestStepSetIsAMapOfTimes(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		step := 1 + r.Int64N(1000)
		origin := r.Int64N(1_000_000) - 500_000
		some := func(n int) Grid { return Grid{Start: origin + step*r.Int64N(300), Step: step, N: 1 + r.IntN(n)} }
		hull := Grid{Start: origin, Step: step, N: 700}
		steps, times := NewSet(hull), map[int64]bool{}
		check := func(what string, s *Set, at map[int64]bool, g Grid) {
			t.Helper()
			any := false
			for i := range g.N {
				any = any || at[g.At(i)]
				if got := s.Overlaps(g.Slice(i, i+1)); got != at[g.At(i)] {
					t.Fatalf("seed %d: %s: step %d is %v", seed, what, i, got)
				}
			}
			if s.Overlaps(g) != any {
				t.Fatalf("seed %d: %s: %v meets %v", seed, what, g, !any)
			}
		}
		for range 8 {
			g := some(200)
			v := make([]float64, g.N)
			for i := range v {
				if v[i] = math.Float64frombits(value.StaleNaN); r.IntN(9) == 0 {
					v[i] = r.Float64()
					times[g.At(i)] = true
				}
			}
			steps.AddValues(g, v)
			check("values", &steps, times, hull)
			check("a part", &steps, times, some(400))
		}
		// A narrower set takes the steps of a grid that are in all three.
		of, narrow := some(300), some(300)
		part, want := NewSet(narrow), map[int64]bool{}
		part.AddFrom(&steps, of)
		for at := range times {
			want[at] = at >= of.Start && at <= of.Last() && at >= narrow.Start && at <= narrow.Last()
		}
		check("taken", &part, want, narrow)
	}
}

// The zero value holds nothing.
func TestEmptyStepSet(t *testing.T) {
	g := Grid{Start: -7, Step: 3, N: 5}
	var s Set
	s.AddValues(g, make([]float64, g.N))
	full := NewSet(g)
	full.AddValues(g, make([]float64, g.N))
	s.AddFrom(&full, g)
	if s.Overlaps(g) || s.Bytes() != 0 || !full.Overlaps(g) {
		t.Errorf("%+v, %+v", s, full)
	}
}
