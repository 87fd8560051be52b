package window

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
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
			want.reset(c.w, f)
			if !slices.Equal(times.Failing(other, c.resolution, c.uncut), want.Failing(other, c.resolution, c.uncut)) {
				t.Fatalf("%v, seed %d: other rows fail with times of another series", f, seed)
			}
			sc.LoadRows(other, times, quiet{})
			sc.LoadRows(other, want, quiet{})
			if !slices.Equal(times.floats, want.floats) || !slices.Equal(times.bounds.Lo, want.bounds.Lo) || !slices.Equal(times.placed, want.placed) || times.cut != want.cut || want.cut && !slices.Equal(times.parts, want.parts) {
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
		want.reset(c.w, bucket.Rate)
		sc.LoadRows(rows, times, quiet{})
		sc.LoadRows(rows, want, quiet{})
		if !slices.Equal(times.placed, want.placed) || !slices.Equal(times.whole.Lo, want.whole.Lo) && want.cut ||
			!slices.Equal(times.Failing(rows, c.resolution, c.uncut), want.Failing(rows, c.resolution, c.uncut)) {
			t.Fatalf("seed %d: windows of other rows", seed)
		}
	}
}

// Rows whose times are copies of the same source share what follows from them, without
// any times being compared; those of other flags, sources or parts do not.
func TestRowTimesAreSharedBySource(t *testing.T) {
	w := newRowCase(1).w
	type source struct{ ends []int64 }
	sources := [2]*source{{[]int64{10, 20, 30}}, {[]int64{10, 20, 30}}}
	rowsOf := func(s *source, at int, flag model.BucketFlags) *model.Buckets {
		b := new(model.Buckets)
		from, _ := b.ExtendTimes(2, s, at)
		copy(b.End[from:], s.ends[at:])
		copy(b.First[from:], s.ends[at:])
		copy(b.T1[from:], s.ends[at:])
		clear(b.T2)
		clear(b.T3)
		b.Count[0], b.Count[1] = 1, 1
		b.Flags[0], b.Flags[1] = 0, flag
		return b
	}
	var sc Scratch
	var known RowTimesCache
	sc.RowTimes(w, rowsOf(sources[0], 0, 0), bucket.Rate, &known)
	first := sc.RowTimes(w, rowsOf(sources[0], 0, 0), bucket.Rate, &known)
	if cap(first.rows.End) > 0 {
		t.Error("times of a source are copied")
	}
	if sc.RowTimes(w, rowsOf(sources[0], 0, 0), bucket.Rate, &known) != first {
		t.Error("rows of one source share nothing")
	}
	for name, rows := range map[string]*model.Buckets{
		"of another source": rowsOf(sources[1], 0, 0),
		"with other flags":  rowsOf(sources[0], 0, model.BucketStale),
	} {
		var known RowTimesCache
		sc.RowTimes(w, rowsOf(sources[0], 0, 0), bucket.Rate, &known)
		first := sc.RowTimes(w, rowsOf(sources[0], 0, 0), bucket.Rate, &known)
		if sc.RowTimes(w, rows, bucket.Rate, &known) == first {
			t.Errorf("rows %s share", name)
		}
	}
}

// Workers that share what follows from times derive it from the rows of one of them, and
// answer as with their own. It is for the race detector.
func TestRowTimesAreSharedByWorkers(t *testing.T) {
	for seed := range uint64(20) {
		c := newRowCase(seed)
		rows, _ := c.replaced(bucket.Rate)
		var known RowTimesCache
		var workers sync.WaitGroup
		var answers [4]testColumn
		for i := range answers {
			workers.Go(func() {
				own := new(model.Buckets)
				own.AppendRange(rows, 0, rows.Len())
				var sc Scratch
				for range 3 {
					times := sc.RowTimes(c.w, own, bucket.Rate, &known)
					times.Failing(own, c.resolution, c.uncut)
					p := sc.LoadRows(own, times, quiet{})
					answers[i].reset(c.w.N)
					if err := RowKernels[bucket.Rate](p, answers[i].v); err != nil {
						t.Error(err)
					}
				}
			})
		}
		workers.Wait()
		for i := range answers {
			for k, v := range answers[i].v {
				if math.Float64bits(v) != math.Float64bits(answers[0].v[k]) {
					t.Fatalf("seed %d: workers answer %v and %v", seed, v, answers[0].v[k])
				}
			}
		}
	}
}
