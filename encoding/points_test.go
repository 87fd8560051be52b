package encoding

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// pointColumns are columns with restart points, of all orders and coders that have
// them, keyed by their ColumnInfo.
var pointColumns = []floatPattern{
	{"INT delta TOK-A points", func(r *rand.Rand, n int) []float64 {
		return steps(n, func(int) float64 { return math.Round(r.NormFloat64()) })
	}},
	{"INT delta TOK-B points", func(r *rand.Rand, n int) []float64 {
		return steps(n, func(int) float64 { return math.Round(9 * r.NormFloat64()) })
	}},
	{"DEC delta TOK-B extra bits points exceptions", func(r *rand.Rand, n int) []float64 {
		at := 0.0
		return fill(n, func(i int) float64 {
			if at += math.Round(4 * math.Exp(2*r.NormFloat64())); i%701 < 3 {
				return math.Float64frombits(staleNaN)
			}
			return at / 100
		})
	}},
	{"INT raw TOK-A extra bits points", func(r *rand.Rand, n int) []float64 {
		return fill(n, func(int) float64 { return float64(r.IntN(3) + r.IntN(9)/8*r.IntN(70000)) })
	}},
	{"INT delta2 TOK-B points", func(r *rand.Rand, n int) []float64 {
		step := 1000.0
		return steps(n, func(int) float64 { step += math.Round(9 * r.NormFloat64()); return step })
	}},
	{"INT delta2 TOK-B gcd extra bits points", func(r *rand.Rand, n int) []float64 {
		step := 3000.0
		return steps(n, func(int) float64 { step += 3 * math.Round(90*math.Exp(2*r.NormFloat64())); return step })
	}},
	{"INT delta PACK points", func(r *rand.Rand, n int) []float64 {
		return steps(n, func(int) float64 { return float64(r.IntN(4)) })
	}},
	{"INT delta PACK gcd points", func(r *rand.Rand, n int) []float64 {
		return steps(n, func(int) float64 { return 4096 * float64(r.IntN(256)) })
	}},
	{"BITS delta PACK patches points", func(r *rand.Rand, n int) []float64 {
		return steps(n, func(int) float64 { return r.NormFloat64() / 8 })
	}},
}

// steps returns n values: value i is step(i) more than the previous one, or than 1000
// if it is the first.
func steps(n int, step func(i int) float64) []float64 {
	at := 1000.0
	return fill(n, func(i int) float64 { at += step(i); return at })
}

// fullColumn returns the column of vs in the full tier.
func fullColumn(vs []float64) []byte {
	b, _ := AppendFloats(nil, vs, Full, 0)
	return b
}

// withoutPoints returns a column of n floats without its restart points.
func withoutPoints(t testing.TB, src []byte, n int) []byte {
	t.Helper()
	_, rest, err := parseFloatHeader(src, n)
	if err != nil {
		t.Fatal(err)
	}
	var h intHeader
	if _, err := h.parse(rest, n); err != nil || h.points == nil {
		t.Fatalf("no restart points: %v", err)
	}
	out := slices.Clone(src)
	out[len(src)-len(rest)] &^= intPoints
	at := cap(src) - cap(h.points)
	return slices.Delete(out, at, at+len(h.points))
}

func TestLongColumnsHaveRestartPoints(t *testing.T) {
	for _, p := range pointColumns {
		for _, n := range []int{pointsFrom, pointsFrom + 2, 4320} {
			vs := p.make(rand.New(rand.NewPCG(1, 2)), n)
			b := fullColumn(vs)
			info, err := ColumnInfo(KindFloats, b, n)
			if err != nil || info.Codec() != p.name || info.Points != 3 {
				t.Errorf("%d of %s: %v, %v", n, p.name, info, err)
				continue
			}
			plain := withoutPoints(t, b, n)
			if took := len(b) - len(plain); took > 40 || took > len(b)/50+3 {
				t.Errorf("%v: restart points of %d bytes", info, took)
			}
			if got, err := DecodeFloats(nil, plain, n); err != nil || !slices.EqualFunc(got, vs, sameBits) {
				t.Errorf("%v: not the same values without restart points: %v", info, err)
			}
			for _, short := range [][]byte{fullColumn(vs[:pointsFrom-1]), firstOf(AppendFloats(nil, vs, Fast, 0))} {
				if info, err := ColumnInfo(KindFloats, short, min(n, pointsFrom-1)); err == nil && info.Points > 0 {
					t.Errorf("%v: restart points where they do not pay", info)
				}
			}
		}
	}
}

