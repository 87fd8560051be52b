package encoding

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The search chooses the codec that suits the pattern.
func TestFloatsTakeTheTransformTheyWereMadeBy(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	steps := func(f func(k float64) float64) []float64 {
		k := 20000.0
		return fill(600, func(int) float64 { k += math.Round(20 * r.NormFloat64()); return f(k) })
	}
	for _, c := range []struct {
		name, want string
		vs         []float64
	}{
		{"one value", "CONST", []float64{0.1}},
		{"equal NaNs", "CONST", slices.Repeat([]float64{math.NaN()}, 9)},
		{"a ramp", "INT delta CONST", fill(600, func(i int) float64 { return float64(7 * i) })},
		{"a square", "INT delta2 CONST", fill(600, func(i int) float64 { return float64(i * i) })},
		{"integers", "INT delta PACK", steps(func(k float64) float64 { return k })},
		{"multiples", "INT delta PACK gcd", steps(func(k float64) float64 { return 4096 * k })},
		{"integers to 2^53", "INT raw PACK gcd", fill(600, func(i int) float64 { return 1<<53 - 1 - float64(int64(i*i%5)<<40) })},
		{"hundredths", "DEC delta PACK", steps(func(k float64) float64 { return k / 100 })},
		{"fives of hundredths", "DEC delta PACK gcd", steps(func(k float64) float64 { return 5 * k / 100 })},
		{"millionths by product", "DECM delta PACK", steps(func(k float64) float64 { return k * 1e-6 })},
		{"seconds of nanoseconds", "DECDD delta PACK", steps(func(k float64) float64 { return math.Round(1e9+77*k+3*math.Sin(k)) / 1000 / 1e6 })},
		{"one in five an ulp off", "DEC delta PACK corrections", func() []float64 {
			return each2(steps(func(k float64) float64 { return k / 100 }), func(i int, v float64) float64 {
				if i%5 == 0 {
					return math.Nextafter(v, 0)
				}
				return v
			})
		}()},
		{"integers and a few halves", "DEC delta PACK gcd", each2(steps(func(k float64) float64 { return k }), func(i int, v float64) float64 {
			if i%25 == 1 {
				return v + 0.5*float64(1+i%2)
			}
			return v
		})},
		{"tenths and a few thousandths", "DEC delta PACK gcd", each2(steps(func(k float64) float64 { return k / 10 }), func(i int, v float64) float64 {
			if i%25 == 1 {
				return math.Round(v*1000+25*float64(1+i%3)) / 1000
			}
			return v
		})},
		{"full precision", "BITS delta PACK", steps(func(k float64) float64 { return math.Sqrt(2e6 + k) })},
		{"float32", "BITS raw PACK gcd", fill(600, func(int) float64 { return float64(float32(r.NormFloat64())) })},
		{"rare changes of full precision", "BITS raw XOR", func() []float64 {
			v := 0.0
			return fill(600, func(i int) float64 {
				if r.IntN(5) == 0 {
					v = r.Float64()
				}
				return v
			})
		}()},
		{"integers with stale markers", "INT delta PACK exceptions", each2(steps(func(k float64) float64 { return k }), func(i int, v float64) float64 {
			if i%150 == 7 {
				return math.Float64frombits(staleNaN)
			}
			return v
		})},
		{"half of them stale, in one run", "INT delta PACK exceptions", each2(steps(func(k float64) float64 { return k }), func(i int, v float64) float64 {
			if i > 300 {
				return math.Float64frombits(staleNaN)
			}
			return v
		})},
	} {
		b, _ := AppendFloats(nil, c.vs, Fast, 0)
		info, err := ColumnInfo(KindFloats, b, len(c.vs))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		info.Patches = 0
		if got := info.Codec(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, info, c.want)
		}
		if fields, err := ColumnFields(KindFloats, b, len(c.vs)); err != nil || !covers(fields, len(b)) {
			t.Errorf("%s: fields %v of %d bytes: %v", c.name, fields, len(b), err)
		}
	}
}

func each2(vs []float64, f func(i int, v float64) float64) []float64 {
	for i := range vs {
		vs[i] = f(i, vs[i])
	}
	return vs
}

