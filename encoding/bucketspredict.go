package encoding

import (
	"math"

	"tsdb/internal/model"
)

// predictors returns the columns from which column k is predicted in its form.
func (p *bucketParts) predictors(k int) model.BucketColumns {
	form := p.forms[k]
	switch {
	case form == formOwn || p.isZero(k):
		return 0
	case k == bucketFirst || k == bucketLast2:
		return model.ColumnLast
	case k == bucketSum && form == formSecond:
		return model.ColumnMin | model.ColumnMax
	case k == bucketChanges:
		return 0
	case k == bucketResets:
		return model.ColumnChanges
	case k == bucketLost && form == formSecond:
		return model.ColumnResets | model.ColumnSum
	case k == bucketLost:
		return model.ColumnResets | model.ColumnMax
	}
	return model.ColumnFirst | model.ColumnLast
}

// isZero reports whether all values of column k are 0 without being stored.
func (p *bucketParts) isZero(k int) bool {
	if p.forms[k] != formPredicted {
		return false
	}
	switch k {
	case bucketLast, bucketChanges, bucketResets, bucketFlags:
		return true
	case bucketLost:
		return p.isZero(bucketResets)
	}
	return false
}

// predictFloats returns what a form predicts of a column of floats: in dst, which has a
// value for each row, or in another column.
func predictFloats(dst []float64, k int, form bucketForm, rows *bucketRows) []float64 {
	last := rows.floats[bucketLast]
	if k == bucketFirst && form != formSecond || k == bucketLast2 {
		return last
	}
	preds, n := dst, len(dst)
	first := rows.floats[bucketFirst][:n]
	switch k {
	case bucketLast:
		clear(preds)
	case bucketFirst:
		copy(preds[1:], last)
		preds[0] = last[0]
	case bucketMin:
		lowerOf(preds, first, last, 1)
	case bucketMax:
		lowerOf(preds, first, last, -1)
	case bucketSum:
		if form == formSecond {
			first, last = rows.floats[bucketMin][:n], rows.floats[bucketMax][:n]
		}
		for i, count := range rows.counts[:n] {
			preds[i] = trapezoid(count, first[i], last[i])
		}
	case bucketLost:
		maxs, sums, counts := rows.floats[bucketMax], rows.floats[bucketSum], rows.counts
		for i, resets := range rows.numbers[bucketResets][:n] {
			v := 0.0
			if resets > 0 && counts[i] > 0 {
				if v = maxs[i]; form == formSecond {
					v = sums[i] / float64(counts[i])
				}
				if v *= float64(resets); v-v != 0 {
					v = 0
				}
			}
			preds[i] = v
		}
	}
	return preds
}

// lowerOf sets dst to the lower of the values in a and b, or with sign -1 to the higher
// ones; to that in a if they are equal or one is NaN.
func lowerOf(dst, a, b []float64, sign float64) {
	a, b = a[:len(dst)], b[:len(dst)]
	largest := uint64(0) // magnitude of the differences
	for i, v := range a {
		// Which one is lower is as good as random, so a branch would cost more than all of
		// this. Differences of floats that differ are not 0. Zero is added to -0.
		w := b[i]
		x, y := math.Float64bits(v), math.Float64bits(w)
		d := math.Float64bits(float64(w-v)*sign + 0)
		largest = max(largest, d&math.MaxInt64)
		dst[i] = math.Float64frombits(x ^ (x^y)&uint64(int64(d)>>63))
	}
	if largest <= infinity {
		return
	}
	for i, v := range a { // some difference is NaN
		if w := b[i]; w*sign < v*sign {
			v = w
		}
		dst[i] = v
	}
}

// trapezoid returns the sum of count values that lie on a line from first to last, 0 if
// it is not finite: the bits of a NaN depend on the machine. No product is added to
// anything, so it is the same on all machines.
func trapezoid(count uint32, first, last float64) float64 {
	v := float64(float64(first+last)*0.5) * float64(count)
	if v-v != 0 {
		return 0
	}
	return v
}

// predictNumber returns the prediction of changes or of resets.
func predictNumber(k int, count, changes uint32) int64 {
	if k == bucketChanges {
		return int64(count) - 1
	}
	return int64(changes / 2)
}

// formScores estimate the sizes of the forms of a column of floats from a sample of
// its values: the mean of the binary logarithms of the distances from the predictions.
type formScores struct {
	known  [formSecond + 1]bool
	sums   [formSecond + 1]int // of the logarithms of the distances that are not 0
	zeros  [formSecond + 1]int // distances that are 0
	lowest int                 // logarithm; 0 if there is none
	n      int                 // values sampled
	all    bool                // the samples tell nothing
	long   bool                // the column is
}

const (
	formSamples = 64
	// trialFrom is the number of values from which on fewer forms are tried: the
	// samples tell more of a long column. The forms are tried on a quarter of it first,
	// and those dropped that take over 1/trialBias more bytes than another.
	trialFrom = 1024
	trialBias = 16
	// nanExponent is the exponent of NaNs and infinities.
	nanExponent = infinity >> 52
)

// add adds a form. The predictions of form 1 are the values before.
func (f *formScores) add(form bucketForm, vs, preds []float64) {
	f.known[form], f.n, f.long = true, min(formSamples, len(vs)), len(vs) >= trialFrom
	indexes := sampleIndexesOf(formSamples, len(vs))
	if f.n < formSamples {
		indexes = sampleIndexesOf(len(vs), len(vs))
	}
	for k := range f.n {
		i := indexes.at(k)
		v, p := vs[i], 0.0
		switch {
		case preds != nil:
			p = preds[i]
		case i > 0:
			p = vs[i-1]
		default:
			p = v
		}
		if math.Float64bits(v) == math.Float64bits(p) {
			f.zeros[form]++
			continue
		}
		l := int(math.Float64bits(v-p) << 1 >> 53)
		if l == nanExponent {
			f.all = true
		}
		f.sums[form] += l
		if f.lowest == 0 || l < f.lowest {
			f.lowest = l
		}
	}
}

// margin returns how much the estimate of a form may be above the lowest for it to be
// tried: a bit a value, or half a bit in long columns.
func (f *formScores) margin() int {
	if f.long {
		return f.n / 2
	}
	return f.n
}

// worth reports whether a form may be the shortest.
func (f *formScores) worth(form bucketForm) bool {
	if !f.known[form] || f.all {
		return f.known[form]
	}
	score := func(form bucketForm) int { return f.sums[form] + f.zeros[form]*(f.lowest-1) }
	own := score(form)
	for o, known := range f.known {
		o := bucketForm(o)
		switch other := score(o); {
		case !known || o == form:
		case own > other+f.margin():
			return false
		case own == other && o < form && f.zeros[o] == f.zeros[form]: // most likely the same predictions
			return false
		}
	}
	return true
}