func firstOf[A, B any](a A, _ B) A { return a }

// ranges calls f with ranges of n values: all of them if n is small, otherwise those
// near the ends of parts and blocks, and some random ones.
func ranges(r *rand.Rand, n int, f func(i, j int)) {
	if n < 20 {
		for j := range n + 1 {
			for i := range j + 1 {
				f(i, j)
			}
		}
		return
	}
	ends := []int{0, 1, 2, 3, n - 1, n, n / 2, decodeBlock, n - n/12}
	for k := range pointParts {
		for _, c := range []Coder{CoderPack, CoderTokA} {
			for heads := range 3 {
				part := k*c.partLen(n-heads) + heads
				ends = append(ends, part-1, part, part+1)
			}
		}
	}
	for range 10 {
		ends = append(ends, r.IntN(n+1))
	}
	ends = slices.DeleteFunc(ends, func(at int) bool { return at < 0 || at > n })
	slices.Sort(ends)
	for j, end := range slices.Compact(ends) {
		for range 2 {
			f(ends[r.IntN(j+1)], end)
		}
	}
}

func TestRangesAreParts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	sizes := []int{0, 1, 2, 3, 8, 17, 300, 1030, pointsFrom, 4319, 6144}
	if raceEnabled {
		sizes = []int{3, 300, pointsFrom}
	}
	check := func(name string, src []byte, vs []float64) {
		t.Helper()
		ranges(r, len(vs), func(i, j int) {
			got, err := DecodeFloatsRange([]float64{7.5}, src, len(vs), i, j)
			if err != nil || len(got) != 1+j-i || got[0] != 7.5 || !slices.EqualFunc(got[1:], vs[i:j], sameBits) {
				info, _ := ColumnInfo(KindFloats, src, len(vs))
				t.Fatalf("%s: values %d to %d of %d (%v): %d values, %v", name, i, j, len(vs), info, len(got)-1, err)
			}
		})
	}
	for _, n := range sizes {
		for _, p := range slices.Concat(plainPatterns, programPatterns, pointColumns) {
			vs := p.make(r, n)
			src := fullColumn(vs)
			check(p.name, src, vs)
			check(p.name+" fast", firstOf(AppendFloats(nil, vs, Fast, 0)), vs)
			if info, _ := ColumnInfo(KindFloats, src, n); info.Points > 0 {
				check(p.name+" without points", withoutPoints(t, src, n), vs)
			}
		}
	}
}

// With any byte of the points changed, decoding the whole column is an error, and
// decoding a part gives an error or the right data unless it begins at that point.
func TestWrongRestartPointsAreNoticed(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, p := range pointColumns {
		n := pointsFrom + r.IntN(40)
		vs := p.make(r, n)
		good := fullColumn(vs)
		_, rest, _ := parseFloatHeader(good, n)
		var h intHeader
		if _, err := h.parse(rest, n); err != nil || h.points == nil {
			t.Fatalf("%s: no points: %v", p.name, err)
		}
		first := cap(good) - cap(h.points)
		for at := first; at < first+len(h.points); at++ {
			for range 20 {
				bad := bytes.Clone(good)
				bad[at] ^= byte(1 + r.IntN(255))
				if _, err := DecodeFloats(nil, bad, n); err == nil {
					t.Fatalf("%s: byte %d of %d is wrong, which is not noticed", p.name, at-first, len(h.points))
				}
				ranges(r, n, func(i, j int) { DecodeFloatsRange(nil, bad, n, i, j) })
				if got, err := DecodeFloatsRange(nil, bad, n, 0, 99); err == nil && !slices.EqualFunc(got, vs[:99], sameBits) {
					t.Fatalf("%s: what lies before all points is wrong", p.name)
				}
			}
		}
	}
}

func TestRestartPointsOfOtherColumnsAreRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for name, vs := range map[string][]float64{
		"constant step": fill(3000, func(i int) float64 { return float64(7 * i) }),
		"sparse":        steps(3000, func(int) float64 { return float64(r.IntN(40) / 39 * r.IntN(60)) }),
		"raw PACK":      fill(3000, func(int) float64 { return float64(r.IntN(256)) }),
		"raw tokens":    fill(3000, func(int) float64 { return math.Round(2 * r.NormFloat64()) }),
		"one stream":    steps(700, func(int) float64 { return math.Round(r.NormFloat64()) }),
		"too few":       steps(5, func(int) float64 { return math.Round(100 * r.NormFloat64()) }),
	} {
		b := fullColumn(vs)
		b[1] |= intPoints
		b = slices.Insert(b, 4, make([]byte, 9)...)
		if _, err := DecodeFloats(nil, b, len(vs)); err == nil {
			t.Errorf("%s: restart points are taken", name)
		}
	}
}

func TestRangesInReusedMemoryTakeNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	for _, p := range pointColumns {
		vs := p.make(rand.New(rand.NewPCG(1, 2)), 4320)
		src, out := fullColumn(vs), make([]float64, 0, 4320)
		if a := testing.AllocsPerRun(20, func() { out, _ = DecodeFloatsRange(out[:0], src, 4320, 3960, 4320) }); a != 0 {
			t.Errorf("%s: %v allocations", p.name, a)
		}
	}
}

// FuzzDecodeFloatsRange decodes arbitrary ranges of arbitrary bytes: that must not
// panic, and must give the same values as decoding the whole column.
func FuzzDecodeFloatsRange(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, p := range pointColumns {
		n := pointsFrom + r.IntN(9)
		if src := fullColumn(p.make(r, n)); len(src) < n { // minimizing long inputs takes minutes
			f.Add(src, uint16(n), uint16(n-n/12), uint16(n))
			f.Add(src, uint16(n), uint16(n/3), uint16(n/2))
		}
	}
	for _, c := range goldenColumns(f) {
		if strings.HasPrefix(c.name, "floats/") {
			f.Add(c.append(nil), uint16(c.n), uint16(c.n/2), uint16(c.n))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, n, i, j uint16) {
		j = min(j, n)
		i = min(i, j)
		part, err := DecodeFloatsRange(nil, src, int(n), int(i), int(j))
		if err != nil && len(part) > 0 {
			t.Fatal("values in spite of an error")
		}
		whole, wholeErr := DecodeFloats(nil, src, int(n))
		if wholeErr == nil && (err != nil || !slices.EqualFunc(part, whole[i:j], sameBits)) {
			t.Fatalf("values %d to %d of %d: %v", i, j, n, err)
		}
	})
}

// BenchmarkFloatsDecodeEnd reads the last twelfth of a column, the last hour of
// twelve, and for comparison all of it. It counts all samples of the column.
func BenchmarkFloatsDecodeEnd(b *testing.B) {
	for _, p := range slices.Concat(floatPatterns, pointColumns) {
		const n = 4320
		vs := p.make(rand.New(rand.NewPCG(1, 2)), n)
		src := fullColumn(vs)
		if info, _ := ColumnInfo(KindFloats, src, n); info.Points == 0 {
			continue
		}
		for _, part := range []struct {
			name string
			src  []byte
			from int
		}{{"end", src, n - n/12}, {"end-without-points", withoutPoints(b, src, n), n - n/12}, {"whole", src, 0}} {
			b.Run(fmt.Sprintf("pattern=%s/samples=%d/part=%s", strings.ReplaceAll(p.name, " ", "-"), n, part.name), func(b *testing.B) {
				dst := make([]float64, 0, n)
				b.SetBytes(n)
				b.ReportAllocs()
				for b.Loop() {
					dst, _ = DecodeFloatsRange(dst[:0], part.src, n, part.from, n)
				}
				b.ReportMetric(float64(len(part.src))/n, "B/sample")
			})
		}
	}
}