// covers reports whether the fields lie one after another up to size.
func covers(fields []Field, size int) bool {
	at := 0
	for _, f := range fields {
		if f.Offset != at || f.Length <= 0 {
			return false
		}
		at += f.Length
	}
	return at == size
}

// Pairs of special values, alone and among ordinary ones, keep their bits.
func TestSpecialValuesKeepTheirBits(t *testing.T) {
	check := func(name string, vs []float64) {
		t.Helper()
		for _, hint := range []FloatHint{0, makeHint(formula{TransformDec, 2}, OrderDelta, false, 100, 100),
			makeHint(formulaInt, OrderDelta2, false, 100, 100),
			makeHint(formulaBits, OrderRaw, true, 100, 100)} {
			b, _ := AppendFloats(nil, vs, Fast, hint)
			got, err := DecodeFloats(nil, b, len(vs))
			if err != nil || !slices.EqualFunc(got, vs, sameBits) {
				t.Fatalf("%s, hint %#x: %v, got %x want %x", name, hint, err, appendRaw(nil, got), appendRaw(nil, vs))
			}
		}
	}
	for _, a := range specials {
		for _, b := range specials {
			name := fmt.Sprintf("%v and %v", a, b)
			check(name, []float64{a, b, a})
			vs := fill(40, func(i int) float64 { return float64(i) / 4 })
			vs[0], vs[17], vs[39] = a, b, a
			check(name+" in decimals", vs)
			vs = fill(40, func(i int) float64 { return float64(i) * math.Pi })
			vs[3], vs[4], vs[5] = a, b, b
			check(name+" in floats", vs)
		}
	}
}

func TestOrderedBitsIsABijectionThatOrdersAsFloatsDo(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	vs := slices.Concat(specials, fill(5000, func(int) float64 { return math.Float64frombits(r.Uint64()) }))
	ks := make([]int64, len(vs))
	orderedBits(ks, vs)
	negativeZero := func(v float64) bool { return math.Float64bits(v) == 1<<63 }
	for i, v := range vs {
		if back := fromOrdered(uint64(ks[i])); !sameBits(back, v) {
			t.Fatalf("%x comes back as %x", math.Float64bits(v), math.Float64bits(back))
		}
		for j := range vs[:200] {
			if w := vs[j]; v < w && !negativeZero(v) && !negativeZero(w) && ks[i] >= ks[j] {
				t.Fatalf("%v < %v, but %d ≥ %d", v, w, ks[i], ks[j])
			}
		}
	}
	for i := range 64 {
		k := int64(1) << i
		for _, w := range []int64{k, -k, k - 1, ^k, 0} {
			v := []float64{fromOrdered(uint64(w))}
			orderedBits(ks[:1], v)
			if ks[0] != w {
				t.Fatalf("%d comes back as %d", w, ks[0])
			}
		}
	}
}

// Reserved and unused ids are errors; all others decode or fail for another reason.
// The set is closed: a new id has to be added here.
func TestUnknownIdsAreCorrupt(t *testing.T) {
	known := map[byte]bool{}
	for _, tr := range []Transform{TransformInt, TransformDec, TransformDecM, TransformDecDD} {
		for _, flags := range []byte{0, floatExceptions, floatExceptions | floatOnePattern} {
			known[byte(tr)|flags] = true
			if tr != TransformInt {
				known[byte(tr)|flags|floatCorrection] = true
			}
		}
	}
	known[byte(TransformBits)] = true
	for size := range byte(9) {
		known[byte(TransformConst)|size<<constShift] = true
	}
	vs := []float64{0.25, 0.5, 0.75, 7}
	tails := [][]byte{{}, {4, 2, 1}, {2, 4, 2, 1}, {5, 0, 0, 0}}
	for size := range 9 {
		tails = append(tails, make([]byte, size))
	}
	for _, n := range []int{1, len(vs)} {
		for id := range 256 {
			for _, tail := range tails {
				_, err := DecodeFloats(nil, append([]byte{byte(id)}, tail...), n)
				if err != nil && !errors.Is(err, ErrCorrupt) {
					t.Fatalf("id %#02x: %v", id, err)
				}
				if err == nil && !known[byte(id)] {
					t.Fatalf("id %#02x of floats is accepted", id)
				}
			}
		}
	}
	for id := range 256 {
		_, err := DecodeTimestamps(nil, []byte{byte(id), 0, 2, 0, 0, 0, 0}, 3)
		_, err2 := DecodeTimestamps(nil, []byte{byte(id), 0, 0}, 3)
		order, coder := Order(id&intOrder), Coder(id&intCoder>>coderShift)
		ok := (coder == CoderConst || coder == CoderPack) && id&intExtra == 0
		if !ok && (err == nil || err2 == nil) {
			t.Fatalf("id %#02x of integers (%s %s) is accepted", id, order, coder)
		}
	}
}

