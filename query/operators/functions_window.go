package operators

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/prometheus/prometheus/util/kahansum"
)

// windowKernels are the functions of a range of floats. Each gives the same
// bits as Prometheus' function of the name, so the order of additions is part
// of what they do. What several windows share is done once for the series.
var windowKernels = map[string]windowKernel{
	"rate":     func(p *points, out []float64) error { return extrapolated(p, out, true, true) },
	"increase": func(p *points, out []float64) error { return extrapolated(p, out, true, false) },
	"delta":    func(p *points, out []float64) error { return extrapolated(p, out, false, false) },
	"irate":    func(p *points, out []float64) error { return lastTwo(p, out, true) },
	"idelta":   func(p *points, out []float64) error { return lastTwo(p, out, false) },

	"count_over_time":       countOverTime,
	"present_over_time":     presentOverTime,
	"absent_over_time":      presentOverTime,
	"last_over_time":        lastOverTime,
	"first_over_time":       firstOverTime,
	"ts_of_last_over_time":  tsOfLastOverTime,
	"ts_of_first_over_time": tsOfFirstOverTime,
	"max_over_time":         func(p *points, out []float64) error { return extreme(p, out, 1) },
	"min_over_time":         func(p *points, out []float64) error { return extreme(p, out, -1) },
	"sum_over_time":         sumOverTime,
	"avg_over_time":         avgOverTime,
	"stdvar_over_time":      func(p *points, out []float64) error { return variance(p, out, false) },
	"stddev_over_time":      func(p *points, out []float64) error { return variance(p, out, true) },
	"changes":               changes,
	"resets":                resets,
	"deriv":                 deriv,
	"predict_linear":        predictLinear,
	"mad_over_time":         madOverTime,
	"quantile_over_time":    quantileOverTime,
}

// each calls f with the window of every step that has samples; it stops with
// the query.
func (p *points) each(f func(i int, lo, hi int32)) error {
	work := int32(0)
	for i, lo := range p.lo {
		hi := p.hi[i]
		if work += hi - lo + 8; work > 1<<14 {
			work = 0
			if err := p.host.check(); err != nil {
				return err
			}
		}
		if lo < hi {
			f(i, lo, hi)
		}
	}
	return nil
}

// extrapolated computes rate, increase and delta: the difference between the
// last and the first sample of the window, extended to its borders unless the
// series seems to begin or end inside.
func extrapolated(p *points, out []float64, isCounter, isRate bool) error {
	var resets counterResets
	if isCounter && !p.rising {
		resets.find(p)
	}
	seconds := 1.0
	if isRate {
		seconds = (time.Duration(p.width) * time.Millisecond).Seconds()
	}
	placed := p.placements(p.windows, p.t, seconds)
	for from := 0; from < len(out); from += 1024 {
		if from > 0 {
			if err := p.host.check(); err != nil {
				return err
			}
		}
		to := min(from+1024, len(out))
		resets.extrapolate(p.v, p.lo[from:to], p.hi[from:to], placed[from:to], out[from:to], isCounter, seconds)
	}
	return nil
}

// extrapolate sets out to the difference over each window, resets added, extended
// to its borders. Nothing is called for a window of a counter without resets,
// which is what most are, unless it may have begun there.
func (r *counterResets) extrapolate(vs []float64, los, his []int32, placed []placement, out []float64, isCounter bool, seconds float64) {
	los, his, placed = los[:len(out)], his[:len(out)], placed[:len(out)]
	for i := range out {
		lo, last := int(los[i]), int(his[i])-1
		if last <= lo {
			continue
		}
		first := vs[lo]
		result := vs[last] - first
		if r.any {
			result = r.add(result, vs, lo, last)
		}
		place := &placed[i]
		factor := place.factor
		// Beyond doubt of rounding it was above zero: that saves a division.
		if x := place.sampled * first; isCounter && !(x > beyondRounding && x > place.reach*result) && result > 0 && first >= 0 {
			factor = place.fromZero(first, result, seconds)
		}
		out[i] = result * factor
	}
}

