package querytest

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	promstorage "github.com/prometheus/prometheus/storage"
)

// FillEndMs is the approximate time of the last sample written by Fill.
const FillEndMs = 2 * 3600 * 1000

// Fill writes two hours of samples that cover the cases of an engine: counters with
// resets, gauges, integers, NaN and infinities, stale markers and gaps, buckets of
// classic histograms, native histograms of both kinds, and series that alternate
// between floats and histograms. The same seed writes the same samples.
func Fill(t testing.TB, s *Storage, seed uint64) {
	t.Helper()
	f := &filler{t: t, r: rand.New(rand.NewPCG(seed, 99)), app: s.AppenderV2(t.Context())}
	for _, job := range []string{"a", "b"} {
		for instance := range 3 {
			ls := []string{"job", job, "instance", strconv.Itoa(instance)}
			if f.r.IntN(3) > 0 {
				ls = append(ls, "env", pick(f.r, "dev", "prod"))
			}
			f.series(ls)
		}
	}
	if err := f.app.Commit(); err != nil {
		t.Fatal(err)
	}
}

type filler struct {
	t   testing.TB
	r   *rand.Rand
	app promstorage.AppenderV2
}

func (f *filler) add(name string, ls []string, ms int64, v float64, h *histogram.Histogram) {
	all := labels.FromStrings(append([]string{"__name__", name}, ls...)...)
	st := int64(0)
	if name == "requests_total" && ms > 3600_000 {
		st = 1000 + ms/900_000*900_000
	}
	if _, err := f.app.Append(0, all, st, ms, v, h, nil, promstorage.AOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

// walk calls at for the times of a series, which is scraped at an interval with
// jitter, and has gaps. It calls stale before most gaps.
func (f *filler) walk(interval int64, from, to int64, at func(ms int64), stale func(ms int64)) {
	for ms := from + f.r.Int64N(interval); ms < to; ms += interval {
		jitter := int64(0)
		if f.r.IntN(3) == 0 {
			jitter = f.r.Int64N(20) - 10
		}
		at(ms + jitter)
		if f.r.IntN(90) == 0 {
			if f.r.IntN(3) > 0 {
				stale(ms + interval/2)
			}
			ms += f.r.Int64N(900_000)
		}
	}
}

func (f *filler) floats(name string, ls []string, interval, from, to int64, next func() float64) {
	f.walk(interval, from, to, func(ms int64) { f.add(name, ls, ms, next(), nil) },
		func(ms int64) { f.add(name, ls, ms, math.Float64frombits(value.StaleNaN), nil) })
}

func (f *filler) series(ls []string) {
	const end = FillEndMs
	interval := pick(f.r, int64(15_000), 15_000, 30_000, 60_000)
	counter := 0.0
	f.floats("requests_total", ls, interval, 0, end, func() float64 {
		if counter += float64(f.r.IntN(50)); f.r.IntN(60) == 0 {
			counter = float64(f.r.IntN(5))
		}
		return counter
	})
	f.floats("gauge", ls, interval, 0, end, func() float64 { return f.r.NormFloat64() * 1e3 })
	whole := 0
	f.floats("ints", ls, interval, 0, end, func() float64 {
		whole += f.r.IntN(7) - 3
		return float64(whole)
	})
	f.floats("odd", ls, interval, 0, end, func() float64 {
		switch f.r.IntN(12) {
		case 0:
			return math.NaN()
		case 1:
			return math.Inf(1 - 2*f.r.IntN(2))
		case 2:
			return math.MaxFloat64
		case 3:
			return 0
		}
		return f.r.ExpFloat64()
	})
	from := f.r.Int64N(end / 2)
	f.floats("shortlived", ls, interval, from, from+600_000, f.r.Float64)

	counts := make([]float64, 5)
	f.walk(interval, 0, end, func(ms int64) {
		total := 0.0
		for i, le := range []string{"0.1", "0.5", "1", "5", "+Inf"} {
			counts[i] += float64(f.r.IntN(10))
			total += counts[i]
			if f.r.IntN(200) == 0 {
				continue // a missing bucket: not monotonic afterwards
			}
			f.add("latency_bucket", append([]string{"le", le}, ls...), ms, total, nil)
		}
		if f.r.IntN(300) == 0 {
			clear(counts)
		}
	}, func(int64) {})

	n := f.r.IntN(20)
	f.histograms("native", ls, interval, func() *histogram.Histogram {
		if n += f.r.IntN(4); f.r.IntN(70) == 0 {
			n = 0
		}
		return exponential(n)
	})
	f.histograms("native_custom", ls, interval, func() *histogram.Histogram {
		n++
		return custom(n)
	})
	f.walk(interval, 0, end, func(ms int64) {
		if ms/1_200_000%2 == 0 {
			f.add("mixed", ls, ms, float64(ms%1000), nil)
		} else {
			f.add("mixed", ls, ms, 0, exponential(int(ms/60_000)))
		}
	}, func(int64) {})
}

func (f *filler) histograms(name string, ls []string, interval int64, next func() *histogram.Histogram) {
	f.walk(interval, 0, FillEndMs, func(ms int64) { f.add(name, ls, ms, 0, next()) },
		func(ms int64) {
			f.add(name, ls, ms, 0, &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)})
		})
}

// exponential returns a histogram of 4n+3 observations.
func exponential(n int) *histogram.Histogram {
	n64 := int64(n)
	return &histogram.Histogram{
		Schema: 1, ZeroThreshold: 1e-3, ZeroCount: uint64(n),
		Count: uint64(4*n + 3), Sum: 3.5*float64(n) + 1,
		PositiveSpans:   []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 1}},
		PositiveBuckets: []int64{n64 + 1, 0, 0},
	}
}

func custom(n int) *histogram.Histogram {
	n64 := int64(n)
	return &histogram.Histogram{
		Schema: histogram.CustomBucketsSchema,
		Count:  uint64(3*n + 1), Sum: 2 * float64(n),
		PositiveSpans:   []histogram.Span{{Offset: 0, Length: 3}},
		PositiveBuckets: []int64{n64, 0, 1},
		CustomValues:    []float64{0.5, 1, 5},
	}
}
