package model

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Rows that are said to hold the times of a source hold them, whatever else is done to
// them between.
func TestHeldTimesAreThere(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sources := [3]*[]int64{}
	for k := range sources {
		ts := make([]int64, 40)
		for i := range ts {
			ts[i] = int64(1000*k + i)
		}
		sources[k] = &ts
	}
	var b, other Buckets
	other.Grow(30)
	set := func(from, n int, ts []int64) {
		for i := range n {
			b.End[from+i], b.Count[from+i], b.First[from+i] = ts[i], uint32(ts[i]), ts[i]
			b.T1[from+i], b.T2[from+i], b.T3[from+i] = ts[i], ts[i], ts[i]
		}
	}
	held, known := 0, 0
	for range 20000 {
		if source, ok := b.SourceOfTimes(); ok {
			known++
			n := 0
			for _, h := range source {
				want := (*h.source.(*[]int64))[h.at : h.at+h.n]
				if h.from != n || !slices.Equal(b.End[n:n+h.n], want) || !slices.Equal(b.T3[n:n+h.n], want) {
					t.Fatalf("rows %d to %d of %d are said to be copies", h.from, h.from+h.n, b.Len())
				}
				n += h.n
			}
			if n != b.Len() {
				t.Fatalf("%d of %d rows are said to be copies", n, b.Len())
			}
		}
		switch r.IntN(40) {
		case 0:
			b.Truncate(r.IntN(b.Len() + 1))
		case 1:
			b.Grow(r.IntN(3))
		case 2:
			from := b.Extend(2)
			set(from, 2, []int64{-1, -2})
		case 3:
			b.AppendRange(&other, 0, r.IntN(30))
		case 4:
			b.AppendColumns(&other, 3, 3+r.IntN(20), 0)
		case 5:
			b.AppendSample(5, 1)
		case 6:
			if b = b.Slice(0, b.Len()); r.IntN(4) == 0 {
				b = Buckets{}
			}
		case 7, 8, 9, 10, 11, 12, 13, 14, 15, 16:
			b.Reset()
		default:
			// Mostly the same as before.
			source := sources[r.IntN(8)/6]
			at, n := 10*(r.IntN(8)/7), 10*(1+r.IntN(8)/7)
			from, has := b.ExtendTimes(n, source, at)
			want := (*source)[at : at+n]
			if !has {
				set(from, n, want)
				continue
			}
			held++
			for i, ts := range want {
				if b.End[from+i] != ts || b.Count[from+i] != uint32(ts) || b.First[from+i] != ts || b.T1[from+i] != ts || b.T2[from+i] != ts || b.T3[from+i] != ts {
					t.Fatalf("row %d is said to hold the time %d, and has %d", from+i, ts, b.End[from+i])
				}
			}
		}
	}
	if known < 500 {
		t.Errorf("%d times only the sources of all times were known", known)
	}
	if held < 500 {
		t.Errorf("%d times only were there", held)
	}
}
