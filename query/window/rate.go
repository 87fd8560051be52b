package window

import (
	"math"
	"math/bits"
	"time"
)

// extrapolated computes rate, increase and delta: the difference between the last and
// the first sample of the window, extrapolated to the window's borders unless the
// series seems to begin or end inside the window.
func extrapolated(p *Points, out []float64, isCounter, isRate bool) error {
	var resets counterResets
	if isCounter && !p.rising {
		resets.find(p)
	}
	seconds := 1.0
	if isRate {
		seconds = (time.Duration(p.Width) * time.Millisecond).Seconds()
	}
	placed := p.placements(p.Windows, p.t, seconds)
	for from := 0; from < len(out); from += 1024 {
		if from > 0 {
			if err := p.host.Check(); err != nil {
				return err
			}
		}
		to := min(from+1024, len(out))
		resets.extrapolate(p.v, p.Lo[from:to], p.Hi[from:to], placed[from:to], out[from:to], isCounter, seconds)
	}
	return nil
}

// extrapolate sets out to the difference over each window, including resets,
// extrapolated to its borders. It makes no calls for a window of a counter without
// resets, the most frequent case, unless the counter may have started in it.
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
		out[i] = placed[i].extrapolate(result, first, isCounter, seconds)
	}
}

// counterResets holds the resets of a counter: the decreases of its value.
type counterResets struct {
	any  bool
	sums []int64 // by sample: sum of the values before each reset up to it; only if all are integers

	at       []int32 // otherwise the indexes of the resets
	from, to int     // the range of at in the current window
}

// resetSums returns, for each sample, the sum of the values before resets up to it. It
// returns false if any sum of values and a difference could be rounded, or if a value
// is not an integer or -0.
func (p *Points) resetSums() ([]int64, bool) {
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

// placement is the position of the samples in a window, in seconds: the distances by
// which the result is extrapolated before and after the samples, and the time between
// the first and the last sample.
type placement struct {
	toStart, toEnd, sampled float64
	factor                  float64 // (sampled + toStart + toEnd) / sampled / seconds of the rate
	reach                   float64 // toStart plus a margin for rounding
}

// beyondRounding is far above the subnormal numbers, which lose digits.
const beyondRounding = 1e-290

// fromZero returns the factor of a counter that rose by result > 0 from first ≥ 0. The
// counter cannot have been below zero at the start of the window.
func (p *placement) fromZero(first, result, seconds float64) float64 {
	if toZero := p.sampled * (first / result); toZero < p.toStart {
		return (p.sampled + toZero + p.toEnd) / p.sampled / seconds
	}
	return p.factor
}

// extrapolate returns the difference result of a window whose first value is first,
// extrapolated to its borders.
func (p *placement) extrapolate(result, first float64, isCounter bool, seconds float64) float64 {
	factor := p.factor
	// If the condition x > p.reach*result holds, the counter was above zero at the
	// start of the window despite rounding. This check saves a division.
	if x := p.sampled * first; isCounter && !(x > beyondRounding && x > p.reach*result) && result > 0 && first >= 0 {
		factor = p.fromZero(first, result, seconds)
	}
	return result * factor
}

// placements returns the placement of the samples in each window, for a result per
// the given number of seconds. Series with the same times share it.
func (c *Bounds) placements(w *Windows, ts []int64, seconds float64) []placement {
	c.placing.Do(func() {
		c.placed = resize(c.placed, len(c.Lo))
		end, step := w.Ends(w.Grid)
		var first, last, n int64
		var place placement
		for i, lo := range c.Lo {
			at := end + int64(i)*step
			hi := c.Hi[i] - 1
			if hi <= lo {
				continue
			}
			// Samples at regular intervals have the same placement in each window.
			if f, l, m := ts[lo]-at, ts[hi]-at, int64(hi-lo); f != first || l != last || m != n {
				first, last, n = f, l, m
				place = placementOf(first+w.Width, -last, last-first, n)
				place.factor /= seconds
			}
			c.placed[i] = place
		}
	})
	return c.placed
}

// placementOf returns the placement of n + 1 samples in a window, the first toStart
// after the window's start and the last toEnd before its end, in milliseconds. The
// result is extrapolated to a border if that is closer than 1.1 times the average
// interval of the samples; otherwise by half that interval, as if the series began or
// ended there.
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
	p.reach = p.toStart * (1 + 1e-12) // far more than the error of three roundings
	return p
}

// find finds the resets of p.
func (r *counterResets) find(p *Points) {
	if p.integralBits > 0 && risesThroughout(p.v) { // otherwise p.rising would be set
		return
	}
	// Gauges decrease often. Most of their values are integers, whose sums do not
	// depend on the order of additions, so that a window needs only the difference of
	// two sums.
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

// add adds the values lost in resets between samples lo and last to their difference.
// It must be called for windows in ascending order.
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
