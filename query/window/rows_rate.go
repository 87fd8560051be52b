package window

import (
	"math"
	"time"

	"tsdb/rollup/bucket"
)

// rowRate computes rate, increase and delta, as extrapolated does.
func rowRate(p *Points, out []float64, isCounter, isRate bool) error {
	var resets rowLosses
	if isCounter {
		resets.find(p)
	}
	seconds := 1.0
	if isRate {
		seconds = secondsOf(p.Windows)
	}
	placed := p.rowTimes.placed
	for from := 0; from < len(out); from += 1024 {
		if from > 0 {
			if err := p.host.Check(); err != nil {
				return err
			}
		}
		p.extrapolateRows(&resets, placed, from, min(from+1024, len(out)), out, isCounter, seconds)
	}
	return nil
}

// secondsOf returns the width of windows in seconds.
func secondsOf(w *Windows) float64 { return (time.Duration(w.Width) * time.Millisecond).Seconds() }

// extrapolateRows sets out for the windows from ≤ i < to, as extrapolate does.
func (p *Points) extrapolateRows(resets *rowLosses, placed []placement, from, to int, out []float64, isCounter bool, seconds float64) {
	b, los, his, cut := p.rows, p.Lo[:to], p.Hi[:to], p.rowTimes.cut
	firsts, lasts := b.FirstV, b.V1
	for i := from; i < to; i++ {
		place := &placed[i]
		if place.sampled == 0 { // no two floats
			continue
		}
		lo, last := los[i], his[i]-1
		part, first := bucket.All, firsts[lo]
		if cut {
			switch part = p.rowTimes.parts[i]; part {
			case bucket.LastOne:
				first = lasts[lo]
			case bucket.LastTwo:
				first = b.V2[lo]
			}
		}
		result := lasts[last] - first
		if resets.any {
			result = resets.add(result, p, lo, last, part)
		}
		out[i] = place.extrapolate(result, first, isCounter, seconds)
	}
}

// rowLosses holds what resets took from a counter: the values before them.
type rowLosses struct {
	any  bool
	sums []int64 // up to the last float of each row; only if all are integers

	at       []int32 // otherwise the rows with a reset in them or before their first float
	from, to int     // the range of at in the current window
}

// find finds the resets of p.
func (r *rowLosses) find(p *Points) {
	b := p.rows
	at := p.deque[:0]
	lasts := b.V1
	firsts, lost := b.FirstV[:len(lasts)], b.Lost[:len(lasts)]
	before := math.Inf(-1)
	for k, last := range lasts {
		if lost[k] != 0 || firsts[k] < before {
			at = append(at, int32(k))
		}
		before = last
	}
	p.deque, r.at, r.any = at, at, len(at) > 0
	if r.any {
		r.sums = p.lostSums()
	}
}

// lostSums returns the sums of what was lost up to each row, nil unless all values
// that windows use are integers whose sums and differences cannot be rounded.
func (p *Points) lostSums() []int64 {
	b := p.rows
	sums := resize(p.sums, len(p.t))
	p.sums = sums
	sum, before, size := int64(0), int64(math.MinInt64), uint64(0) // size is the sum of the magnitudes
	for k, x := range b.Lost {
		lost, ok := integer(x)
		first, ok1 := integer(b.FirstV[k])
		last, ok2 := integer(b.V1[k])
		ok3 := true
		if p.rowTimes.cut { // otherwise it is in no window
			_, ok3 = integer(b.V2[k])
		}
		if !ok || !ok1 || !ok2 || !ok3 {
			return nil
		}
		if first < before {
			sum += before
			size += uint64(max(before, -before))
		}
		sum += lost
		sums[k] = sum
		size += uint64(max(lost, -lost))
		if size >= 1<<51 {
			return nil
		}
		before = last
	}
	return sums
}

// integer returns a float as an integer below 2^51 in magnitude, false if it is not
// one or -0.
func integer(v float64) (int64, bool) {
	i := int64(v)
	return i, math.Float64bits(float64(i)) == math.Float64bits(v) && -1<<51 < i && i < 1<<51
}

// add adds the values lost in resets from a part of row lo to the end of row last to
// their difference. It must be called for windows in ascending order.
func (r *rowLosses) add(difference float64, p *Points, lo, last int32, part bucket.Part) float64 {
	b := p.rows
	inFirst := 0.0
	switch {
	case part == bucket.All:
		inFirst = b.Lost[lo]
	case part == bucket.LastTwo && b.V1[lo] < b.V2[lo]:
		inFirst = b.V2[lo]
	}
	if inFirst != 0 {
		difference += inFirst
	}
	if r.sums != nil {
		return difference + float64(r.sums[last]-r.sums[lo])
	}
	for r.from < len(r.at) && r.at[r.from] <= lo {
		r.from++
	}
	r.to = max(r.to, r.from)
	for r.to < len(r.at) && r.at[r.to] <= last {
		r.to++
	}
	for _, k := range r.at[r.from:r.to] {
		if v := b.V1[k-1]; b.FirstV[k] < v {
			difference += v
		}
		if v := b.Lost[k]; v != 0 {
			difference += v
		}
	}
	return difference
}
