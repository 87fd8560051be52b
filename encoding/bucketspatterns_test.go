package encoding

import (
	"math"
	"math/rand/v2"

	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
)

// bucketsOf returns the buckets of the samples: the definition of model.Buckets, as
// plainly as possible.
func bucketsOf(ts []int64, vs []float64, resolution int64) *model.Buckets {
	b := &model.Buckets{}
	comp, last := 0.0, 0.0
	for i, t := range ts {
		v := vs[i]
		end := t / resolution * resolution
		if end < t {
			end += resolution
		}
		k := b.Len() - 1
		if k < 0 || b.End[k] != end {
			if k >= 0 {
				b.Sum[k] += comp
			}
			k = b.Grow(1)
			b.End[k], comp = end, 0
		}
		b.Flags[k] &^= model.BucketStale
		if value.IsStaleNaN(v) {
			b.Flags[k] |= model.BucketStale
			continue
		}
		if v-v != 0 {
			b.Flags[k] |= model.BucketSpecial
		}
		if b.Count[k]++; b.Count[k] == 1 {
			b.First[k], b.FirstV[k], b.V1[k], b.Min[k], b.Max[k] = t, v, v, v, v
		} else {
			if v < last {
				b.Resets[k]++
				b.Lost[k] += last
			}
			if v != last && !(v != v && last != last) {
				b.Changes[k]++
			}
			if v < b.Min[k] || b.Min[k] != b.Min[k] {
				b.Min[k] = v
			}
			if v > b.Max[k] || b.Max[k] != b.Max[k] {
				b.Max[k] = v
			}
			b.V2[k] = b.V1[k]
		}
		b.V1[k], b.T1[k], b.T2[k], b.T3[k] = v, t, b.T1[k], b.T2[k]
		sum := b.Sum[k] + v
		if math.Abs(b.Sum[k]) >= math.Abs(v) {
			comp += (b.Sum[k] - sum) + v
		} else {
			comp += (v - sum) + b.Sum[k]
		}
		b.Sum[k], last = sum, v
	}
	if k := b.Len() - 1; k >= 0 {
		b.Sum[k] += comp
	}
	return b
}

// bucketPattern makes the samples of n buckets or so.
type bucketPattern struct {
	name       string
	resolution int64
	make       func(r *rand.Rand, n int) (ts []int64, vs []float64)
}

const testStart = 1_700_000_000_000 / 3_600_000 * 3_600_000

// scrapes returns the times of n buckets scraped at an interval, late by up to jitter.
func scrapes(r *rand.Rand, n int, resolution, interval, jitter int64) []int64 {
	var ts []int64
	phase := r.Int64N(interval)
	for t := testStart + phase; t < testStart+int64(n)*resolution; t += interval {
		late := int64(0)
		if jitter > 0 {
			late = r.Int64N(jitter)
		}
		ts = append(ts, t+1+late)
	}
	return ts
}

func series(r *rand.Rand, ts []int64, start float64, next func(v float64) float64) []float64 {
	v := start
	return fill(len(ts), func(int) float64 { v = next(v); return v })
}

