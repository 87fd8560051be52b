package encoding

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// All benchmarks count samples as bytes: the MB/s column reads as millions of
// samples a second.

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
	for _, p := range floatPatterns {
		for _, n := range []int{40, 4096} {
			b.Run(fmt.Sprintf("pattern=%s/samples=%d", p.name, n), func(b *testing.B) {
				vs := p.make(rand.New(rand.NewPCG(1, 2)), n)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				run(b, vs)
			})
		}
	}
}

func BenchmarkGorillaAppend(b *testing.B) {
	benchmarkFloats(b, func(b *testing.B, vs []float64) {
		ts := scrapeTimes(rand.New(rand.NewPCG(3, 4)), len(vs))
		var dst []byte
		for b.Loop() {
			var g Gorilla
			dst = dst[:0]
			for i, t := range ts {
				dst = g.Append(dst, t, vs[i])
			}
		}
		b.ReportMetric(float64(len(dst))/float64(len(vs)), "B/sample")
	})
}

func BenchmarkGorillaAppendAll(b *testing.B) {
	benchmarkFloats(b, func(b *testing.B, vs []float64) {
		ts := scrapeTimes(rand.New(rand.NewPCG(3, 4)), len(vs))
		var dst []byte
		for b.Loop() {
			var g Gorilla
			dst = g.AppendAll(dst[:0], ts, vs)
		}
		b.ReportMetric(float64(len(dst))/float64(len(vs)), "B/sample")
	})
}

func BenchmarkGorillaDecode(b *testing.B) {
	benchmarkFloats(b, func(b *testing.B, vs []float64) {
		ts := scrapeTimes(rand.New(rand.NewPCG(3, 4)), len(vs))
		var g Gorilla
		src := g.AppendAll(nil, ts, vs)
		outT, outV := make([]int64, 0, len(ts)), make([]float64, 0, len(ts))
		for b.Loop() {
			outT, outV, _ = DecodeGorilla(outT[:0], outV[:0], src, len(ts))
		}
	})
}
