package window

import (
	"math/rand/v2"
	"slices"
	"testing"

	"tsdb/internal/model"
	"tsdb/rollup/bucket"
)

// Series share what follows from their times if these and their flags are equal, and
// only then.
func TestRowTimesAreSharedByEqualTimes(t *testing.T) {
	for f := range RowKernels {
		shared := 0
		for seed := range uint64(100) {
			c := newRowCase(seed)
			rows, _ := c.replaced(f)
			if rows.Len() == 0 {
				continue
			}
			var sc Scratch
			var known RowTimesCache
			sc.RowTimes(c.w, rows, f, &known)
			first := sc.RowTimes(c.w, rows, f, &known)
			other := new(model.Buckets)
			other.AppendRange(rows, 0, rows.Len())
			if sc.RowTimes(c.w, other, f, &known) == first {
				shared++
			}
			r := rand.New(rand.NewPCG(seed, 9))
			switch k := r.IntN(other.Len()); r.IntN(6) {
			case 0:
				other.Flags[k] ^= model.BucketStale
			case 1:
				other.First[k]--
			case 2:
				other.T2[k]--
			case 3:
				other.T3[k]--
			case 4:
				other.Count[k]++
			case 5:
				other.T1[k]++
			}
			times := sc.RowTimes(c.w, other, f, &known)
			want := new(RowTimes)
			want.reset(c.w, other, f)
			if !slices.Equal(times.Failing(c.resolution, c.uncut), want.Failing(c.resolution, c.uncut)) {
				t.Fatalf("%v, seed %d: other rows fail with times of another series", f, seed)
			}
			times.layOut()
			want.layOut()
			if !slices.Equal(times.counts, want.counts) || !slices.Equal(times.t, want.t) || times.cut != want.cut || want.cut && !slices.Equal(times.parts, want.parts) {
				t.Fatalf("%v, seed %d: windows of another series", f, seed)
			}
		}
		if shared < 50 {
			t.Errorf("%v: %d series share their times", f, shared)
		}
	}
}

// Memory that was used for other rows does not show in what follows from rows.
func TestRowTimesScratchIsUsedAgain(t *testing.T) {
	var sc Scratch
	for seed := range uint64(300) {
		c := newRowCase(seed)
		rows, _ := c.replaced(bucket.Rate)
		times := sc.RowTimes(c.w, rows, bucket.Rate, nil)
		want := new(RowTimes)
		want.reset(c.w, rows, bucket.Rate)
		times.layOut()
		want.layOut()
		if !slices.Equal(times.placements(60), want.placements(60)) || !slices.Equal(times.whole.Lo, want.whole.Lo) && want.cut ||
			!slices.Equal(times.Failing(c.resolution, c.uncut), want.Failing(c.resolution, c.uncut)) {
			t.Fatalf("seed %d: windows of other rows", seed)
		}
	}
}