// counterResets are what a series of a counter lost where it is lower than before.
type counterResets struct {
	any  bool
	sums []int64 // of the values before each reset up to a sample, if all are whole numbers

	at       []int32 // else the indices of the resets
	from, to int     // those of the window at hand
}

// find looks for the resets of points.
func (r *counterResets) find(p *points) {
	if p.integralBits > 0 && risesThroughout(p.v) { // else that is known
		return
	}
	// Gauges fall all the time. Their values are mostly whole numbers, of which
	// the order of additions does not show, so that a difference of two sums does
	// for a window.
	if sums, ok := p.resetSums(); ok {
		r.sums, r.any = sums, true
		return
	}
	at := p.deque[:0]
	for k := 1; k < len(p.v); k++ {
		if p.v[k] < p.v[k-1] {
			at = append(at, int32(k))
		}
	}
	p.deque, r.at, r.any = at, at, len(at) > 0
}

// resetSums returns, for each sample, the sum of the values before resets up to
// it, if no sum of any values and a difference is rounded, and no zero has a sign.
func (p *points) resetSums() ([]int64, bool) {
	sums := resize(p.sums, len(p.v))
	p.sums = sums
	before, sum, size := int64(math.MinInt64), int64(0), uint64(0)
	for k, v := range p.v {
		i := int64(v)
		if math.Float64bits(float64(i)) != math.Float64bits(v) {
			return nil, false
		}
		lost := before
		if i >= before {
			lost = 0
		}
		sum += lost
		sums[k] = sum
		size |= uint64(i ^ i>>63)
		before = i
	}
	return sums, bits.Len64(size)+bits.Len(uint(len(p.v))) <= 51
}

// add adds to the difference of samples lo and last what resets between took
// from it. Windows only move on.
func (r *counterResets) add(difference float64, vs []float64, lo, last int) float64 {
	if r.sums != nil {
		return difference + float64(r.sums[last]-r.sums[lo])
	}
	for r.from < len(r.at) && int(r.at[r.from]) <= lo {
		r.from++
	}
	r.to = max(r.to, r.from)
	for r.to < len(r.at) && int(r.at[r.to]) <= last {
		r.to++
	}
	for _, k := range r.at[r.from:r.to] {
		difference += vs[k-1]
	}
	return difference
}

// placement is where the samples of a window lie: how far the result is
// extended to both sides of the samples, and the time between the first and
// the last, in seconds.
type placement struct {
	toStart, toEnd, sampled float64
	factor                  float64 // (sampled + toStart + toEnd) / sampled / what the result is a rate of
	reach                   float64 // toStart, and a little
}

// beyondRounding is far from where numbers lose digits.
const beyondRounding = 1e-290

// fromZero returns the factor of a counter that rose by result, above 0, from
// first, which is not below: it cannot have been below zero at the start of the
// window.
func (p *placement) fromZero(first, result, seconds float64) float64 {
	if toZero := p.sampled * (first / result); toZero < p.toStart {
		return (p.sampled + toZero + p.toEnd) / p.sampled / seconds
	}
	return p.factor
}

// placements returns where the samples lie in each window, for a result per so
// many seconds. Series with the same times have them in common.
func (c *windowBounds) placements(w *windows, ts []int64, seconds float64) []placement {
	c.placing.Do(func() {
		c.placed = resize(c.placed, len(c.lo))
		end, step := w.ends(w.Grid)
		var first, last, n int64
		var place placement
		for i, lo := range c.lo {
			at := end + int64(i)*step
			hi := c.hi[i] - 1
			if hi <= lo {
				continue
			}
			// Regular samples lie at the same place of each window.
			if f, l, m := ts[lo]-at, ts[hi]-at, int64(hi-lo); f != first || l != last || m != n {
				first, last, n = f, l, m
				place = placementOf(first+w.width, -last, last-first, n)
				place.factor /= seconds
			}
			c.placed[i] = place
		}
	})
	return c.placed
}

