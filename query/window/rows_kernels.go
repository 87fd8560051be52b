package window

import (
	"math"

	"github.com/prometheus/prometheus/util/kahansum"

	"tsdb/rollup/bucket"
)

// rowLastTwo computes irate and idelta.
func rowLastTwo(p *Points, out []float64, isRate bool) error {
	b := p.rows
	return p.eachCut(func(i int, lo, hi int32, first bucket.Part) {
		k := hi - 1
		var before float64
		var interval int64
		switch {
		case b.Count[k] >= 2 && (k > lo || first != bucket.LastOne):
			before, interval = b.V2[k], b.T1[k]-b.T2[k]
		case k > lo:
			before, interval = b.V1[k-1], b.T1[k]-b.T1[k-1]
		default:
			return
		}
		out[i] = differenceOf(before, b.V1[k], interval, isRate)
	})
}

func rowCount(p *Points, out []float64) error {
	return p.each(func(i int, _, _ int32) { out[i] = float64(p.rowTimes.floats[i]) })
}

func rowFirst(p *Points, out []float64) error {
	b := p.rows
	return p.eachCut(func(i int, lo, _ int32, first bucket.Part) {
		switch out[i] = b.FirstV[lo]; first {
		case bucket.LastOne:
			out[i] = b.V1[lo]
		case bucket.LastTwo:
			out[i] = b.V2[lo]
		}
	})
}

func rowTsOfFirst(p *Points, out []float64) error {
	return p.eachCut(func(i int, lo, _ int32, first bucket.Part) {
		out[i] = float64(firstTime(p.rows, lo, first)) / 1000
	})
}

// rowPairs sets out to the number of consecutive pairs in each window for which
// differs returns true. inside holds those inside each row.
func rowPairs(p *Points, inside []uint32, out []float64, differs func(a, b float64) bool) error {
	b := p.rows
	upTo := resize(p.scratch.count, len(p.t)) // up to the last float of each row
	p.scratch.count = upTo
	n := int64(0)
	for k, c := range inside {
		if k > 0 && differs(b.V1[k-1], b.FirstV[k]) {
			n++
		}
		n += int64(c)
		upTo[k] = n
	}
	return p.eachCut(func(i int, lo, hi int32, first bucket.Part) {
		n := upTo[hi-1] - upTo[lo]
		switch {
		case first == bucket.All:
			n += int64(inside[lo])
		case first == bucket.LastTwo && differs(b.V2[lo], b.V1[lo]):
			n++
		}
		out[i] = float64(n)
	})
}

func rowResets(p *Points, out []float64) error { return rowPairs(p, p.rows.Resets, out, isReset) }

func rowChanges(p *Points, out []float64) error { return rowPairs(p, p.rows.Changes, out, isChange) }

// uncut returns points whose windows do not have the row that they cut, with other
// values. any reports whether a window cuts a row.
func (p *Points) uncut(vs []float64) (whole *Points, any bool) {
	s, times := p.scratch, p.rowTimes
	s.whole = *p
	s.whole.v = vs
	if times.cut {
		s.whole.Bounds = &times.whole
	}
	return &s.whole, times.cut
}

// rowExtreme computes the maximum, or with sign -1 the minimum, of each window. vs
// holds the extremes of the rows.
func rowExtreme(p *Points, vs, out []float64, sign float64) error {
	whole, cuts := p.uncut(vs)
	if !cuts {
		err := extreme(whole, out, sign)
		p.keepScratch(whole)
		return err
	}
	err := whole.extremeOfQueue(out, sign)
	p.keepScratch(whole)
	if err != nil {
		return err
	}
	b := p.rows
	return p.eachCut(func(i int, lo, hi int32, first bucket.Part) {
		if first == bucket.All {
			return
		}
		// The floats of the cut row come first, so they precede equal ones.
		x := b.V1[lo]
		if first == bucket.LastTwo {
			x = better(b.V2[lo]*sign, x*sign) * sign
		}
		if lo+1 < hi {
			x = better(x*sign, out[i]*sign) * sign
		}
		out[i] = x
	})
}

// keepScratch keeps the memory of points made by uncut.
func (p *Points) keepScratch(c *Points) {
	p.deque, p.sort, p.sums = c.deque, c.sort, c.sums
}

// rowExactSums sets out to the sum of each window, and returns false if the sums of
// rows are not all integers or can be rounded.
func rowExactSums(p *Points, out []float64) (bool, error) {
	whole, cuts := p.uncut(p.rows.Sum)
	ok := whole.exactSums(out)
	p.keepScratch(whole)
	if !ok || !cuts {
		return ok, nil
	}
	b := p.rows
	return true, p.eachCut(func(i int, lo, hi int32, first bucket.Part) {
		if first == bucket.All {
			return
		}
		x := b.V1[lo]
		if first == bucket.LastTwo {
			x += b.V2[lo]
		}
		if lo+1 < hi {
			x += out[i]
		}
		out[i] = x
	})
}

func rowSum(p *Points, out []float64) error {
	if ok, err := rowExactSums(p, out); ok {
		return err
	}
	b := p.rows
	return p.eachCut(func(i int, lo, hi int32, first bucket.Part) {
		var sum, c float64
		if first == bucket.LastTwo {
			sum, c = kahansum.Inc(b.V2[lo], sum, c)
		}
		if first != bucket.All {
			sum, c = kahansum.Inc(b.V1[lo], sum, c)
			lo++
		}
		for _, v := range b.Sum[lo:hi] {
			sum, c = kahansum.Inc(v, sum, c)
		}
		if math.IsInf(sum, 0) {
			out[i] = sum
			return
		}
		out[i] = sum + c
	})
}

func rowAvg(p *Points, out []float64) error {
	if ok, err := rowExactSums(p, out); ok {
		if err != nil {
			return err
		}
		return p.each(func(i int, _, _ int32) { out[i] /= float64(p.rowTimes.floats[i]) })
	}
	b := p.rows
	return p.eachCut(func(i int, lo, hi int32, first bucket.Part) {
		if first == bucket.All {
			sum, c := b.Sum[lo], 0.0
			for _, v := range b.Sum[lo+1 : hi] {
				sum, c = kahansum.Inc(v, sum, c)
			}
			if n := float64(p.rowTimes.floats[i]); sum-sum == 0 { // it has not overflown on the way
				out[i] = sum/n + c/n
				return
			}
		}
		m := runningMean{}
		if first == bucket.LastTwo {
			m.add(b.V2[lo], 1)
		}
		if first != bucket.All {
			m.add(b.V1[lo], 1)
			lo++
		}
		for k := lo; k < hi; k++ {
			m.add(b.Sum[k], float64(b.Count[k]))
		}
		out[i] = m.mean()
	})
}

// runningMean is the mean of sums. For sums of one value it does what mean does.
type runningMean struct {
	count, sum, c float64
	incremental   bool // sum is the mean, because the sum overflows
}

func (m *runningMean) add(v, n float64) {
	count := m.count
	m.count += n
	switch {
	case count == 0:
		m.sum = v
		return
	case !m.incremental:
		sum, c := kahansum.Inc(v, m.sum, m.c)
		if !math.IsInf(sum, 0) {
			m.sum, m.c = sum, c
			return
		}
		m.incremental = true
		m.sum, m.c = m.sum/count, m.c/count
	}
	q := count / m.count
	m.sum, m.c = kahansum.Inc(v/m.count, q*m.sum, q*m.c)
}

func (m *runningMean) mean() float64 {
	if m.incremental {
		return m.sum + m.c
	}
	return m.sum/m.count + m.c/m.count
}
