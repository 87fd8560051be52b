package window

import (
	"math"
)

// extreme computes the maximum, or with sign -1 the minimum, of each window: the first
// of equal values, or the last NaN if all values are NaN.
func extreme(p *Points, out []float64, sign float64) error {
	if m, ok := p.segments(); ok {
		return p.extremeOfSegments(out, sign, m)
	}
	return p.extremeOfQueue(out, sign)
}

// extremeOfQueue computes the extreme of windows of any width.
func (p *Points) extremeOfQueue(out []float64, sign float64) error {
	// The queue holds the samples that can still be the answer, best first, so that
	// each sample is compared once or twice regardless of the width of the windows.
	queue, from, seen := p.deque[:0], 0, int32(0)
	for i := range out {
		if i%1024 == 1023 {
			if err := p.host.Check(); err != nil {
				return err
			}
		}
		lo, hi := p.Lo[i], p.Hi[i]
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

// segments reports whether the windows can be divided into shared segments: windows
// are m steps wide, so that window i consists of segments i to i + m - 1, and a
// segment has two samples or more on average.
func (p *Points) segments() (m int, ok bool) {
	_, step := p.Ends(p.Grid)
	if step <= 0 || p.Width%step != 0 {
		return 0, false
	}
	m64 := p.Width / step
	return int(m64), m64 <= int64(p.N) && len(p.v) >= 2*(p.N+int(m64))
}

// extremeOfSegments computes the extreme of each segment, and that of m consecutive
// segments from two running extremes: backwards to the start of every m-th segment
// and forwards from it (van Herk, 1992). A NaN represents no value, and values are
// multiplied by sign.
func (p *Points) extremeOfSegments(out []float64, sign float64, m int) error {
	n := len(out)
	count := n + m - 1
	p.sort = resize(p.sort, 2*count)
	best, back := p.sort[:count], p.sort[count:]
	from := p.Lo[0]
	for s := range best {
		if s%1024 == 1023 {
			if err := p.host.Check(); err != nil {
				return err
			}
		}
		to := p.Hi[max(s+1-m, 0)]
		if s+1 < n {
			to = p.Lo[s+1]
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
		lo, hi := p.Lo[i], p.Hi[i]
		if lo >= hi {
			continue
		}
		// best covers the window from the start of an m-th segment, back covers it up
		// to there. If that segment is segment i, both cover the whole window.
		if x := better(back[i], best[i+m-1]); x == x {
			out[i] = x * sign
		} else {
			out[i] = p.v[hi-1]
		}
	}
	return nil
}

// better returns the greater of two values, a if they are equal, or the other value
// if one is NaN.
func better(a, b float64) float64 {
	if b > a || a != a {
		return b
	}
	return a
}
