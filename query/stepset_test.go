package query

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
		some := func(n int) grid { return grid{start: origin + step*r.Int64N(300), step: step, n: 1 + r.IntN(n)} }
		hull := grid{start: origin, step: step, n: 700}
		steps, times := newStepSet(hull), map[int64]bool{}
		check := func(what string, s *stepSet, at map[int64]bool, g grid) {
			t.Helper()
			any := false
			for i := range g.n {
				any = any || at[g.at(i)]
				if got := s.meets(g.sub(i, i+1)); got != at[g.at(i)] {
					t.Fatalf("seed %d: %s: step %d is %v", seed, what, i, got)
				}
			}
			if s.meets(g) != any {
				t.Fatalf("seed %d: %s: %v meets %v", seed, what, g, !any)
			}
		}
		for range 8 {
			g := some(200)
			v := make([]float64, g.n)
			for i := range v {
				if v[i] = math.Float64frombits(value.StaleNaN); r.IntN(9) == 0 {
					v[i] = r.Float64()
					times[g.at(i)] = true
				}
			}
			steps.addValues(g, v)
			check("values", &steps, times, hull)
			check("a part", &steps, times, some(400))
		}
		// What a narrower set takes of a grid is what is in all three.
		of, narrow := some(300), some(300)
		part, want := newStepSet(narrow), map[int64]bool{}
		part.addFrom(&steps, of)
		for at := range times {
			want[at] = at >= of.start && at <= of.last() && at >= narrow.start && at <= narrow.last()
		}
		check("taken", &part, want, narrow)
	}
}

// The zero value holds nothing.
func TestEmptyStepSet(t *testing.T) {
	g := grid{start: -7, step: 3, n: 5}
	var s stepSet
	s.addValues(g, make([]float64, g.n))
	full := newStepSet(g)
	full.addValues(g, make([]float64, g.n))
	s.addFrom(&full, g)
	if s.meets(g) || s.bytes() != 0 || !full.meets(g) {
		t.Errorf("%+v, %+v", s, full)
	}
}
