package encoding

import "math"

// Floats of which a prediction is known, such as the first value of a bucket after the
// last one of the bucket before: a column of floats, not CONST and not XOR, whose
// integers are differences from those of the predictions. So the values of a column
// can be near those of another one, whatever the transform.

// appendPredictedFloats appends the column of vs, of which preds are the predictions, in
// the full tier. If sumsOf is a decimal, vs are sums of such decimals, of which the
// rounding errors make up to maxSumCorrection units in the last place.
func appendPredictedFloats(dst []byte, vs, preds []float64, sumsOf formula) []byte {
	s := takeScratch(Full)
	s.preds = preds
	c := candidates{at: len(dst), dst: dst}
	c.add(appendFloatsSearched(c.dst, vs, s))
	if sumsOf.isDecimal() && s.decimalsWithin(vs, sumsOf, maxSumCorrection) {
		c.add(appendTransformed(c.dst, vs, sumsOf, tryAll, s))
	}
	s.preds = nil
	scratches.Put(s)
	return c.dst
}

// maxSumCorrection is above the rounding error of a plain sum of some thousands of
// decimals: it grows with the root of their number.
const maxSumCorrection = 1 << 10

// subtractPredictions turns the integers of s into their differences from those of
// the predictions. An exception has the difference of the value before.
func (s *scratch) subtractPredictions(f formula) {
	ks, preds := s.ints, s.preds
	switch {
	case f.transform == TransformBits:
		for i, p := range preds {
			ks[i] -= toOrdered(p)
		}
	default:
		power := powersOfTen[f.e]
		for i, p := range preds {
			ks[i] -= nearestInteger(p, power)
		}
	}
	for _, r := range s.excs.runs {
		before := int64(0)
		if r.at > 0 {
			before = ks[r.at-1]
		}
		for i := range ks[r.at : r.at+r.n] {
			ks[r.at+i] = before
		}
	}
}

// nearestInteger returns the integer nearest to v·power, 0 if the product is NaN or
// out of the range of exact integers.
func nearestInteger(v, power float64) int64 {
	if !(math.Abs(float64(v*power)) < maxExact) {
		return 0
	}
	return nearest(v, power)
}

func toOrdered(v float64) int64 {
	b := int64(math.Float64bits(v))
	sign := b >> 63
	return (b&math.MaxInt64 ^ sign) - sign | sign<<63
}

// decodePredictedFloats fills vs with the values from i on of the n values of src.
// preds are their predictions. memory is used for their integers, and returned.
func decodePredictedFloats(vs, preds []float64, src []byte, n, i int, memory []uint64) ([]uint64, error) {
	h, rest, err := parsePredictedFloats(src, n)
	if err != nil {
		return memory, err
	}
	ks := words(vs)
	if len(vs) == n {
		err = decodeInts(ks, rest)
	} else {
		memory = sized(memory, i+len(vs))
		var from int
		from, err = decodeIntsRange(memory, rest, n, i)
		ks = memory[i-from:]
	}
	if err != nil {
		return memory, err
	}
	addPredictions(vs, preds[:len(vs)], ks[:len(vs)], h.formula)
	if h.corrections != nil {
		if err := decodeCorrections(vs, h.corrections, n, i); err != nil {
			return memory, err
		}
	}
	if h.excs.n > 0 {
		h.excs.apply(vs, i)
	}
	return memory, nil
}

// addPredictions sets vs to the floats of the integers that are ks more than those of the
// predictions. The memory of vs may be that of ks.
func addPredictions(vs, preds []float64, ks []uint64, f formula) {
	preds, ks = preds[:len(vs)], ks[:len(vs)]
	power := powersOfTen[f.e]
	switch small := areSmall(preds, power); {
	case f.transform == TransformBits:
		for i, p := range preds {
			vs[i] = fromOrdered(ks[i] + uint64(toOrdered(p)))
		}
	case small && f.transform == TransformInt:
		for i, p := range preds {
			vs[i] = float64(int64(ks[i] + integerNear(p)))
		}
	case small && f.transform == TransformDec:
		for i, p := range preds {
			vs[i] = float64(int64(ks[i]+integerNear(float64(p*power)))) / power
		}
	case small && f.transform == TransformDecM:
		inverse := negativePowersOfTen[f.e]
		for i, p := range preds {
			vs[i] = float64(int64(ks[i]+integerNear(float64(p*power)))) * inverse
		}
	default:
		w := words(vs)
		for i, p := range preds {
			w[i] = ks[i] + uint64(nearestInteger(p, power))
		}
		f.toFloats(vs)
	}
}

// areSmall reports whether the products of vs and a power of ten can be passed to
// integerNear. They cannot if one is NaN.
func areSmall(vs []float64, power float64) bool {
	largest := uint64(0) // magnitude, and its bits
	for _, v := range vs {
		largest = max(largest, math.Float64bits(v)&math.MaxInt64)
	}
	return math.Float64frombits(largest)*power < 1<<51
}

// integerNear is nearestInteger of a product below 2^51 in magnitude: the sum with shift
// has the integer in its lowest bits.
func integerNear(x float64) uint64 {
	const shift, bits = 3 << 51, 0x4338 << 48 // of the float
	return math.Float64bits(float64(x+shift)) - bits
}

func parsePredictedFloats(src []byte, n int) (h floatHeader, rest []byte, err error) {
	if h, rest, err = parseFloatHeader(src, n); err != nil {
		return h, nil, err
	}
	if h.formula.transform == TransformConst || h.formula.transform == TransformBits && len(rest) > 0 && rest[0] == xorByte {
		return h, nil, corruptf("floats: %s of predicted values", h.formula.transform)
	}
	return h, rest, nil
}
