package encoding

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"tsdb/internal/model"
)

// All benchmarks count samples as bytes: the MB/s column reads as millions of
// samples per second.

func BenchmarkFloatsEncode(b *testing.B) {
	benchmarkTiers(b, func(b *testing.B, vs []float64, tier Tier) {
		dst, hint := AppendFloats(nil, vs, tier, 0)
		for b.Loop() {
			dst, hint = AppendFloats(dst[:0], vs, tier, hint)
		}
	})
}

// Without a hint, as for a new series.
func BenchmarkFloatsSearch(b *testing.B) {
	benchmarkFloats(b, func(b *testing.B, vs []float64) {
		dst, _ := AppendFloats(nil, vs, Fast, 0)
		for b.Loop() {
			dst, _ = AppendFloats(dst[:0], vs, Fast, 0)
		}
	})
}

func BenchmarkFloatsDecode(b *testing.B) {
	benchmarkTiers(b, func(b *testing.B, vs []float64, tier Tier) {
		src, _ := AppendFloats(nil, vs, tier, 0)
		dst := make([]float64, 0, len(vs))
		for b.Loop() {
			dst, _ = DecodeFloats(dst[:0], src, len(vs))
		}
		b.ReportMetric(float64(len(src))/float64(len(vs)), "B/sample")
	})
}

func benchmarkTiers(b *testing.B, run func(b *testing.B, vs []float64, tier Tier)) {
	for _, tier := range []Tier{Fast, Full} {
		b.Run("tier="+tier.String(), func(b *testing.B) {
			benchmarkFloats(b, func(b *testing.B, vs []float64) { run(b, vs, tier) })
		})
	}
}

func benchmarkFloats(b *testing.B, run func(b *testing.B, vs []float64)) {
	for _, p := range floatPatterns {
		for _, n := range []int{40, 1024, 4096} {
			b.Run(fmt.Sprintf("pattern=%s/samples=%d", p.name, n), func(b *testing.B) {
				vs := p.make(rand.New(rand.NewPCG(1, 2)), n)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				run(b, vs)
			})
		}
	}
}

// The reference: Prometheus' XOR chunks of 120 samples, read with its iterator.
// They also hold times; BenchmarkFloatsDecode reads values only.
func BenchmarkChunkencDecode(b *testing.B) {
	benchmarkFloats(b, func(b *testing.B, vs []float64) {
		ts := scrapeTimes(rand.New(rand.NewPCG(3, 4)), len(vs))
		var chunks []*chunkenc.XORChunk
		size := 0
		for at := 0; at < len(vs); at += 120 {
			c := chunkenc.NewXORChunk()
			a, err := c.Appender()
			if err != nil {
				b.Fatal(err)
			}
			for i := at; i < min(at+120, len(vs)); i++ {
				a.Append(0, ts[i], vs[i])
			}
			chunks = append(chunks, c)
			size += len(c.Bytes())
		}
		out := make([]float64, 0, len(vs))
		var it chunkenc.Iterator
		for b.Loop() {
			out = out[:0]
			for _, c := range chunks {
				it = c.Iterator(it)
				for it.Next() == chunkenc.ValFloat {
					_, v := it.At()
					out = append(out, v)
				}
			}
		}
		b.ReportMetric(float64(size)/float64(len(vs)), "B/sample")
	})
}

func BenchmarkTimestampsEncode(b *testing.B) {
	benchmarkTimes(b, func(b *testing.B, ts []int64, tier Tier) {
		dst := AppendTimestamps(nil, ts, tier)
		for b.Loop() {
			dst = AppendTimestamps(dst[:0], ts, tier)
		}
	})
}

func BenchmarkTimestampsDecode(b *testing.B) {
	benchmarkTimes(b, func(b *testing.B, ts []int64, tier Tier) {
		src := AppendTimestamps(nil, ts, tier)
		dst := make([]int64, 0, len(ts))
		for b.Loop() {
			dst, _ = DecodeTimestamps(dst[:0], src, len(ts))
		}
		b.ReportMetric(float64(len(src))/float64(len(ts)), "B/sample")
	})
}

func benchmarkTimes(b *testing.B, run func(b *testing.B, ts []int64, tier Tier)) {
	for _, tier := range []Tier{Fast, Full} {
		for _, p := range timePatterns {
			for _, n := range []int{40, 4096} {
				b.Run(fmt.Sprintf("tier=%s/pattern=%s/samples=%d", tier, p.name, n), func(b *testing.B) {
					ts := p.make(rand.New(rand.NewPCG(1, 2)), n)
					b.SetBytes(int64(n))
					b.ReportAllocs()
					run(b, ts, tier)
				})
			}
		}
	}
}

func BenchmarkHistogramsEncode(b *testing.B) {
	benchmarkHistograms(b, func(b *testing.B, hs []model.Histogram) {
		dst := AppendHistograms(nil, hs, Full)
		for b.Loop() {
			dst = AppendHistograms(dst[:0], hs, Full)
		}
		b.ReportMetric(float64(len(dst))/float64(len(hs)), "B/sample")
	})
}

func BenchmarkHistogramsDecode(b *testing.B) {
	benchmarkHistograms(b, func(b *testing.B, hs []model.Histogram) {
		src := AppendHistograms(nil, hs, Full)
		dst := make([]model.Histogram, 0, len(hs))
		for b.Loop() {
			dst, _ = DecodeHistograms(dst[:0], src, len(hs))
		}
	})
}

// One by one, as in the WAL.
func BenchmarkHistogramEncode(b *testing.B) {
	benchmarkHistograms(b, func(b *testing.B, hs []model.Histogram) {
		var dst []byte
		for b.Loop() {
			dst = dst[:0]
			for _, h := range hs {
				dst = AppendHistogram(dst, h)
			}
		}
		b.ReportMetric(float64(len(dst))/float64(len(hs)), "B/sample")
	})
}

func benchmarkHistograms(b *testing.B, run func(b *testing.B, hs []model.Histogram)) {
	for _, p := range histogramPatterns {
		for _, n := range []int{10, 40, 1000} {
			b.Run(fmt.Sprintf("pattern=%s/samples=%d", p.name, n), func(b *testing.B) {
				hs := p.make(rand.New(rand.NewPCG(1, 2)), n)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				run(b, hs)
			})
		}
	}
}
