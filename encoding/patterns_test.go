package encoding

import (
	"math"
	"math/rand/v2"

	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/internal/model"
)

type floatPattern struct {
	name string
	make func(r *rand.Rand, n int) []float64
}

// floatPatterns are the columns of floats that every test and benchmark uses.
var floatPatterns = append(plainPatterns, programPatterns...)

var plainPatterns = []floatPattern{
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
				return math.Float64frombits(staleNaN)
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

// programPatterns are columns as programs export them.
var programPatterns = []floatPattern{
	// Like the fields of the cpu set of TSBS.
	{"tsbs-cpu", func(r *rand.Rand, n int) []float64 {
		v := 100 * r.Float64()
		return fill(n, func(int) float64 { v = max(0, min(100, v+r.NormFloat64())); return math.Trunc(v) })
	}},
	// Counters of events and of bytes, with drifting, noisy rates.
	{"events", func(r *rand.Rand, n int) []float64 { return rates(r, n, 30, 1) }},
	{"traffic", func(r *rand.Rand, n int) []float64 { return rates(r, n, 200, 1400) }},
	// Seconds as programs export them: from nanoseconds by a product, from
	// milliseconds by two divisions, from ticks.
	{"nanoseconds", func(r *rand.Rand, n int) []float64 {
		return fill(n, func(int) float64 { return math.Round(2e5*math.Exp(0.3*r.NormFloat64())) * 1e-9 })
	}},
	{"milliseconds", func(r *rand.Rand, n int) []float64 {
		at := float64(r.IntN(1 << 30))
		return fill(n, func(int) float64 { at += float64(r.IntN(20000)); return at / 1000 / 1e3 })
	}},
	{"ticks", func(r *rand.Rand, n int) []float64 {
		return each(rates(r, n, 12, 1), func(_ int, v float64) float64 { return v / 100 })
	}},
	{"memory", func(r *rand.Rand, n int) []float64 {
		v := 1 << 20
		return fill(n, func(int) float64 {
			if r.IntN(3) > 0 {
				v += int(40 * r.NormFloat64())
			}
			return float64(4096 * v)
		})
	}},
}

// rates returns a counter that grows by about mean events of the given size between
// two values, with a varying rate.
func rates(r *rand.Rand, n int, mean, size float64) []float64 {
	v, level := math.Round(1e9*r.Float64()), 0.0
	return fill(n, func(int) float64 {
		level = 0.95*level + 0.1*r.NormFloat64()
		rate := mean * math.Exp(level)
		v += size * math.Round(max(0, rate+math.Sqrt(rate)*r.NormFloat64()))
		return v
	})
}

// specials are the floats that arithmetic does not preserve.
var specials = []float64{
	0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.NaN(),
	math.Float64frombits(staleNaN), math.Float64frombits(0xfff8000000000123),
	math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, math.MaxFloat64, -math.MaxFloat64,
	1<<53 - 1, 1 << 53, 1<<53 + 2, -(1<<53 - 1), -(1 << 53), 1 << 62, 1 << 63, -(1 << 63), 1 << 64,
	0.1, 0.3, 1e22, 1e23, 123.456, 5e-324 * 3, 2.2250738585072014e-308,
}

const staleNaN = 0x7ff0000000000002

// timePatterns are the columns of times that every test and benchmark uses.
var timePatterns = []struct {
	name string
	make func(r *rand.Rand, n int) []int64
}{
	{"step", func(r *rand.Rand, n int) []int64 {
		return fill(n, func(i int) int64 { return 1700000000123 + 15000*int64(i) })
	}},
	{"aligned", scrapeTimes},
	{"jitter", func(r *rand.Rand, n int) []int64 {
		return fill(n, func(i int) int64 { return 1700000000123 + 15000*int64(i) + int64(r.IntN(12)) })
	}},
	{"gaps", func(r *rand.Rand, n int) []int64 {
		at := int64(1700000000000)
		return fill(n, func(int) int64 {
			if at += 10000; r.IntN(50) == 0 {
				at += 10000 * int64(r.IntN(100))
			}
			return at
		})
	}},
	{"seconds", func(r *rand.Rand, n int) []int64 {
		at := int64(1700000000000)
		return fill(n, func(int) int64 { at += 1000 * int64(1+r.IntN(5)); return at })
	}},
	{"events", func(r *rand.Rand, n int) []int64 {
		at := int64(1700000000000)
		return fill(n, func(int) int64 { at += 1 + int64(r.ExpFloat64()*100000); return at })
	}},
	{"constant", func(r *rand.Rand, n int) []int64 { return fill(n, func(int) int64 { return -5 }) }},
	{"any", func(r *rand.Rand, n int) []int64 {
		return fill(n, func(int) int64 { return int64(r.Uint64()) >> r.IntN(64) })
	}},
	{"extremes", func(r *rand.Rand, n int) []int64 {
		x := []int64{math.MinInt64, math.MaxInt64, 0, -1, 1, math.MinInt64 + 1}
		return fill(n, func(int) int64 { return x[r.IntN(len(x))] })
	}},
}

// scrapeTimes returns the times of a target scraped every 15 s, most of them on the
// grid, as Prometheus aligns them.
func scrapeTimes(r *rand.Rand, n int) []int64 {
	at := int64(1700000000123)
	return fill(n, func(int) int64 {
		t := at
		if r.IntN(10) == 0 {
			t += int64(r.IntN(40)) - 20
		}
		at += 15000
		return t
	})
}

// startPatterns are columns of start timestamps for given times.
var startPatterns = []struct {
	name string
	make func(r *rand.Rand, ts []int64) []int64
}{
	{"none", func(r *rand.Rand, ts []int64) []int64 { return make([]int64, len(ts)) }},
	{"one", func(r *rand.Rand, ts []int64) []int64 {
		return fill(len(ts), func(int) int64 { return 1600000000000 })
	}},
	{"restarts", func(r *rand.Rand, ts []int64) []int64 {
		st := int64(1600000000000)
		return fill(len(ts), func(i int) int64 {
			if r.IntN(100) == 0 {
				st = ts[i] - 7
			}
			return st
		})
	}},
	{"interval", func(r *rand.Rand, ts []int64) []int64 {
		return fill(len(ts), func(i int) int64 { return ts[i] - 60000 })
	}},
	{"before", func(r *rand.Rand, ts []int64) []int64 {
		return fill(len(ts), func(i int) int64 { return ts[max(i-1, 0)] })
	}},
	{"some", func(r *rand.Rand, ts []int64) []int64 {
		return fill(len(ts), func(i int) int64 { return int64(r.IntN(2)) * 1600000000000 })
	}},
	{"any", func(r *rand.Rand, ts []int64) []int64 {
		return fill(len(ts), func(int) int64 { return int64(r.Uint64()) })
	}},
}

// histogramPatterns are columns of histograms.
var histogramPatterns = []struct {
	name string
	make func(r *rand.Rand, n int) []model.Histogram
}{
	{"latency", func(r *rand.Rand, n int) []model.Histogram { return latencies(r, n, 0) }},
	{"growing", func(r *rand.Rand, n int) []model.Histogram { return latencies(r, n, 8) }},
	{"float", func(r *rand.Rand, n int) []model.Histogram {
		return each(latencies(r, n, 0), func(i int, h model.Histogram) model.Histogram {
			return model.Histogram{Float: h.Int.ToFloat(nil)}
		})
	}},
	{"rates", func(r *rand.Rand, n int) []model.Histogram {
		return each(latencies(r, n, 4), func(i int, h model.Histogram) model.Histogram {
			return model.Histogram{Float: h.Int.ToFloat(nil).Mul(r.Float64())}
		})
	}},
	{"stale", func(r *rand.Rand, n int) []model.Histogram {
		return each(latencies(r, n, 3), func(i int, h model.Histogram) model.Histogram {
			if r.IntN(9) == 0 {
				return model.Histogram{Int: &histogram.Histogram{Sum: math.Float64frombits(staleNaN)}}
			}
			return h
		})
	}},
	{"gauge", func(r *rand.Rand, n int) []model.Histogram {
		return each(latencies(r, n, 0), func(i int, h model.Histogram) model.Histogram {
			if h.Int.CounterResetHint = histogram.UnknownCounterReset; i > n/2 {
				h.Int.CounterResetHint = histogram.GaugeType
			}
			return h
		})
	}},
	{"custom", func(r *rand.Rand, n int) []model.Histogram {
		count := []int64{5, 0, 3, 9}
		return fill(n, func(int) model.Histogram {
			h := &histogram.Histogram{Schema: histogram.CustomBucketsSchema, CustomValues: []float64{0.005, 0.1, 2.5, 10},
				PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 2}}, Sum: r.Float64()}
			last := int64(0)
			for i := range count {
				count[i] += int64(r.IntN(3))
				h.PositiveBuckets = append(h.PositiveBuckets, count[i]-last)
				last = count[i]
				h.Count += uint64(count[i])
			}
			return model.Histogram{Int: h}
		})
	}},
	{"mixed", func(r *rand.Rand, n int) []model.Histogram {
		all := make([]model.Histogram, 0, n)
		for len(all) < n {
			k := min(n-len(all), 1+r.IntN(20))
			switch r.IntN(4) {
			case 0:
				all = append(all, latencies(r, k, 2)...)
			case 1:
				all = append(all, model.Histogram{Float: &histogram.FloatHistogram{Sum: math.Float64frombits(staleNaN), Count: math.Copysign(0, -1)}})
			case 2:
				all = append(all, model.Histogram{Int: oddHistogram(r)})
			case 3:
				all = append(all, model.Histogram{Float: oddHistogram(r).ToFloat(nil)})
			}
		}
		return all[:n]
	}},
	{"broken", func(r *rand.Rand, n int) []model.Histogram {
		return each(latencies(r, n, 2), func(i int, h model.Histogram) model.Histogram {
			switch r.IntN(30) {
			case 0:
				return model.Histogram{}
			case 1:
				h.Int.PositiveBuckets = h.Int.PositiveBuckets[:1]
			case 2:
				h.Int.NegativeSpans = []histogram.Span{{Offset: 3, Length: 1}, {Offset: -3, Length: 2}}
				h.Int.NegativeBuckets = []int64{1, math.MaxInt64, math.MinInt64}
			case 3:
				h.Int.PositiveSpans = []histogram.Span{{Offset: math.MaxInt32, Length: math.MaxUint32}}
			}
			return h
		})
	}},
}