// placementOf returns the placement of n + 1 samples of a window, of which the
// first is toStart after its start and the last toEnd before its end,
// milliseconds: the result is extended up to the border if that is no farther
// than samples are from each other, otherwise by half of that, as if the series
// began or ended there.
func placementOf(toStart, toEnd, sampled, n int64) placement {
	p := placement{toStart: float64(toStart) / 1000, toEnd: float64(toEnd) / 1000, sampled: float64(sampled) / 1000}
	average := p.sampled / float64(n)
	threshold := average * 1.1
	if p.toStart >= threshold {
		p.toStart = average / 2
	}
	if p.toEnd >= threshold {
		p.toEnd = average / 2
	}
	p.factor = (p.sampled + p.toStart + p.toEnd) / p.sampled
	p.reach = p.toStart * (1 + 1e-12) // far more than three roundings
	return p
}

// lastTwo computes irate and idelta.
func lastTwo(p *points, out []float64, isRate bool) error {
	return p.each(func(i int, lo, hi int32) {
		if hi-lo < 2 {
			return
		}
		a, b := p.v[hi-2], p.v[hi-1]
		interval := p.t[hi-1] - p.t[hi-2]
		result := b
		if !isRate || !(b < a) {
			result = b - a
		}
		if isRate {
			result /= float64(interval) / 1000
		}
		out[i] = result
	})
}

func countOverTime(p *points, out []float64) error {
	return p.each(func(i int, lo, hi int32) { out[i] = float64(p.samples(lo, hi)) })
}

func presentOverTime(p *points, out []float64) error {
	return p.each(func(i int, _, _ int32) { out[i] = 1 })
}

func lastOverTime(p *points, out []float64) error {
	return p.each(func(i int, _, hi int32) { out[i] = p.v[hi-1] })
}

func firstOverTime(p *points, out []float64) error {
	return p.each(func(i int, lo, _ int32) { out[i] = p.v[lo] })
}

func tsOfLastOverTime(p *points, out []float64) error {
	return p.each(func(i int, _, hi int32) { out[i] = float64(p.t[hi-1]) / 1000 })
}

func tsOfFirstOverTime(p *points, out []float64) error {
	return p.each(func(i int, lo, _ int32) { out[i] = float64(p.t[lo]) / 1000 })
}

// extreme computes the maximum, or with sign -1 the minimum: the first of those
// that are equal, and the last NaN where there is nothing else.
func extreme(p *points, out []float64, sign float64) error {
	if m, ok := p.segments(); ok {
		return p.extremeOfSegments(out, sign, m)
	}
	// The queue holds what can still be the answer, best first, so each sample
	// is looked at once or twice however wide the windows are.
	queue, from, seen := p.deque[:0], 0, int32(0)
	for i := range out {
		if i%1024 == 1023 {
			if err := p.host.check(); err != nil {
				return err
			}
		}
		lo, hi := p.lo[i], p.hi[i]
		for k := max(lo, seen); k < hi; k++ {
			v := p.v[k]
			if math.IsNaN(v) {
				continue
			}
			for len(queue) > from && v*sign > p.v[queue[len(queue)-1]]*sign {
				queue = queue[:len(queue)-1]
			}
			queue = append(queue, k)
		}
		seen = hi
		for from < len(queue) && queue[from] < lo {
			from++
		}
		switch {
		case lo == hi:
		case from == len(queue):
			out[i] = p.v[hi-1]
		default:
			out[i] = p.v[queue[from]]
		}
	}
	p.deque = queue
	return nil
}

// segments reports whether the windows are made of the same pieces: m steps
// wide, so that window i is segments i to i + m - 1 of those between the bounds
// of all windows, and with more samples than segments.
func (p *points) segments() (m int, ok bool) {
	_, step := p.ends(p.Grid)
	if step <= 0 || p.width%step != 0 {
		return 0, false
	}
	m64 := p.width / step
	return int(m64), m64 <= int64(p.N) && len(p.v) >= 2*(p.N+int(m64))
}

