package head

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"tsdb/internal/model"
)

// patterns are typical series: each function returns the value after last.
var patterns = map[string]func(r *rand.Rand, last float64) float64{
	"constant":      func(_ *rand.Rand, last float64) float64 { return last },
	"counter":       func(r *rand.Rand, last float64) float64 { return math.Trunc(last) + float64(r.IntN(3000)) },
	"slow-counter":  func(r *rand.Rand, last float64) float64 { return math.Trunc(last) + float64(r.IntN(10)/9) },
	"byte-counter":  func(r *rand.Rand, last float64) float64 { return math.Trunc(last) + float64(r.IntN(50_000_000)) },
	"cpu-seconds":   func(r *rand.Rand, last float64) float64 { return (math.Trunc(last*100) + float64(r.IntN(1500))) / 100 },
	"gauge-integer": func(r *rand.Rand, _ float64) float64 { return float64(r.IntN(100)) },
	"gauge-bytes":   func(r *rand.Rand, _ float64) float64 { return float64(4096 * r.IntN(1<<22)) },
	"load":          func(r *rand.Rand, _ float64) float64 { return float64(r.IntN(800)) / 100 },
	"ratio":         func(r *rand.Rand, _ float64) float64 { return r.Float64() },
}

var odd = []float64{0, math.Copysign(0, -1), math.NaN(), math.Float64frombits(value.StaleNaN), math.Inf(1), math.Inf(-1),
	math.MaxFloat64, math.SmallestNonzeroFloat64, -1 << 63, 1 << 63, 1 << 62, -1 << 62, 1<<53 + 2, -(1<<53 + 2), 0.001, -0.001, 0.1 + 0.2,
	9007199254740.993, -9007199254740.991, 1e300, math.Float64frombits(1), math.Float64frombits(0x7ff0000000000001), 1.5, 2, 3}

func streamOf(ts []int64, vs []float64) []byte {
	var s stream
	var out []byte
	for i := range ts {
		out = s.appendTo(out, ts[i], vs[i])
	}
	return out
}

// chunkOf returns the samples as an XOR chunk of Prometheus.
func chunkOf(b *testing.B, ts []int64, vs []float64) *chunkenc.XORChunk {
	chunk := chunkenc.NewXORChunk()
	a, err := chunk.Appender()
	if err != nil {
		b.Fatal(err)
	}
	for i := range ts {
		a.Append(0, ts[i], vs[i])
	}
	return chunk
}

func TestStreamReturnsTheSameBits(t *testing.T) {
	seed := uint64(seedOf(t))
	for round := range 300 {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		var ts []int64
		var vs []float64
		at, v := r.Int64()-r.Int64(), float64(r.IntN(1000))
		at /= 2
		names := make([]string, 0, len(patterns))
		for name := range patterns {
			names = append(names, name)
		}
		pattern := patterns[names[r.IntN(len(names))]]
		for range 1 + r.IntN(300) {
			at += []int64{15_000, 15_000, 15_001 + r.Int64N(9), 15_000, 15_000, 1 + r.Int64N(60_000), 1 + r.Int64N(maxStep), 1, maxStep}[r.IntN(9)]
			if v = pattern(r, v); r.IntN(10) == 0 {
				v = odd[r.IntN(len(odd))]
			}
			ts, vs = append(ts, at), append(vs, v)
		}
		out := append(streamOf(ts, vs), make([]byte, readSlack)...)
		for i := range readSlack {
			out[len(out)-1-i] = byte(r.Uint32())
		}
		var got model.Samples
		decodeStream(&got, out, len(ts))
		for i := range ts {
			if got.T[i] != ts[i] || math.Float64bits(got.V[i]) != math.Float64bits(vs[i]) {
				t.Fatalf("seed %d, round %d: sample %d is %d %x, want %d %x", seed, round, i, got.T[i], math.Float64bits(got.V[i]), ts[i], math.Float64bits(vs[i]))
			}
		}
	}
}

// Compares the stream of the head with Prometheus' XOR chunk: bytes and time per
// sample, over an hour of scrapes with jitter.
func BenchmarkStream(b *testing.B) {
	const n = 240
	for name, next := range patterns {
		for _, jitter := range []int64{1, 6} {
			r := rand.New(rand.NewPCG(1, 2))
			ts, vs := make([]int64, n), make([]float64, n)
			v := 12345.67
			for i := range ts {
				ts[i] = 1_700_000_000_000 + int64(i)*15_000 + r.Int64N(jitter)
				v = next(r, v)
				vs[i] = v
			}
			suffix := fmt.Sprintf("/pattern=%s/jitter=%d", name, jitter-1)
			b.Run("encode/codec=bytes"+suffix, func(b *testing.B) {
				b.SetBytes(n)
				dst := make([]byte, 0, n*20)
				for b.Loop() {
					var s stream
					dst = dst[:0]
					for i := range ts {
						dst = s.appendTo(dst, ts[i], vs[i])
					}
				}
				b.ReportMetric(float64(len(dst))/n, "B/sample")
			})
			chunk := chunkOf(b, ts, vs)
			b.Run("encode/codec=chunkenc"+suffix, func(b *testing.B) {
				b.SetBytes(n)
				for b.Loop() {
					chunkOf(b, ts, vs)
				}
				b.ReportMetric(float64(len(chunk.Bytes()))/n, "B/sample")
			})
			var s model.Samples
			src := append(streamOf(ts, vs), make([]byte, readSlack)...)
			b.Run("decode/codec=bytes"+suffix, func(b *testing.B) {
				b.SetBytes(n)
				for b.Loop() {
					s.Reset()
					decodeStream(&s, src, n)
				}
			})
			b.Run("decode/codec=chunkenc"+suffix, func(b *testing.B) {
				b.SetBytes(n)
				var it chunkenc.Iterator
				for b.Loop() {
					s.Reset()
					it = chunk.Iterator(it)
					for it.Next() == chunkenc.ValFloat {
						t, v := it.At()
						s.T, s.V = append(s.T, t), append(s.V, v)
					}
				}
			})
		}
	}
}