// bucketPatterns are series as programs and TSBS make them, at a resolution.
var bucketPatterns = []bucketPattern{
	{"requests", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) {
		ts := scrapes(r, n, 3_600_000, 15_000, 0)
		return ts, series(r, ts, 1e6, func(v float64) float64 { return v + float64(r.IntN(60)) })
	}},
	{"bytes", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) {
		ts := scrapes(r, n, 3_600_000, 15_000, 0)
		return ts, series(r, ts, 1e10, func(v float64) float64 { return v + math.Round(1e5*r.ExpFloat64()) })
	}},
	{"seconds", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) { // as node_cpu_seconds_total has them
		ts := scrapes(r, n, 3_600_000, 15_000, 0)
		k := 5e6
		return ts, series(r, ts, 0, func(float64) float64 { k += float64(r.IntN(400)); return k / 100 })
	}},
	{"fractions", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) {
		ts := scrapes(r, n, 3_600_000, 15_000, 0)
		return ts, series(r, ts, 100, func(v float64) float64 { return v + r.Float64() })
	}},
	{"rare", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) { // a counter of errors
		ts := scrapes(r, n, 3_600_000, 15_000, 0)
		return ts, series(r, ts, 100, func(v float64) float64 { return v + float64(r.IntN(500)/499) })
	}},
	{"resets", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) {
		ts := scrapes(r, n, 3_600_000, 15_000, 0)
		return ts, series(r, ts, 0, func(v float64) float64 {
			if r.IntN(1000) == 0 {
				return 0
			}
			return v + float64(r.IntN(60))
		})
	}},
	{"noise", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) {
		ts := scrapes(r, n, 3_600_000, 15_000, 0)
		return ts, series(r, ts, 0, func(float64) float64 { return math.Round(1000 + 30*r.NormFloat64()) })
	}},
	{"load", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) { // node_load1
		ts := scrapes(r, n, 3_600_000, 15_000, 0)
		x := 2.0
		return ts, series(r, ts, 0, func(float64) float64 {
			x += (2-x)*0.05 + 0.15*r.NormFloat64()
			return math.Round(100*max(x, 0)) / 100
		})
	}},
	{"memory", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) { // pages
		ts := scrapes(r, n, 3_600_000, 15_000, 0)
		return ts, series(r, ts, 4e9, func(v float64) float64 { return v + 4096*math.Round(50*r.NormFloat64()) })
	}},
	{"idle", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) { // steps now and then
		ts := scrapes(r, n, 3_600_000, 15_000, 0)
		return ts, series(r, ts, 17, func(v float64) float64 {
			if r.IntN(2000) == 0 {
				return float64(r.IntN(30))
			}
			return v
		})
	}},
	{"constant", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) {
		ts := scrapes(r, n, 3_600_000, 15_000, 0)
		return ts, series(r, ts, 0.1, func(v float64) float64 { return v })
	}},
	{"tsbs", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) { // cpu-only: a walk in [0, 100]
		ts := scrapes(r, n, 3_600_000, 10_000, 0)
		x := 100 * r.Float64()
		return ts, series(r, ts, 0, func(float64) float64 {
			x = min(max(x+r.NormFloat64(), 0), 100)
			return math.Trunc(x)
		})
	}},
	{"walk", 60_000, func(r *rand.Rand, n int) ([]int64, []float64) {
		ts := scrapes(r, n, 60_000, 1_000, 3)
		return ts, series(r, ts, 50, func(v float64) float64 { return v + r.NormFloat64() })
	}},
	{"jitter", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) {
		ts := scrapes(r, n, 3_600_000, 15_000, 8)
		return ts, series(r, ts, 0, func(v float64) float64 { return v + 1 })
	}},
	{"odd interval", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) {
		ts := scrapes(r, n, 3_600_000, 13_000, 0)
		return ts, series(r, ts, 0, func(v float64) float64 { return v + 1 })
	}},
	{"five minutes", 3_600_000, func(r *rand.Rand, n int) ([]int64, []float64) {
		ts := scrapes(r, n, 3_600_000, 300_000, 0)
		return ts, series(r, ts, 0, func(v float64) float64 { return v + float64(r.IntN(3)) })
	}},
	{"few", 60_000, func(r *rand.Rand, n int) ([]int64, []float64) { // 0 to 4 samples, stale markers, gaps
		var ts []int64
		var vs []float64
		for k := range n {
			if r.IntN(6) == 0 {
				continue
			}
			start := testStart + int64(k)*60_000
			for i := range r.Int64N(5) {
				ts, vs = append(ts, start+1+10_000*i+r.Int64N(1000)), append(vs, float64(r.IntN(4)))
			}
			if r.IntN(4) == 0 {
				ts, vs = append(ts, start+60_000), append(vs, math.Float64frombits(value.StaleNaN))
			}
		}
		return ts, vs
	}},
	{"specials", 60_000, func(r *rand.Rand, n int) ([]int64, []float64) {
		ts := scrapes(r, n, 60_000, 10_000, 500)
		return ts, fill(len(ts), func(int) float64 { return specials[r.IntN(len(specials))] })
	}},
	{"before 1970", 60_000, func(r *rand.Rand, n int) ([]int64, []float64) {
		ts := scrapes(r, n, 60_000, 5_000, 0)
		for i := range ts {
			ts[i] -= testStart + int64(n)*30_000
		}
		return ts, series(r, ts, 0, func(v float64) float64 { return v - 0.5 })
	}},
}
