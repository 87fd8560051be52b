package window

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/util/kahansum"
)

// Kernels holds the range functions of floats by name. Each returns the same bits as
// Prometheus' function, so the order of additions is part of its definition.
var Kernels = map[string]Kernel{
	"rate":     func(p *Points, out []float64) error { return extrapolated(p, out, true, true) },
	"increase": func(p *Points, out []float64) error { return extrapolated(p, out, true, false) },
	"delta":    func(p *Points, out []float64) error { return extrapolated(p, out, false, false) },
	"irate":    func(p *Points, out []float64) error { return lastTwo(p, out, true) },
	"idelta":   func(p *Points, out []float64) error { return lastTwo(p, out, false) },

	"count_over_time":       countOverTime,
	"present_over_time":     presentOverTime,
	"absent_over_time":      presentOverTime,
	"last_over_time":        lastOverTime,
	"first_over_time":       firstOverTime,
	"ts_of_last_over_time":  tsOfLastOverTime,
	"ts_of_first_over_time": tsOfFirstOverTime,
	"max_over_time":         func(p *Points, out []float64) error { return extreme(p, out, 1) },
	"min_over_time":         func(p *Points, out []float64) error { return extreme(p, out, -1) },
	"sum_over_time":         sumOverTime,
	"avg_over_time":         avgOverTime,
	"stdvar_over_time":      func(p *Points, out []float64) error { return variance(p, out, false) },
	"stddev_over_time":      func(p *Points, out []float64) error { return variance(p, out, true) },
	"changes":               changes,
	"resets":                resets,
	"deriv":                 deriv,
	"predict_linear":        predictLinear,
	"mad_over_time":         madOverTime,
	"quantile_over_time":    quantileOverTime,
}

// each calls f with every window that has samples, until the query ends.
func (p *Points) each(f func(i int, lo, hi int32)) error {
	work := int32(0)
	for i, lo := range p.Lo {
		hi := p.Hi[i]
		if work += hi - lo + 8; work > 1<<14 {
			work = 0
			if err := p.host.Check(); err != nil {
				return err
			}
		}
		if lo < hi {
			f(i, lo, hi)
		}
	}
	return nil
}

// lastTwo computes irate and idelta.
func lastTwo(p *Points, out []float64, isRate bool) error {
	return p.each(func(i int, lo, hi int32) {
		if hi-lo < 2 {
			return
		}
		out[i] = differenceOf(p.v[hi-2], p.v[hi-1], p.t[hi-1]-p.t[hi-2], isRate)
	})
}

// differenceOf returns the difference of two values, or the rate of a counter, of
// samples that are interval milliseconds apart.
func differenceOf(before, last float64, interval int64, isRate bool) float64 {
	result := last
	if !isRate || !(last < before) {
		result = last - before
	}
	if isRate {
		result /= float64(interval) / 1000
	}
	return result
}

func countOverTime(p *Points, out []float64) error {
	return p.each(func(i int, lo, hi int32) { out[i] = float64(p.Weight(lo, hi)) })
}

func presentOverTime(p *Points, out []float64) error {
	return p.each(func(i int, _, _ int32) { out[i] = 1 })
}

func lastOverTime(p *Points, out []float64) error {
	return p.each(func(i int, _, hi int32) { out[i] = p.v[hi-1] })
}

func firstOverTime(p *Points, out []float64) error {
	return p.each(func(i int, lo, _ int32) { out[i] = p.v[lo] })
}

func tsOfLastOverTime(p *Points, out []float64) error {
	return p.each(func(i int, _, hi int32) { out[i] = float64(p.t[hi-1]) / 1000 })
}

func tsOfFirstOverTime(p *Points, out []float64) error {
	return p.each(func(i int, lo, _ int32) { out[i] = float64(p.t[lo]) / 1000 })
}

