package encoding

import "math"

// IntegralBits returns the smallest known bits, 1 ≤ bits ≤ 53, such that every value
// v of the column is an integer with |v| < 2^bits, judging by the header of a
// decodable column of n floats. It returns 0 if the header does not say, which does
// not mean that some value is fractional. -0 counts as an integer. Sums of such
// values are exact as long as they stay below 2^53.
func IntegralBits(src []byte, n int) (bits int) {
	if len(src) == 0 || n < 1 || n > MaxValues {
		return 0
	}
	bound := math.Inf(1)
	switch src[0] {
	case byte(TransformInt): // no exceptions
		bound = intsBound(src[1:], n)
	default:
		var v [1]float64
		if Transform(src[0]&floatTransform) == TransformConst && decodeConst(v[:], src[0], src[1:]) == nil && v[0] == math.Trunc(v[0]) {
			bound = math.Abs(v[0])
		}
	}
	// The bound is a sum of products that are rounded.
	if bound += bound/(1<<40) + 0.5; bound >= 1<<53 || bound != bound {
		return 0
	}
	_, bits = math.Frexp(bound)
	return max(bits, 1)
}

// intsBound returns an upper bound of the magnitudes of the n integers of the column
// src, +Inf if its header implies none.
func intsBound(src []byte, n int) float64 {
	var h intHeader
	if _, err := h.parse(src, n); err != nil {
		return math.Inf(1)
	}
	all := float64(n)
	residuals, each := all, math.Inf(1) // the number that are not 0, and the bound of each
	switch {
	case h.coder == CoderConst:
		each = 0
	case h.coder == CoderPack && h.pack.patches == 0:
		each = math.Ldexp(1, int(h.pack.width))
	case h.coder.tokens() && h.tokens.extra == nil:
		each = float64(shapeOf(h.coder).direct / 2)
	case h.coder == CoderSparse && !isSparse(h.sparse.values):
		residuals = float64(h.sparse.changes)
		each = intsBound(h.sparse.values, h.sparse.changes)
	}
	base, gcd, first, low := math.Abs(float64(h.base)), float64(h.gcd), math.Abs(float64(h.first)), math.Abs(float64(h.low))
	switch h.order {
	case OrderRaw:
		return base + gcd*each
	case OrderGrid:
		return base + gcd*(all*first+each)
	case OrderDelta:
		return base + gcd*(all*low+residuals*each)
	}
	return base + gcd*all*(first+all*low+residuals*each)
}
