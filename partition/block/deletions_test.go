package block

import (
	"testing"
	"tsdb/internal/model"
)

// Sets of ranges against a set of milliseconds.
func TestDeletedRangesAreTheirUnion(t *testing.T) {
	rnd := newRand(t)
	for range 2000 {
		var d DeletedRanges
		var in [64]bool
		for range rnd.IntN(8) {
			r := model.TimeRange{Min: int64(rnd.IntN(64)), Max: int64(rnd.IntN(64))}
			d = d.Add(r)
			for i := r.Min; i < r.Max; i++ {
				in[i] = true
			}
		}
		var s, want model.Samples
		skip := rnd.IntN(3)
		for i := range in {
			if d.Contains(int64(i)) != in[i] {
				t.Fatalf("%v contains %d: %v", d, i, !in[i])
			}
			if rnd.IntN(2) > 0 {
				continue
			}
			st := int64(rnd.IntN(2) * rnd.IntN(9))
			if s.Len() < skip || !in[i] {
				want.Append(int64(i), st, float64(i), model.Histogram{})
			}
			s.Append(int64(i), st, float64(i), model.Histogram{})
		}
		for i := 1; i < len(d); i++ {
			if d[i].Min <= d[i-1].Max {
				t.Fatalf("%v is not disjoint and rising", d)
			}
		}
		r := model.TimeRange{Min: int64(rnd.IntN(64)), Max: int64(rnd.IntN(64))}
		overlaps, covers := false, !r.Empty()
		for i := r.Min; i < r.Max; i++ {
			overlaps, covers = overlaps || in[i], covers && in[i]
		}
		if d.Overlaps(r) != overlaps || !r.Empty() && d.Covers(r) != covers {
			t.Fatalf("%v with %v: overlaps %v, covers %v", d, r, !overlaps, !covers)
		}
		d.Remove(&s, min(skip, s.Len()))
		if d := diffSamples(&s, &want); d != "" {
			t.Fatal(d)
		}
	}
}
