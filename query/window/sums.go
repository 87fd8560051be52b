package window

import (
	"math"
	"math/bits"

	"github.com/prometheus/prometheus/util/kahansum"
)

// exactSums sets out to the sum of each window if all values are integers and no sum
// can be rounded. Then any order of additions has the same result as the compensated
// summation of each window. Counts and bytes are such values, and wide windows cost
// no more than narrow ones (BenchmarkKernel/function=avg_over_time).
func (p *Points) exactSums(out []float64) bool {
	switch {
	case p.integralBits == 0:
		return p.sumsIfIntegral(out)
	case p.integralBits+bits.Len(uint(len(p.v))) > 53:
		return false
	case p.Total <= 2*p.Read: // a sample is in two windows at most, on average
		for i, lo := range p.Lo {
			if hi := p.Hi[i]; lo < hi {
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
		for i, lo := range p.Lo {
			if hi := p.Hi[i]; lo < hi {
				out[i] = sums[hi] - sums[lo]
			}
		}
	}
	return true
}

// sumsIfIntegral is exactSums for values that may not be integers.
func (p *Points) sumsIfIntegral(out []float64) bool {
	sums := resize(p.sums, len(p.v)+1)
	p.sums = sums
	sum, size := int64(0), uint64(0) // size is the union of the bits of all values
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
	for i, lo := range p.Lo {
		if hi := p.Hi[i]; lo < hi {
			out[i] = float64(sums[hi] - sums[lo])
		}
	}
	return true
}

// sumOf adds up values whose sums are not rounded. It uses four sums, because each
// addition waits for the preceding one to the same sum.
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

func sumOverTime(p *Points, out []float64) error {
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

func avgOverTime(p *Points, out []float64) error {
	if !p.exactSums(out) {
		return p.each(func(i int, lo, hi int32) { out[i] = mean(p.v[lo:hi]) })
	}
	for i, lo := range p.Lo {
		if hi := p.Hi[i]; lo < hi {
			out[i] /= float64(hi - lo)
		}
	}
	return nil
}

// mean returns the mean of values: their sum divided by their number or, if the sum
// would overflow, the incremental mean.
func mean(vs []float64) float64 {
	sum, c := vs[0], 0.0
	for i, v := range vs[1:] {
		s, cc := kahansum.Inc(v, sum, c)
		if math.IsInf(s, 0) {
			return incrementalMean(vs[i+1:], float64(i+1), sum/float64(i+1), c/float64(i+1))
		}
		sum, c = s, cc
	}
	n := float64(len(vs))
	return sum/n + c/n
}

// incrementalMean returns the mean of vs and count further values, whose mean and
// compensation c are given.
func incrementalMean(vs []float64, count, mean, c float64) float64 {
	for _, v := range vs {
		count++
		q := (count - 1) / count
		mean, c = kahansum.Inc(v/count, q*mean, q*c)
	}
	return mean + c
}

func variance(p *Points, out []float64, root bool) error {
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
