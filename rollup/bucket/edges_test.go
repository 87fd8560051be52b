package bucket

import (
	"slices"
	"testing"

	"tsdb/internal/model"
)

// rowOf returns a bucket with floats at the times.
func rowOf(ts []int64) *model.Buckets {
	return FromSamples(16, &model.ColumnSet{T: ts, V: make([]float64, len(ts))})
}

// part returns the part of times that is in a window, Fails if it is no other Part.
func part(ts []int64, x, s int64) Part {
	inside := slices.DeleteFunc(slices.Clone(ts), func(t int64) bool { return t <= x || t > s })
	for _, p := range []Part{None, LastOne, LastTwo, All} {
		n := map[Part]int{None: 0, LastOne: 1, LastTwo: 2, All: len(ts)}[p]
		if n <= len(ts) && slices.Equal(inside, ts[len(ts)-n:]) {
			return p
		}
	}
	return Fails
}

// samePart reports whether two parts are the same floats of a row.
func samePart(n int, p, q Part) bool {
	number := func(p Part) int { return [...]int{None: 0, LastOne: 1, LastTwo: 2, All: n, Fails: -1}[p] }
	return number(p) == number(q)
}

// All sets of times in a bucket of eight milliseconds are tried with all windows. The
// part is right, and is Fails only if the times of another set with equal first and
// last three times have another part, or if the part is none that has a name.
func TestInsideOfAllBuckets(t *testing.T) {
	const span = 8
	type known struct {
		n, first, t1, t2, t3 int64
	}
	byTimes := map[known][][]int64{}
	for set := 1; set < 1<<span; set++ {
		var ts []int64
		for at := range int64(span) {
			if set>>at&1 != 0 {
				ts = append(ts, at+1)
			}
		}
		b := rowOf(ts)
		k := known{int64(b.Count[0]), b.First[0], b.T1[0], b.T2[0], b.T3[0]}
		byTimes[k] = append(byTimes[k], ts)
	}
	fails := 0
	for k, sets := range byTimes {
		b := rowOf(sets[0])
		n := int(k.n)
		for x := int64(-1); x <= span+1; x++ {
			for s := x + 1; s <= span+2; s++ {
				got := Inside(b, 0, x, s)
				want := part(sets[0], x, s)
				for _, ts := range sets[1:] {
					if !samePart(n, part(ts, x, s), want) {
						want = Fails
					}
				}
				if !samePart(n, got, want) {
					t.Fatalf("window (%d, %d] of %v: %v, want %v", x, s, sets, got, want)
				}
				if got == Fails {
					fails++
				}
				if n == 1 && got != All && got != None && got != Fails || n == 2 && got == LastTwo {
					t.Fatalf("window (%d, %d] of %v: %v instead of all", x, s, sets[0], got)
				}

				end := EndInside(b, 0, x, s)
				switch {
				case got != Fails && end != got:
					t.Fatalf("window (%d, %d] of %v: its end is %v, all of it %v", x, s, sets[0], end, got)
				case got == Fails && (end == LastTwo) != (x < k.t2 && s >= k.t1):
					t.Fatalf("window (%d, %d] of %v: its end is %v", x, s, sets[0], end)
				}
			}
		}
	}
	if fails == 0 {
		t.Error("no window fails")
	}
}

// A row of a stale marker or of histograms has no float in any window.
func TestInsideWithoutFloats(t *testing.T) {
	var b model.Buckets
	b.AppendSample(5, stale)
	if p := Inside(&b, 0, -10, 10); p != None {
		t.Errorf("%v", p)
	}
}

func TestStandIn(t *testing.T) {
	f := func(resolution int64, samples uint64, buckets int, want bool) {
		t.Helper()
		if got := StandIn(resolution, samples, buckets); got != want {
			t.Errorf("%d samples in %d buckets of %d ms: %v", samples, buckets, resolution, got)
		}
	}
	f(60_000, 1440, 1440, true)
	f(60_000, 1440*8-1, 1440, true)
	f(60_000, 1440*8, 1440, false)
	f(1_800_000, 100, 48, true)
	f(3_600_000, 1, 1, false)
	f(60_000, 0, 0, false)
}
