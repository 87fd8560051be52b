package block

import (
	"math/rand/v2"
	"slices"
	"testing"

	"tsdb/internal/model"
)

// Compact times are the times they were made of, in every range, and find what a search
// in the ends finds.
func TestBucketTimesAreThoseOfTheRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var dst model.Buckets
	for range 2000 {
		resolution := []int64{60_000, 3_600_000}[r.IntN(2)]
		var b model.Buckets
		n := 1 + r.IntN(9)
		end := resolution * int64(r.IntN(2000)-1000)
		gaps, fewest := r.IntN(2), uint32(r.IntN(4))
		b.Grow(n)
		for i := range n {
			b.End[i] = end
			end += resolution * int64(1+gaps*r.IntN(3))
			first := b.End[i] - resolution + 1 + r.Int64N(resolution/2)
			switch b.Count[i] = fewest + uint32(r.IntN(3)); {
			case b.Count[i] >= 3:
				b.T3[i] = first + r.Int64N(10)
				fallthrough
			case b.Count[i] == 2:
				b.T2[i] = first + 10 + r.Int64N(10)
				fallthrough
			case b.Count[i] == 1:
				b.First[i], b.T1[i] = first, []int64{first + 20 + r.Int64N(resolution/2-20), b.End[i]}[r.IntN(2)]
			}
		}
		times := newBucketTimes(&b, resolution)
		if (times.ends == nil) != (b.End[n-1]-b.End[0] == int64(n-1)*resolution) || times.len() != n {
			t.Fatalf("%d rows, ends %v of %v", times.len(), times.ends, b.End)
		}
		i := r.IntN(n)
		j := i + r.IntN(n-i) + 1
		if r.IntN(3) > 0 {
			dst.Reset()
		}
		for range 1 + r.IntN(2) { // the second one may find them there
			from := dst.Len()
			if r.IntN(2) == 0 && from > 0 {
				from = r.IntN(from)
				dst.Truncate(from)
			}
			if got := times.appendTo(&dst, i, j); got != from {
				t.Fatalf("appended at %d, not %d", got, from)
			}
			for _, x := range []struct{ got, want []int64 }{
				{dst.End, b.End}, {dst.First, b.First}, {dst.T1, b.T1}, {dst.T2, b.T2}, {dst.T3, b.T3},
			} {
				if !slices.Equal(x.got[from:], x.want[i:j]) {
					t.Fatalf("rows %d to %d are %v, want %v", i, j, x.got[from:], x.want[i:j])
				}
			}
			if !slices.Equal(dst.Count[from:], b.Count[i:j]) {
				t.Fatalf("counts %v, want %v", dst.Count[from:], b.Count[i:j])
			}
			dst.Truncate(from)
		}
		for range 10 {
			at := b.End[0] - 2*resolution + r.Int64N(b.End[n-1]-b.End[0]+4*resolution)
			if r.IntN(2) == 0 {
				at = b.End[r.IntN(n)] + int64(r.IntN(3)-1)
			}
			if got, want := times.search(at), searchTime(b.End, at); got != want {
				t.Fatalf("search for %d in %v: %d, want %d", at, b.End, got, want)
			}
		}
		for _, at := range []int64{-1 << 63, 1<<63 - 1} {
			if got, want := times.search(at), searchTime(b.End, at); got != want {
				t.Fatalf("search for %d in %v: %d, want %d", at, b.End, got, want)
			}
		}
	}
}
