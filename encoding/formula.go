package encoding

import "math"

// formula computes a float from an integer: a transform and, for the three
// decimals, its exponent. The decimals are the expressions that programs use; their
// results differ in the last bits, so each is a transform of its own, and the
// encoder verifies every value with the decoder's expression. None of them adds to
// a product, so no compiler can fuse the two and all machines agree.
type formula struct {
	transform Transform // INT, DEC, DECM, BITS or DECDD; CONST in a header only
	e         uint8     // of a decimal, 1 ≤ e ≤ maxExponent; else 0
}

var (
	formulaInt  = formula{transform: TransformInt}
	formulaBits = formula{transform: TransformBits}
)

const (
	maxExponent   = 17
	minExponentDD = 4 // i/1000/10^1
)

var (
	powersOfTen = [maxExponent + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8,
		1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17}
	negativePowersOfTen = [maxExponent + 1]float64{1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8,
		1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15, 1e-16, 1e-17}
)

// isDecimal reports whether f is one of the three decimals and its exponent is
// in range.
func (f formula) isDecimal() bool {
	switch f.transform {
	case TransformDec, TransformDecM:
		return f.e >= 1 && f.e <= maxExponent
	case TransformDecDD:
		return f.e >= minExponentDD && f.e <= maxExponent
	}
	return false
}

// float returns the decimal of the integer k.
func (f formula) float(k int64) float64 {
	switch f.transform {
	case TransformDecM:
		return float64(k) * negativePowersOfTen[f.e]
	case TransformDecDD:
		return float64(k) / 1000 / powersOfTen[f.e-3]
	}
	return float64(k) / powersOfTen[f.e]
}

// toFloats turns integers into the floats they stand for, in place.
func (f formula) toFloats(vs []float64) {
	w := words(vs)
	vs = vs[:len(w)]
	switch f.transform {
	case TransformInt:
		for i, u := range w {
			vs[i] = float64(int64(u))
		}
	case TransformBits:
		for i, u := range w {
			vs[i] = fromOrdered(u)
		}
	case TransformDec:
		power := powersOfTen[f.e]
		for i, u := range w {
			vs[i] = float64(int64(u)) / power
		}
	case TransformDecM:
		power := negativePowersOfTen[f.e]
		for i, u := range w {
			vs[i] = float64(int64(u)) * power
		}
	case TransformDecDD:
		power := powersOfTen[f.e-3]
		for i, u := range w {
			vs[i] = float64(int64(u)) / 1000 / power
		}
	}
}

// fromOrdered is the inverse of orderedBits for one word.
func fromOrdered(w uint64) float64 {
	sign := uint64(int64(w) >> 63)
	return math.Float64frombits((w ^ sign) - sign | sign<<63)
}