// tallyPairs sets out to the number of consecutive pairs in each window for which
// differs returns true.
func tallyPairs(p *Points, out []float64, differs func(a, b float64) bool) error {
	before := resize(p.deque, len(p.v)+1) // number of such pairs before each sample
	p.deque = before
	n := int32(0)
	for k := range p.v {
		before[k] = n
		if k > 0 && differs(p.v[k-1], p.v[k]) {
			n++
		}
	}
	before[len(p.v)] = n
	return p.each(func(i int, lo, hi int32) { out[i] = float64(before[hi] - before[lo+1]) })
}

func changes(p *Points, out []float64) error {
	return tallyPairs(p, out, isChange)
}

func resets(p *Points, out []float64) error {
	return tallyPairs(p, out, isReset)
}

func isChange(a, b float64) bool { return a != b && !(math.IsNaN(a) && math.IsNaN(b)) }

func isReset(a, b float64) bool { return b < a }

func deriv(p *Points, out []float64) error {
	return p.each(func(i int, lo, hi int32) {
		if hi-lo >= 2 {
			out[i], _ = regression(p.t[lo:hi], p.v[lo:hi], p.t[lo])
		}
	})
}

func predictLinear(p *Points, out []float64) error {
	ahead := p.params[0]
	return p.each(func(i int, lo, hi int32) {
		if hi-lo >= 2 {
			slope, intercept := regression(p.t[lo:hi], p.v[lo:hi], p.At(i))
			out[i] = slope*ahead[i] + intercept
		}
	})
}

// regression fits a line by least squares and returns its slope per second and its
// value at time at.
func regression(ts []int64, vs []float64, at int64) (slope, intercept float64) {
	var n, sumX, cX, sumY, cY, sumXY, cXY, sumX2, cX2 float64
	first, constant := vs[0], true
	for i, v := range vs {
		if v != first && i > 0 {
			constant = false
		}
		n++
		x := float64(ts[i]-at) / 1e3
		sumX, cX = kahansum.Inc(x, sumX, cX)
		sumY, cY = kahansum.Inc(v, sumY, cY)
		sumXY, cXY = kahansum.Inc(x*v, sumXY, cXY)
		sumX2, cX2 = kahansum.Inc(x*x, sumX2, cX2)
	}
	if constant {
		if math.IsInf(first, 0) {
			return math.NaN(), math.NaN()
		}
		return 0, first
	}
	sumX, sumY, sumXY, sumX2 = sumX+cX, sumY+cY, sumXY+cXY, sumX2+cX2
	covariance := sumXY - sumX*sumY/n
	spread := sumX2 - sumX*sumX/n
	slope = covariance / spread
	return slope, sumY/n - slope*sumX/n
}

func madOverTime(p *Points, out []float64) error {
	return p.each(func(i int, lo, hi int32) {
		vs := append(p.sort[:0], p.v[lo:hi]...)
		p.sort = vs
		if slices.ContainsFunc(vs, math.IsNaN) {
			out[i] = math.NaN()
			return
		}
		median := QuantileOf(0.5, vs)
		for k := range vs {
			vs[k] = math.Abs(vs[k] - median)
		}
		out[i] = QuantileOf(0.5, vs)
	})
}

// QuantileOf returns the q-quantile of vs. It sorts vs.
func QuantileOf(q float64, vs []float64) float64 {
	switch {
	case len(vs) == 0 || math.IsNaN(q):
		return math.NaN()
	case q < 0:
		return math.Inf(-1)
	case q > 1:
		return math.Inf(+1)
	}
	slices.Sort(vs) // NaN first
	n := float64(len(vs))
	rank := q * (n - 1)
	lower := math.Max(0, math.Floor(rank))
	upper := math.Min(n-1, lower+1)
	weight := rank - math.Floor(rank)
	return vs[int(lower)]*(1-weight) + vs[int(upper)]*weight
}

func quantileOverTime(p *Points, out []float64) error {
	qs := p.params[0]
	return p.each(func(i int, lo, hi int32) {
		if BadQuantile(qs[i]) {
			p.host.WarnQuantile(qs[i])
		}
		p.sort = append(p.sort[:0], p.v[lo:hi]...)
		out[i] = QuantileOf(qs[i], p.sort)
	})
}

func BadQuantile(q float64) bool { return math.IsNaN(q) || q < 0 || q > 1 }
