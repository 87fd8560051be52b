package encoding

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// patterns are the columns of floats that every test and benchmark uses.
var patterns = []struct {
	name string
	make func(r *rand.Rand, n int) []float64
}{
	{"constant", func(r *rand.Rand, n int) []float64 { return fill(n, func(int) float64 { return 42 }) }},
	{"zero", func(r *rand.Rand, n int) []float64 { return make([]float64, n) }},
	{"counter", func(r *rand.Rand, n int) []float64 {
		v := float64(r.IntN(1 << 30))
		return fill(n, func(int) float64 { v += float64(r.IntN(200)); return v })
	}},
	{"counter-reset", func(r *rand.Rand, n int) []float64 {
		v := float64(r.IntN(1 << 30))
		return fill(n, func(i int) float64 {
			if v += float64(r.IntN(50)); i == n/2 {
				v = 3
			}
			return v
		})
	}},
	{"gauge", func(r *rand.Rand, n int) []float64 {
		v := 50.0
		return fill(n, func(int) float64 { v = max(0, min(100, v+math.Round(r.NormFloat64()))); return v })
	}},
	{"decimal", func(r *rand.Rand, n int) []float64 {
		v := 2150.0
		return fill(n, func(int) float64 { v += math.Round(10 * r.NormFloat64()); return v / 100 })
	}},
	{"pages", func(r *rand.Rand, n int) []float64 {
		return fill(n, func(int) float64 { return float64(4096 * (1<<20 + r.IntN(5000))) })
	}},
	{"sparse", func(r *rand.Rand, n int) []float64 {
		v := 17.0
		return fill(n, func(int) float64 {
			if r.IntN(50) == 0 {
				v += float64(r.IntN(1000))
			}
			return v
		})
	}},
	{"float32", func(r *rand.Rand, n int) []float64 {
		return fill(n, func(int) float64 { return float64(float32(r.NormFloat64())) })
	}},
	{"walk", func(r *rand.Rand, n int) []float64 {
		v := 100.0
		return fill(n, func(int) float64 { v += r.NormFloat64(); return v })
	}},
	{"uniform", func(r *rand.Rand, n int) []float64 { return fill(n, func(int) float64 { return r.Float64() }) }},
	{"repeats", func(r *rand.Rand, n int) []float64 {
		v := r.Float64()
		return fill(n, func(int) float64 {
			if r.IntN(6) == 0 {
				v = r.Float64()
			}
			return v
		})
	}},
	{"stale", func(r *rand.Rand, n int) []float64 {
		return fill(n, func(i int) float64 {
			if i%97 == 13 {
				return math.Float64frombits(0x7ff0000000000002)
			}
			return float64(i)
		})
	}},
	{"special", func(r *rand.Rand, n int) []float64 {
		return fill(n, func(int) float64 { return specials[r.IntN(len(specials))] })
	}},
	{"mixed", func(r *rand.Rand, n int) []float64 {
		return fill(n, func(i int) float64 {
			if r.IntN(40) == 0 {
				return specials[r.IntN(len(specials))]
			}
			return float64(i * 3)
		})
	}},
	{"bits", func(r *rand.Rand, n int) []float64 {
		return fill(n, func(int) float64 { return math.Float64frombits(r.Uint64()) })
	}},
}

// specials are the floats that arithmetic does not keep.
var specials = []float64{
	0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.NaN(),
	math.Float64frombits(0x7ff0000000000002), math.Float64frombits(0xfff8000000000123),
	math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, math.MaxFloat64, -math.MaxFloat64,
	1<<53 - 1, 1 << 53, 1<<53 + 2, -(1<<53 - 1), -(1 << 53), 1 << 62, 1 << 63, -(1 << 63), 1 << 64,
	0.1, 0.3, 1e22, 1e23, 123.456, 5e-324 * 3, 2.2250738585072014e-308,
}

func fill(n int, f func(i int) float64) []float64 {
	vs := make([]float64, n)
	for i := range vs {
		vs[i] = f(i)
	}
	return vs
}

func floatBytes(vs []float64) []byte { return appendRaw(nil, vs) }

func TestFloatsRoundTrip(t *testing.T) {
	for _, p := range patterns {
		t.Run(p.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			hint := FloatHint(0)
			for _, n := range []int{0, 1, 2, 3, 4, 7, 8, 9, 40, 63, 64, 65, 120, 500, 4096, 6144} {
				for range 4 {
					vs := p.make(r, n)
					prefix := []byte("prefix")
					for _, h := range []FloatHint{0, hint, FloatHint(r.Uint32())} {
						var b []byte
						b, hint = AppendFloats(bytes.Clone(prefix), vs, h)
						if !bytes.HasPrefix(b, prefix) {
							t.Fatal("prefix changed")
						}
						got, err := DecodeFloats([]float64{7}, b[len(prefix):], n)
						if err != nil {
							t.Fatalf("n %d hint %#x: %v", n, h, err)
						}
						if !bytes.Equal(floatBytes(got[1:]), floatBytes(vs)) || got[0] != 7 {
							t.Fatalf("n %d hint %#x: values differ", n, h)
						}
					}
				}
			}
		})
	}
}

func BenchmarkFloatsEncode(b *testing.B) {
	benchmarkFloats(b, func(b *testing.B, vs []float64) {
		dst, hint := AppendFloats(nil, vs, 0)
		for b.Loop() {
			dst, hint = AppendFloats(dst[:0], vs, hint)
		}
	})
}

func BenchmarkFloatsSearch(b *testing.B) {
	benchmarkFloats(b, func(b *testing.B, vs []float64) {
		dst, _ := AppendFloats(nil, vs, 0)
		for b.Loop() {
			dst, _ = AppendFloats(dst[:0], vs, 0)
		}
	})
}

func BenchmarkFloatsDecode(b *testing.B) {
	benchmarkFloats(b, func(b *testing.B, vs []float64) {
		src, _ := AppendFloats(nil, vs, 0)
		dst := make([]float64, 0, len(vs))
		for b.Loop() {
			dst, _ = DecodeFloats(dst[:0], src, len(vs))
		}
		b.ReportMetric(float64(len(src))/float64(len(vs)), "B/sample")
	})
}

func benchmarkFloats(b *testing.B, run func(b *testing.B, vs []float64)) {
	for _, p := range patterns {
		for _, n := range []int{40, 4096} {
			b.Run("pattern="+p.name+"/samples="+itoa(n), func(b *testing.B) {
				vs := p.make(rand.New(rand.NewPCG(1, 2)), n)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				run(b, vs)
			})
		}
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
