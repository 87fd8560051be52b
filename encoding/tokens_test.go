package encoding

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// Every residual has one token, and the base and extra bits of the token reproduce
// it.
func TestTokensStandForRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, shape := range map[string]*tokenShape{"TOK-A": shapeA, "TOK-B": shapeB} {
		for range 20000 {
			x := uint64(int64(r.Uint64()) >> (6 + r.IntN(58)))
			var token [1]byte
			bits := shape.tokenize(token[:], []uint64{x})
			base, extra := shape.base(uint(token[0]))
			if uint(token[0]) >= shape.tokens || int(extra) != bits || base+x&(1<<extra-1) != x {
				t.Fatalf("%s: residual %d: token %d with %d extra bits, base %d with %d", name, int64(x), token[0], bits, int64(base), extra)
			}
		}
		// Ranges do not overlap: each sign's follow one another.
		for sign := range uint(2) {
			next := uint64(0)
			for token := sign; token < shape.tokens; token += 2 {
				base, extra := shape.base(token)
				low := base
				if sign == 1 {
					low = ^(base + 1<<extra - 1)
				}
				if low != next || extra > tokenMaxExtra {
					t.Fatalf("%s: token %d begins at %d with %d extra bits, want %d", name, token, low, extra, next)
				}
				next = low + 1<<extra
			}
			if bits.Len64(next) < 59 {
				t.Fatalf("%s: tokens end at %#x", name, next)
			}
		}
	}
}

// The full tier uses the coders that suit the residuals, and its columns exceed those
// of the fast tier by at most a header and restart points.
func TestFullTierIsShorter(t *testing.T) {
	for _, c := range []struct {
		pattern string
		codec   string // of 4,096 values
		part    int    // per cent of the fast tier's bytes at most
	}{
		{"tsbs-cpu", "INT delta TOK-A points", 80},
		{"decimal", "DEC delta TOK-B points", 92},
		{"events", "INT delta2 TOK-B points", 90},
		{"memory", "INT delta TOK-B gcd extra bits points", 76},
		{"sparse", "INT delta SPARSE", 80},
		{"counter", "INT delta PACK points", 100},
		{"walk", "BITS delta PACK patches points", 100},
		{"uniform", "BITS raw PACK patches", 100},
		{"constant", "CONST", 100},
	} {
		for _, p := range floatPatterns {
			if p.name != c.pattern {
				continue
			}
			vs := p.make(rand.New(rand.NewPCG(1, 2)), 4096)
			short, _ := AppendFloats(nil, vs, Full, 0)
			long, _ := AppendFloats(nil, vs, Fast, 0)
			info, err := ColumnInfo(KindFloats, short, len(vs))
			if err != nil || info.Codec() != c.codec || 100*(len(short)-9*info.Points) > c.part*len(long) {
				t.Errorf("%s: %s in %d bytes, fast %d: %v", p.name, info, len(short), len(long), err)
			}
		}
	}
	for _, p := range floatPatterns {
		for _, n := range []int{255, 256, 300, 1024, 4096} {
			vs := p.make(rand.New(rand.NewPCG(3, 4)), n)
			short, _ := AppendFloats(nil, vs, Full, 0)
			long, _ := AppendFloats(nil, vs, Fast, 0)
			if len(short) > len(long)+len(long)/100+8 {
				t.Errorf("%d of %s: %d bytes, fast %d", n, p.name, len(short), len(long))
			}
		}
	}
}

