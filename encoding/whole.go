package encoding

import "math"

// WholeBits reports, by the header of a column of n floats that can be decoded,
// that all values are whole numbers v, and of how many bits: |v| < 2^bits, 1 ≤ bits
// ≤ 53. It is 0 if the header does not say: the values may be whole nevertheless.
// -0 is one of them. What is added up of so few bits is not rounded.
func WholeBits(src []byte, n int) (bits int) {
	if len(src) == 0 || n < 1 || n > MaxValues {
		return 0
	}
	bound := math.Inf(1)
	switch src[0] {
	case byte(TransformInt): // nothing but: no exceptions
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

// intsBound returns a bound of the magnitudes of the n integers of the column src,
// infinite if its header does not say one.
func intsBound(src []byte, n int) float64 {
	var h intHeader
	if _, err := h.parse(src, n); err != nil {
		return math.Inf(1)
	}
	all := float64(n)
	residuals, each := all, math.Inf(1) // how many are not 0, and the bound of each
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
