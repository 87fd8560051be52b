package bucket

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"tsdb/internal/model"
)

func TestFunctionsHaveNames(t *testing.T) {
	for f := range numFunctions {
		got, ok := ParseFunction(functions[f].name)
		if f == Instant {
			if ok {
				t.Errorf("no name stands for %v", got)
			}
			continue
		}
		if !ok || got != f {
			t.Errorf("%v is parsed as %v, %v", f, got, ok)
		}
	}
	for _, name := range []string{"", "quantile_over_time", "deriv", "stddev_over_time"} {
		if f, ok := ParseFunction(name); ok {
			t.Errorf("%q is %v", name, f)
		}
	}
}

func TestFlagsThatAreNotAnswered(t *testing.T) {
	for f := range numFunctions {
		if f.NoRows(true)&f.NoRows(false)&model.BucketHistogram == 0 {
			t.Errorf("%v ignores histograms", f)
		}
		counter := slices.Contains([]Function{Rate, IRate, Increase, Resets}, f)
		if f.NoRows(false)&model.BucketStart != 0 || f.NoRows(true)&model.BucketStart != 0 != counter {
			t.Errorf("%v and start timestamps", f)
		}
		selection := slices.Contains([]Function{Min, Max, Count, Last, First, TsOfLast, TsOfFirst, Present, Absent, Instant}, f)
		if f.Answers(model.BucketSpecial) != selection {
			t.Errorf("%v of special floats", f)
		}
		if !f.Answers(model.BucketSpecial|model.BucketSample) || !f.Answers(model.BucketStale|model.BucketStart) {
			t.Errorf("%v refuses a sample or a plain row", f)
		}
	}
}

// Extremes of a window are those of its rows: a NaN is the extreme only if all floats
// are NaN, and then it is the last.
func TestExtremesOfRowsAreThoseOfTheirFloats(t *testing.T) {
	extreme := func(vs []float64, compare func(a, b float64) int) float64 {
		numbers := slices.DeleteFunc(slices.Clone(vs), math.IsNaN)
		if len(numbers) == 0 {
			return vs[len(vs)-1]
		}
		return slices.MinFunc(numbers, compare)
	}
	greater := func(a, b float64) int { return cmp.Compare(b, a) }
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 2))
		var s model.ColumnSet
		for i := range int64(1 + r.IntN(12)) {
			v := strange[r.IntN(len(strange)-1)] // the last is the stale marker
			if r.IntN(3) > 0 {
				v = []float64{math.NaN(), math.Float64frombits(0x7ff8_0000_0000_0abc), 0, math.Copysign(0, -1)}[r.IntN(4)]
			}
			s.Append(i*7+1, 0, v, model.Histogram{})
		}
		b := FromSamples(20, &s)
		for _, c := range []struct{ got, want float64 }{
			{extreme(b.Min, cmp.Compare[float64]), extreme(s.V, cmp.Compare[float64])},
			{extreme(b.Max, greater), extreme(s.V, greater)},
		} {
			if math.Float64bits(c.got) != math.Float64bits(c.want) {
				t.Fatalf("seed %d: extreme of rows %v, of floats %v: %v", seed, c.got, c.want, s.V)
			}
		}
	}
}

// Sums of floats below LargeFloat stay far from the infinities.
func TestLargeFloatsAreSpecial(t *testing.T) {
	below := math.Nextafter(model.LargeFloat, 0)
	b := FromSamples(10, &model.ColumnSet{T: []int64{1, 11, 21, 31}, V: []float64{below, -below, model.LargeFloat, -model.LargeFloat}})
	want := []model.BucketFlags{0, 0, model.BucketSpecial, model.BucketSpecial}
	if !slices.Equal(b.Flags, want) {
		t.Errorf("flags %v, want %v", b.Flags, want)
	}
	if below*math.Exp2(64) > math.Exp2(970) { // half the distance of the two largest floats
		t.Error("2^64 floats can make a sum overflow")
	}
}
