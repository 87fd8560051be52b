package encoding

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// Bounds of the sizes, so that a change that increases one is noticed.
func TestTimestampsTakeFewBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		pattern     string
		n, maxBytes int
	}{
		{"step", 1, 7}, {"step", 2, 10}, {"step", 4096, 10},
		{"aligned", 40, 40}, {"aligned", 4096, 4096 * 5 / 8},
		{"jitter", 40, 40}, {"jitter", 4096, 4096*5/8 + 20},
		{"gaps", 4096, 4096 / 8}, {"seconds", 4096, 4096/2 + 20},
	} {
		for _, p := range timePatterns {
			if p.name != c.pattern {
				continue
			}
			if b := AppendTimestamps(nil, p.make(r, c.n), Fast); len(b) > c.maxBytes {
				t.Errorf("%d times, %s: %d bytes, want at most %d", c.n, c.pattern, len(b), c.maxBytes)
			}
		}
	}
}

func TestStartTimestampsTakeFewBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	ts := scrapeTimes(r, 1000)
	for _, p := range startPatterns {
		maxBytes := map[string]int{"none": 0, "one": 8, "restarts": 150, "interval": 8, "before": 8, "some": 140, "any": 9000}[p.name]
		if b := AppendStartTimestamps(nil, p.make(r, ts), ts, Fast); len(b) > maxBytes {
			t.Errorf("%s: %d bytes, want at most %d", p.name, len(b), maxBytes)
		}
	}
}

func TestDivisorDividesAndUndoes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		g := max(r.Uint64()>>r.IntN(64), 1)
		d := newDivisor(g)
		x := r.Uint64() >> r.IntN(64)
		if d.divides(x) != (x%g == 0) {
			t.Fatalf("%d divides %d: %v", g, x, d.divides(x))
		}
		if hi, lo := bits.Mul64(g, x); hi == 0 && !d.divides(lo) {
			t.Fatalf("%d does not divide %d", g, lo)
		}
	}
	if got := gcd(0, 7); got != 7 {
		t.Errorf("gcd(0, 7) = %d", got)
	}
	for range 2000 {
		a, b := r.Uint64()>>r.IntN(64), max(r.Uint64()>>r.IntN(64), 1)
		x, y := a, b
		for y != 0 {
			x, y = y, x%y
		}
		if got := gcd(a, b); got != x {
			t.Fatalf("gcd(%d, %d) = %d, want %d", a, b, got, x)
		}
	}
}

func TestCommonDivisorIsTheGreatest(t *testing.T) {
	f := func(want uint64, vs ...int64) {
		t.Helper()
		if got := commonDivisor(vs); got != want {
			t.Errorf("%v: %d, want %d", vs, got, want)
		}
	}
	f(1, 5)
	f(1, 5, 5, 5)
	f(3, 5, 8, 5, 2)
	f(1, 0, 6, 10, 15)
	f(4096, 4096, 8192, 0, -4096)
	f(1<<63, 0, math.MinInt64)
	f(1, math.MinInt64, math.MaxInt64) // 1 apart, modulo 2^64
	f(2, math.MaxInt64-2, math.MaxInt64, math.MaxInt64-4)
	if got := commonPowerOfTwo([]int64{3, 3 + 5<<20, 3 - 3<<20}); got != 1<<20 {
		t.Errorf("common power of two %d", got)
	}
}

// The pack range is chosen from 65 counts. Compared with the best of all ranges and
// widths, for residuals that fit in a byte, it costs little more.
func TestWindowsAreNearTheBest(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 60 {
		wide, outliers := 1<<r.IntN(7), r.IntN(20)
		ks := fill(200, func(int) int64 {
			if r.IntN(100) < outliers {
				return int64(r.IntN(256))
			}
			return 90 + int64(r.NormFloat64()*float64(wide)/4)
		})
		cost := func(low int64, width uint) int {
			c := len(ks) * int(width)
			for _, k := range ks {
				if x := k - low; x < 0 || x >= 1<<width {
					c += patchBits + max(0, bits.Len64(magnitude(x))-int(width))*8/7
				}
			}
			return c
		}
		best := math.MaxInt
		for low := int64(-200); low < 256; low++ {
			for width := range uint(10) {
				best = min(best, cost(low, width))
			}
		}
		var s residualStats
		s.measure(ks, OrderRaw)
		w := s.best()
		if got := cost(w.low, w.width); got > best+best/4+64 {
			t.Errorf("window [%d, +2^%d) costs %d bits, the best %d: %v", w.low, w.width, got, best, ks)
		}
	}
}

// The estimated cost by which an order is chosen is close to the column's size.
func TestPlansKnowTheirCost(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var s scratch
	for _, p := range timePatterns {
		for _, n := range []int{40, 500, 3000} {
			ts := p.make(r, n)
			b, plan := appendInts(nil, ts, tryAll, &s)
			if _, ok := arithmetic(ts); ok {
				continue
			}
			if size := 8 * len(b); plan.cost > size+size/8 || plan.cost < size-size/8-300 {
				t.Errorf("%d times, %s: planned %d bits, took %d", n, p.name, plan.cost, size)
			}
		}
	}
}

func TestLongColumnsAreNotWorseThanTheirBestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	var s scratch
	for _, p := range timePatterns {
		ts := p.make(r, 5000)
		b, _ := appendInts(nil, ts, tryAll, &s)
		for _, o := range []orders{tryRaw, tryDelta, tryDelta2} {
			if c, _ := appendInts(nil, slices.Clone(ts), o, &s); len(b) > len(c)+len(c)/50+8 {
				t.Errorf("%s: %d bytes, with orders %b %d", p.name, len(b), o, len(c))
			}
		}
	}
}

func TestSpotsAreSpreadEvenly(t *testing.T) {
	f := func(n, m int) {
		t.Helper()
		indexes := sampleIndexesOf(n, m)
		for i := range n {
			if got, want := indexes.at(i), (2*i+1)*m/(2*n); got != want {
				t.Fatalf("place %d of %d in %d: %d, want %d", i, n, m, got, want)
			}
		}
	}
	for _, n := range []int{1, 2, 3, 5, 7, 8, 15, 31, 32, 127, 128} {
		for m := n; m < MaxValues; m += 1 + m/100 {
			f(n, m)
		}
		f(n, MaxValues)
		f(n, 1<<24-1)
	}
}