// Invalid columns of the coders of the full tier are errors.
func TestTokensAndSparseColumnsAreChecked(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	column := func(step func() int64) ([]byte, int) {
		v := int64(0)
		ts := fill(700, func(int) int64 { v += step(); return v })
		return AppendTimestamps(nil, ts, Full), len(ts)
	}
	change := func(what string, b []byte, n int, change func(b []byte) []byte) {
		t.Helper()
		if _, err := DecodeTimestamps(nil, b, n); err != nil {
			t.Fatalf("%s: before the change: %v", what, err)
		}
		if _, err := DecodeTimestamps(nil, change(slices.Clone(b)), n); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
	narrow, n := column(func() int64 { return int64(2 * r.NormFloat64()) })
	if narrow[0] != byte(OrderDelta)|byte(CoderTokA)<<coderShift {
		t.Fatalf("id %#02x", narrow[0])
	}
	const mode = 3 // after id, base and low of one byte each
	for _, m := range []byte{0, 1, tokenModeFour, 4, 255} {
		change("another mode", narrow, n, func(b []byte) []byte { b[mode] = m; return b })
	}
	change("no tokens", narrow, n, func(b []byte) []byte { return b[:mode+1] })
	for _, m := range []int{n - 1, n + 1, 1, MaxValues} {
		if _, err := DecodeTimestamps(nil, narrow, m); !errors.Is(err, ErrCorrupt) {
			t.Errorf("tokens of %d as %d: %v", n, m, err)
		}
	}
	change("extra bits out of nothing", narrow, n, func(b []byte) []byte { b[0] |= intExtra; return b })

	wide, n := column(func() int64 { return int64(30 * r.ExpFloat64() * r.ExpFloat64()) })
	if wide[0] != byte(OrderDelta)|byte(CoderTokB)<<coderShift|intExtra {
		t.Fatalf("id %#02x", wide[0])
	}
	change("no extra bits", wide, n, func(b []byte) []byte { b[0] &^= intExtra; return b })
	change("a byte of extra bits less", wide, n, func(b []byte) []byte { return b[:len(b)-1] })
	change("a byte of extra bits more", wide, n, func(b []byte) []byte { return append(b, 0) })

	sparse, n := column(func() int64 { return int64(r.IntN(9) / 8 * r.IntN(100)) })
	if sparse[0] != byte(OrderDelta)|byte(CoderSparse)<<coderShift {
		t.Fatalf("id %#02x", sparse[0])
	}
	change("sparse extra bits", sparse, n, func(b []byte) []byte { b[0] |= intExtra; return b })
	change("sparse values", sparse, n, func(b []byte) []byte { return b[:len(b)-1] })

	gaps := intHead{coder: CoderSparse, gcd: 1}.append(nil)
	gaps = append(gaps, 1, 2) // one change, gaps of two bytes
	gaps = append(gaps, intHead{gcd: 1, base: 3}.append(nil)...)
	inner := intHead{gcd: 1, base: 7}.append(nil)
	if got, err := DecodeTimestamps(nil, append(slices.Clone(gaps), inner...), 5); err != nil || !slices.Equal(got, []int64{0, 0, 0, 7, 0}) {
		t.Fatalf("a sparse column by hand: %v: %v", got, err)
	}
	if _, err := DecodeTimestamps(nil, append(slices.Clone(gaps), inner...), 3); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a change behind the end: %v", err)
	}
	nested := append(slices.Clone(gaps), intHead{coder: CoderSparse, gcd: 1}.append(nil)...)
	if _, err := DecodeTimestamps(nil, append(nested, 1, 2, 0, 0, 0, 0), 5); !errors.Is(err, ErrCorrupt) {
		t.Errorf("sparse inside sparse: %v", err)
	}
}

// The residuals of tokens have the same sums in integers and in floats, however
// large they are.
func TestSumsOfTokens(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{300, 1200} {
		for _, m := range []int{16, 30} { // below 16 without extra bits
			tokens := append([]byte{15, 14}, skewed(r, n-2, m, 2)...)
			tokens[n/2], tokens[n/2+1] = 14, 15
			residuals := fill(n, func(i int) uint64 {
				base, extra := shapeA.base(uint(tokens[i]))
				return base + r.Uint64()&(1<<extra-1)
			})
			for _, order := range []Order{OrderRaw, OrderDelta} {
				for _, base := range []int64{0, 5, -7, 1<<52 - 9, 1 << 52, -1<<52 - 1, maxExact - 3, -maxExact, 1 << 62, math.MaxInt64, math.MinInt64} {
					for _, gcd := range []uint64{1, 1000, 1 << 40, 1<<40 + 1, 1 << 41, 1 << 51, 1 << 60, 1<<63 + 5} {
						checkSums(t, order, base, gcd, -3, tokens, residuals)
						checkSums(t, order, base, gcd, 1<<44, tokens, residuals)
					}
				}
			}
		}
	}
}