// extremeOfSegments computes the extreme of each segment and that of m in a
// row from two running ones: backwards to the start of every m-th segment and
// forwards from it (van Herk, 1992). A NaN stands for no value, and values are
// multiplied by sign.
func (p *points) extremeOfSegments(out []float64, sign float64, m int) error {
	n := len(out)
	count := n + m - 1
	p.sort = resize(p.sort, 2*count)
	best, back := p.sort[:count], p.sort[count:]
	from := p.lo[0]
	for s := range best {
		if s%1024 == 1023 {
			if err := p.host.check(); err != nil {
				return err
			}
		}
		to := p.hi[max(s+1-m, 0)]
		if s+1 < n {
			to = p.lo[s+1]
		}
		x := math.NaN()
		for _, v := range p.v[from:to] {
			if v *= sign; v > x || x != x {
				x = v
			}
		}
		best[s], from = x, to
	}
	for s := count - 1; s >= 0; s-- {
		back[s] = best[s]
		if (s+1)%m != 0 && s+1 < count {
			back[s] = better(best[s], back[s+1])
		}
	}
	for s := 1; s < count; s++ {
		if s%m != 0 {
			best[s] = better(best[s-1], best[s])
		}
	}
	for i := range out {
		lo, hi := p.lo[i], p.hi[i]
		if lo >= hi {
			continue
		}
		// best runs from a start inside the window, back up to it; if both
		// begin at i they are the same.
		if x := better(back[i], best[i+m-1]); x == x {
			out[i] = x * sign
		} else {
			out[i] = p.v[hi-1]
		}
	}
	return nil
}

// better returns the greater of two values, a if they are equal, and the one
// that is not a NaN.
func better(a, b float64) float64 {
	if b > a || a != a {
		return b
	}
	return a
}

// exactSums sets out to the sum of each window, if all values are whole numbers
// and the sums so small that none is rounded. Then any order of additions gives
// what adding up a window gives, rounding and its compensation included: nothing
// is ever lost. Counts and bytes are such numbers, and wide windows cost no more
// than narrow ones (BenchmarkKernel/function=avg_over_time).
func (p *points) exactSums(out []float64) bool {
	switch {
	case p.integralBits == 0:
		return p.sumsIfWhole(out)
	case p.integralBits+bits.Len(uint(len(p.v))) > 53:
		return false
	case p.total <= 2*p.read: // each sample is in one window, or in two
		for i, lo := range p.lo {
			if hi := p.hi[i]; lo < hi {
				out[i] = sumOf(p.v[lo:hi])
			}
		}
	default:
		p.sort = resize(p.sort, len(p.v)+1)
		sums, sum := p.sort, 0.0
		for k, v := range p.v {
			sums[k] = sum
			sum += v
		}
		sums[len(p.v)] = sum
		for i, lo := range p.lo {
			if hi := p.hi[i]; lo < hi {
				out[i] = sums[hi] - sums[lo]
			}
		}
	}
	return true
}

// sumsIfWhole is exactSums for values of which nothing is known.
func (p *points) sumsIfWhole(out []float64) bool {
	sums := resize(p.sums, len(p.v)+1)
	p.sums = sums
	sum, size := int64(0), uint64(0) // size has the bits that any value has
	for k, v := range p.v {
		sums[k] = sum
		i := int64(v)
		if float64(i) != v {
			return false
		}
		sum += i
		size |= uint64(i ^ i>>63)
	}
	sums[len(p.v)] = sum
	if bits.Len64(size)+bits.Len(uint(len(p.v))) > 53 {
		return false
	}
	for i, lo := range p.lo {
		if hi := p.hi[i]; lo < hi {
			out[i] = float64(sums[hi] - sums[lo])
		}
	}
	return true
}

// sumOf adds up values of which no sum is rounded: four sums at a time, since
// each addition waits for the one before.
func sumOf(vs []float64) float64 {
	var a, b, c, d float64
	for ; len(vs) >= 4; vs = vs[4:] {
		a += vs[0]
		b += vs[1]
		c += vs[2]
		d += vs[3]
	}
	for _, v := range vs {
		a += v
	}
	return a + b + (c + d)
}

func sumOverTime(p *points, out []float64) error {
	if p.exactSums(out) {
		return nil
	}
	return p.each(func(i int, lo, hi int32) {
		var sum, c float64
		for _, v := range p.v[lo:hi] {
			sum, c = kahansum.Inc(v, sum, c)
		}
		if math.IsInf(sum, 0) {
			out[i] = sum
			return
		}
		out[i] = sum + c
	})
}