func each[T any](vs []T, f func(i int, v T) T) []T {
	for i := range vs {
		vs[i] = f(i, vs[i])
	}
	return vs
}

// latencies returns n scrapes of a histogram of request times at schema 3, which
// begins with 20 buckets and gains new ones.
func latencies(r *rand.Rand, n, more int) []model.Histogram {
	counts := make([]int64, 20+more)
	known := 20
	sum := 0.0
	return fill(n, func(i int) model.Histogram {
		if known < len(counts) && r.IntN(n/more+1) == 0 {
			known++
		}
		h := &histogram.Histogram{Schema: 3, ZeroThreshold: 0x1p-128, ZeroCount: uint64(i / 7)}
		h.Count = h.ZeroCount
		for range r.IntN(60) {
			b := min(max(int(10+4*r.NormFloat64()), 0), known-1)
			counts[b]++
			sum += math.Exp2(float64(b-20) / 8)
		}
		h.Sum = sum
		h.PositiveSpans = []histogram.Span{{Offset: -40, Length: 12}, {Offset: 2, Length: uint32(known - 12)}}
		last := int64(0)
		for _, c := range counts[:known] {
			h.PositiveBuckets = append(h.PositiveBuckets, c-last)
			h.Count += uint64(c)
			last = c
		}
		return model.Histogram{Int: h}
	})
}