// checkSums decodes a column of the residuals and checks its values.
func checkSums(t *testing.T, order Order, base int64, gcd uint64, low int64, tokens []byte, residuals []uint64) {
	t.Helper()
	h := intHead{order: order, coder: CoderTokA, base: base, gcd: gcd, low: low}
	want := []int64{base}
	if order == OrderRaw {
		h.low, want = 0, nil
	}
	for _, u := range residuals {
		v := uint64(base) + gcd*u
		if order == OrderDelta {
			v = uint64(want[len(want)-1]) + gcd*(uint64(low)+u)
		}
		want = append(want, int64(v))
	}
	src := h.append(nil)
	bits := shapeA.tokenize(make([]byte, len(tokens)), residuals)
	payload := append([]byte{tokenModeOne}, packTokens(tokens, false)...)
	if bits > 0 {
		src[0] |= intExtra
		payload = shapeA.appendExtra(AppendBytes(payload[:1], payload[1:]), residuals, tokens, bits)
	}
	src = append(src, payload...)
	if got, err := DecodeTimestamps(nil, src, len(want)); err != nil || !slices.Equal(got, want) {
		t.Fatalf("%d residuals of %s from %d, gcd %d, low %d: %v", len(residuals), order, base, gcd, low, err)
	}
	what := fmt.Sprintf("%d residuals of %s from %d, gcd %d, low %d", len(residuals), order, base, gcd, low)
	checkFormulas(t, src, want, what, formulaInt, formula{TransformDec, 2}, formula{TransformDecM, 5}, formula{TransformDecDD, 6})
}

// checkFormulas decodes a column of integers to floats with each of the formulas.
func checkFormulas(t *testing.T, src []byte, want []int64, what string, formulas ...formula) {
	t.Helper()
	for _, f := range formulas {
		head := []byte{byte(f.transform)}
		if f.isDecimal() {
			head = append(head, f.e)
		}
		got, err := DecodeFloats(nil, append(head, src...), len(want))
		if err != nil {
			t.Fatal(err)
		}
		for i, k := range want {
			v := float64(k)
			if f.isDecimal() {
				v = f.float(k)
			}
			if !sameBits(got[i], v) {
				t.Fatalf("%v of %s: value %d is %v, want %v", f, what, i, got[i], v)
			}
		}
	}
}

// Sparse columns are read by lines or by residuals, as dense as they are.
func TestSparseColumnsOfEachDensity(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, n := range []int{300, 1800} {
		for _, every := range []int{2, 4, 7, 9, 23, 25, 100, n} {
			for _, order := range []Order{OrderRaw, OrderDelta, OrderDelta2} {
				h := intHead{order: order, coder: CoderSparse, base: 1000, gcd: 3, first: 7}
				if order != OrderRaw {
					h.low = int64(r.IntN(2))
				}
				residuals := make([]uint64, n)
				for i := range residuals {
					if r.IntN(every) == 0 {
						residuals[i] = uint64(r.Int64N(2001) - 1000)
					}
				}
				residuals[r.IntN(n)] = 5
				want := []int64{1000, 1000 + 3*7}[:order.heads()]
				step := int64(7)
				for _, u := range residuals {
					switch order {
					case OrderRaw:
						want = append(want, 1000+3*int64(u))
						continue
					case OrderDelta:
						step = 0
					}
					step += h.low + int64(u)
					want = append(want, want[len(want)-1]+3*step)
				}
				var s scratch
				s.tier = Full
				src := s.appendSparse(h.append(nil), residuals)
				what := fmt.Sprintf("%s, %d residuals, one of %d not 0", order, n, every)
				checkFormulas(t, src, want, what, formulaInt, formula{TransformDec, 2}, formula{TransformDecM, 3})
			}
		}
	}
}