func avgOverTime(p *points, out []float64) error {
	if !p.exactSums(out) {
		return p.each(func(i int, lo, hi int32) { out[i] = mean(p.v[lo:hi]) })
	}
	for i, lo := range p.lo {
		if hi := p.hi[i]; lo < hi {
			out[i] /= float64(hi - lo)
		}
	}
	return nil
}

// mean returns the mean of values: their sum divided, or, once the sum would
// overflow, a mean that is moved by each value.
func mean(vs []float64) float64 {
	sum, c := vs[0], 0.0
	for i, v := range vs[1:] {
		s, cc := kahansum.Inc(v, sum, c)
		if math.IsInf(s, 0) {
			return movedMean(vs[i+1:], float64(i+1), sum/float64(i+1), c/float64(i+1))
		}
		sum, c = s, cc
	}
	n := float64(len(vs))
	return sum/n + c/n
}

// movedMean returns the mean of count values, whose mean and compensation are
// known, and vs.
func movedMean(vs []float64, count, mean, c float64) float64 {
	for _, v := range vs {
		count++
		q := (count - 1) / count
		mean, c = kahansum.Inc(v/count, q*mean, q*c)
	}
	return mean + c
}

func variance(p *points, out []float64, root bool) error {
	return p.each(func(i int, lo, hi int32) {
		var count, mean, cMean, aux, cAux float64
		for _, v := range p.v[lo:hi] {
			count++
			delta := v - (mean + cMean)
			mean, cMean = kahansum.Inc(delta/count, mean, cMean)
			aux, cAux = kahansum.Inc(delta*(v-(mean+cMean)), aux, cAux)
		}
		r := (aux + cAux) / count
		if root {
			r = math.Sqrt(r)
		}
		out[i] = r
	})
}

// tallyPairs sets out to the number of neighbours in each window for which
// differs holds.
func tallyPairs(p *points, out []float64, differs func(a, b float64) bool) error {
	before := resize(p.deque, len(p.v)+1) // pairs whose second is earlier
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

func changes(p *points, out []float64) error {
	return tallyPairs(p, out, func(a, b float64) bool { return a != b && !(math.IsNaN(a) && math.IsNaN(b)) })
}

func resets(p *points, out []float64) error {
	return tallyPairs(p, out, func(a, b float64) bool { return b < a })
}

func deriv(p *points, out []float64) error {
	return p.each(func(i int, lo, hi int32) {
		if hi-lo >= 2 {
			out[i], _ = regression(p.t[lo:hi], p.v[lo:hi], p.t[lo])
		}
	})
}

func predictLinear(p *points, out []float64) error {
	ahead := p.params[0]
	return p.each(func(i int, lo, hi int32) {
		if hi-lo >= 2 {
			slope, intercept := regression(p.t[lo:hi], p.v[lo:hi], p.At(i))
			out[i] = slope*ahead[i] + intercept
		}
	})
}

// regression fits a line by least squares and returns its slope a second and
// its value at a time.
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

func madOverTime(p *points, out []float64) error {
	return p.each(func(i int, lo, hi int32) {
		vs := append(p.sort[:0], p.v[lo:hi]...)
		p.sort = vs
		if slices.ContainsFunc(vs, math.IsNaN) {
			out[i] = math.NaN()
			return
		}
		median := quantileOf(0.5, vs)
		for k := range vs {
			vs[k] = math.Abs(vs[k] - median)
		}
		out[i] = quantileOf(0.5, vs)
	})
}

// quantileOf returns the q-quantile of values, which it sorts.
func quantileOf(q float64, vs []float64) float64 {
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

func quantileOverTime(p *points, out []float64) error {
	qs := p.params[0]
	return p.each(func(i int, lo, hi int32) {
		if badQuantile(qs[i]) {
			p.host.warnQuantile(qs[i])
		}
		p.sort = append(p.sort[:0], p.v[lo:hi]...)
		out[i] = quantileOf(qs[i], p.sort)
	})
}

func badQuantile(q float64) bool { return math.IsNaN(q) || q < 0 || q > 1 }
