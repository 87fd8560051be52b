package bucket

import "math"

// falling are sums and extremes of integers, which may rise and fall.
type falling struct {
	sum, lost, least, most int64
	falls, rises           int64
}

// addPortable adds the floats from vs[i] on, i > 0, where vs[i-1] is added and an
// integer below maxInteger. It returns false, and f is not to be used any more, if one
// is no integer below maxInteger. It is falling.add without instructions for pairs.
func (f *falling) addPortable(vs []float64, i int) bool {
	prev, _ := integer(vs[i-1])
	for ; i < len(vs); i++ { // counters need less
		k, ok := integer(vs[i])
		if !ok {
			return false
		}
		if k < prev {
			break
		}
		f.rises += int64(uint64(prev-k) >> 63)
		f.sum += k
		prev = k
	}
	if f.most = max(f.most, prev); f.most >= maxInteger {
		return false
	}
	return i == len(vs) || f.addFalling(vs[i:], prev)
}

// addFalling is addPortable for floats after the integer prev.
func (f *falling) addFalling(vs []float64, prev int64) bool {
	// In the loop the integers have the bias, which their differences do not notice.
	const bias = integerBias
	prev += bias
	least, most, sum, lost, falls, notRises := f.least+bias, f.most+bias, f.sum, int64(0), int64(0), int64(0)
	n := int64(len(vs))
	for len(vs) > 0 {
		part := vs[:min(len(vs), integersAtOnce)]
		vs = vs[len(part):]
		differs := uint64(0)
		for _, v := range part {
			x := v + integerShift
			differs |= math.Float64bits(x-integerShift) ^ math.Float64bits(v)
			k := int64(math.Float64bits(x))
			d := k - prev
			falls += d >> 63
			notRises += (d - 1) >> 63
			lost += prev & (d >> 63)
			sum += k
			least, most = min(least, k), max(most, k)
			prev = k
		}
		if differs<<1 != 0 { // -0 has its sign only
			return false
		}
	}
	if least <= bias-maxInteger || most >= bias+maxInteger { // differences may have overflowed
		return false
	}
	f.least, f.most = least-bias, most-bias
	f.sum, f.lost = sum-n*bias, f.lost+lost+falls*bias
	f.falls, f.rises = f.falls-falls, f.rises+n+notRises
	return true
}

const (
	// maxInteger is above the magnitudes that integer converts.
	maxInteger = 1 << 51
	// integersAtOnce is the number of floats after which addFalling looks whether all
	// are integers.
	integersAtOnce = 64
	// integerShift is among the floats from 2^52 to 2^53, which are all integers and
	// have that in their lowest bits. integerBias are the bits of integerShift.
	integerShift = 3 << 51
	integerBias  = 0x4338 << 48
)

// integer returns v as an integer, false if it is none. If the magnitude of the result
// is maxInteger or more, it is not that of v but v's is as large.
func integer(v float64) (int64, bool) {
	x := v + integerShift
	return int64(math.Float64bits(x) - integerBias), x-integerShift == v
}