// oddHistogram returns a histogram that no sane program sends.
func oddHistogram(r *rand.Rand) *histogram.Histogram {
	h := &histogram.Histogram{Schema: int32(r.IntN(12) - 4), ZeroThreshold: specials[r.IntN(len(specials))], Count: r.Uint64(),
		ZeroCount: r.Uint64(), Sum: specials[r.IntN(len(specials))]}
	for k := range r.IntN(4) {
		s := histogram.Span{Offset: int32(r.IntN(9)), Length: uint32(r.IntN(5))}
		if k == 0 {
			s.Offset -= 5
		}
		h.PositiveSpans = append(h.PositiveSpans, s)
		for range s.Length {
			h.PositiveBuckets = append(h.PositiveBuckets, int64(r.Uint64()))
		}
	}
	if r.IntN(2) == 0 {
		h.NegativeSpans, h.NegativeBuckets = h.PositiveSpans, h.PositiveBuckets
	}
	return h
}

// stringPatterns are lists of byte strings; zstd frames hold them joined.
var stringPatterns = []struct {
	name string
	make func(r *rand.Rand, n int) [][]byte
}{
	{"empty", func(r *rand.Rand, n int) [][]byte { return fill(n, func(int) []byte { return nil }) }},
	{"short", func(r *rand.Rand, n int) [][]byte {
		return fill(n, func(int) []byte { return randomBytes(r, r.IntN(12)) })
	}},
	{"alike", func(r *rand.Rand, n int) [][]byte {
		return fill(n, func(i int) []byte {
			return append([]byte("{trace_id=\"4bf92f3577b34da6a3ce929d0e0e\"} "), byte(i), byte(i>>8))
		})
	}},
	{"one-long", func(r *rand.Rand, n int) [][]byte {
		return fill(n, func(i int) []byte { return randomBytes(r, max(0, 600-600*i)) })
	}},
}

func randomBytes(r *rand.Rand, n int) []byte {
	return fill(n, func(int) byte { return byte(r.Uint32()) })
}

func fill[T any](n int, f func(i int) T) []T {
	vs := make([]T, n)
	for i := range vs {
		vs[i] = f(i)
	}
	return vs
}
