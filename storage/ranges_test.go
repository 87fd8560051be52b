package storage

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"testing"

	"tsdb/internal/model"
)

// Operations on lists of ranges give what sets of single milliseconds give.
func TestRangesAreSetsOfTimes(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	random := func() (tr model.TimeRange) {
		tr.Min = rnd.Int63n(40)
		tr.Max = tr.Min + rnd.Int63n(12) - 2
		return tr
	}
	times := func(rs ...model.TimeRange) (set [60]bool) {
		for _, r := range rs {
			for at := r.Min; at < r.Max; at++ {
				set[at] = true
			}
		}
		return set
	}
	for range 2000 {
		var rs []model.TimeRange
		for range rnd.Intn(6) {
			rs = append(rs, random())
		}
		given, tr := times(rs...), random()
		merged := mergeRanges(slices.Clone(rs))
		for i, r := range merged {
			if r.Empty() || i > 0 && r.Min <= merged[i-1].Max {
				t.Fatalf("%v merged to %v", rs, merged)
			}
		}
		if times(merged...) != given {
			t.Fatalf("%v merged to %v", rs, merged)
		}
		in, out := times(tr), times(tr)
		for at := range given {
			in[at], out[at] = in[at] && given[at], out[at] && !given[at]
		}
		if got := appendCommon(nil, merged, tr); times(got...) != in {
			t.Fatalf("%v and %v have %v in common", merged, tr, got)
		}
		if got := appendRest(nil, merged, tr); times(got...) != out {
			t.Fatalf("%v of %v are not in %v", got, tr, merged)
		}
	}
}

// Ranges are extended to buckets (kR, (k+1)R], in whole milliseconds.
func TestWholeBuckets(t *testing.T) {
	far := model.TimeRange{Min: model.MinTime - model.DayMs, Max: model.MaxTime + model.DayMs}
	for _, c := range []struct{ min, max, wantMin, wantMax int64 }{
		{1, 2, 1, 61}, {1, 61, 1, 61}, {60, 61, 1, 61}, {61, 62, 61, 121}, {60, 62, 1, 121},
		{0, 1, -59, 1}, {-60, 0, -119, 1}, {-59, 1, -59, 1}, {5, 5, 5, 5},
	} {
		got := wholeBuckets(model.TimeRange{Min: c.min, Max: c.max}, 60)
		if want := (model.TimeRange{Min: c.wantMin, Max: c.wantMax}); got != want {
			t.Errorf("[%d, %d) becomes %v, want %v", c.min, c.max, got, want)
		}
	}
	got := wholeBuckets(model.TimeRange{Min: math.MinInt64, Max: math.MaxInt64}, model.HourMs)
	if got.Min > far.Min || got.Max < far.Max || got.Min < far.Min-model.HourMs || got.Max > far.Max+model.HourMs {
		t.Error(fmt.Sprint("all of time becomes ", got))
	}
}