func TestHintsKeepTheChoiceUntilItNoLongerFits(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	codec := func(vs []float64, hint FloatHint) (string, FloatHint, int) {
		t.Helper()
		b, next := AppendFloats(nil, vs, Fast, hint)
		info, err := ColumnInfo(KindFloats, b, len(vs))
		if err != nil {
			t.Fatal(err)
		}
		return info.Transform.String(), next, len(b)
	}
	integers := func(n int) []float64 { return fill(n, func(int) float64 { return float64(r.IntN(1000)) }) }
	decimals := func(n int) []float64 { return fill(n, func(int) float64 { return float64(r.IntN(1000)) / 100 }) }
	noise := func(n int) []float64 { return fill(n, func(int) float64 { return r.Float64() }) }

	tr, hint, _ := codec(decimals(100), 0)
	if tr != "DEC" || hint.isZero() {
		t.Fatalf("%s, hint %#x", tr, hint)
	}
	if tr, next, _ := codec(decimals(100), hint); tr != "DEC" || next != hint {
		t.Errorf("the next column: %s, hint %#x, was %#x", tr, next, hint)
	}
	if tr, next, _ := codec(slices.Repeat([]float64{3}, 50), hint); tr != "CONST" || next != hint {
		t.Errorf("a constant column: %s and loses the hint: %#x, was %#x", tr, next, hint)
	}
	if _, next, _ := codec(integers(5), hint); next != hint {
		t.Errorf("a short column changes the hint: %#x, was %#x", next, hint)
	}
	if tr, _, _ := codec(noise(100), hint); tr != "BITS" {
		t.Errorf("noise after decimals: %s", tr)
	}
	_, hint, _ = codec(noise(100), 0)
	if tr, _, _ := codec(integers(100), hint); tr != "INT" {
		t.Errorf("integers after noise: %s", tr)
	}
	_, hint, small := codec(fill(100, func(i int) float64 { return float64(i % 3) }), 0)
	if _, next, size := codec(integers(100), hint); size < 2*small || next == hint {
		t.Errorf("a gauge that grows keeps a hint that no longer holds")
	}
}

// A hint costs little: the bytes are within an eighth of a search's.
func TestHintsCostFewBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, p := range floatPatterns {
		hint := FloatHint(0)
		hinted, searched := 0, 0
		for range 50 {
			vs := p.make(r, 60)
			var b []byte
			b, hint = AppendFloats(nil, vs, Fast, hint)
			hinted += len(b)
			b, _ = AppendFloats(nil, vs, Fast, 0)
			searched += len(b)
		}
		if hinted > searched+searched/8 {
			t.Errorf("%s: %d bytes with hints, %d without", p.name, hinted, searched)
		}
	}
}

// A writer may pass the hint of another series: the bytes stay near a search's.
func TestForeignHintsCostFewBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, n := range []int{60, 1500} {
		for _, from := range floatPatterns {
			_, hint := AppendFloats(nil, from.make(r, n), Fast, 0)
			for _, p := range floatPatterns {
				hinted, searched := 0, 0
				for range 5 {
					vs := p.make(r, n)
					b, _ := AppendFloats(nil, vs, Fast, hint)
					hinted += len(b)
					b, _ = AppendFloats(nil, vs, Fast, 0)
					searched += len(b)
				}
				limit := searched + searched/2 + 60
				if n >= pruneFrom {
					limit = searched + searched/100 + 20
				}
				if hinted > limit {
					t.Errorf("n %d, %s after %s: %d bytes, %d without the hint", n, p.name, from.name, hinted, searched)
				}
			}
		}
	}
}
