package encoding

import "math"

// How a column of floats becomes a column of integers.

const (
	// maxExact bounds the integers that floats hold without gaps.
	maxExact = 1 << 53
	// maxCorrection is the largest difference in units in the last place between a
	// value and its decimal that is stored as a correction.
	maxCorrection = 4
)

// integers collects the integers of vs in s, and as exceptions the values that are
// not integers below 2^53. It returns false if there are too many exceptions.
func (s *scratch) integers(vs []float64) bool {
	s.excs.reset()
	s.corrected = false
	s.ints = sized(s.ints, len(vs))
	ks := s.ints[:len(vs)]
	prev := int64(0)
	for i, v := range vs {
		k := int64(v)
		if math.Float64bits(float64(k)) != math.Float64bits(v) || k >= maxExact || k <= -maxExact {
			if s.excs.add(i, v); s.excs.tooMany(len(vs)) {
				return false
			}
			k = prev
		}
		ks[i] = k
		prev = k
	}
	s.excs.leading(ks)
	return true
}

// ordered sets the integers of s to those of orderedBits.
func (s *scratch) ordered(vs []float64) {
	s.excs.reset()
	s.corrected = false
	s.ints = sized(s.ints, len(vs))
	orderedBits(s.ints, vs)
}

// decimals collects the integers, exceptions and corrections of vs as decimals of
// the formula f in s. It returns false if there are too many exceptions.
func (s *scratch) decimals(vs []float64, f formula) bool {
	return s.decimalsWithin(vs, f, maxCorrection)
}

// decimalsWithin is decimals with corrections up to maxUlps.
func (s *scratch) decimalsWithin(vs []float64, f formula, maxUlps int64) bool {
	s.excs.reset()
	s.corrected = false
	s.ints, s.corrections = sized(s.ints, len(vs)), s.corrections[:0]
	ks := s.ints[:len(vs)]
	power := powersOfTen[f.e]
	t, inverse, second := f.transform, negativePowersOfTen[f.e], 1.0
	if t == TransformDecDD {
		second = powersOfTen[f.e-3]
	}
	prev := int64(0)
	for i, v := range vs {
		k := nearest(v, power)
		var back float64
		switch t { // the branch is the same every time
		case TransformDec:
			back = float64(k) / power
		case TransformDecM:
			back = float64(k) * inverse
		default:
			back = float64(k) / 1000 / second
		}
		if math.Float64bits(back) != math.Float64bits(v) || k >= maxExact || k <= -maxExact {
			u := ulps(back, v)
			if k >= maxExact || k <= -maxExact || u < -maxUlps || u > maxUlps {
				if s.excs.add(i, v); s.excs.tooMany(len(vs)) {
					return false
				}
				k = prev
			} else {
				s.correct(i, u, len(vs))
			}
		}
		ks[i] = k
		prev = k
	}
	s.excs.leading(ks)
	return true
}

// correct records that value i of n lies u units in the last place above its
// formula.
func (s *scratch) correct(i int, u int64, n int) {
	if !s.corrected {
		s.corrected = true
		s.corrections = sized(s.corrections, n)
		clear(s.corrections)
	}
	s.corrections[i] = u
}

// nearest returns the integer nearest to v·power. If the product is out of the range
// of exact integers, so is the result.
func nearest(v, power float64) int64 {
	const shift = 3 << 51   // adding it leaves no bits after the binary point
	x := float64(v * power) // the conversion keeps the product from being fused
	if math.Abs(x) < 1<<51 {
		return int64(float64(x+shift) - shift)
	}
	return int64(math.RoundToEven(x))
}

// ulps returns the distance from a to b in units in the last place, or a number
// larger than maxCorrection in magnitude if they differ in sign or by much.
func ulps(a, b float64) int64 {
	return int64(math.Float64bits(b)) - int64(math.Float64bits(a))
}

// orderedBits maps floats to integers that sort in the same order: positive floats
// to their bits, negative ones to minus the bits of their magnitude. -0 becomes the
// smallest integer, because 0 is taken. The map is a bijection, so it has no
// exceptions, and low zero bits stay zero for both signs: values converted from
// float32 share the divisor 2^29.
func orderedBits(ks []int64, vs []float64) {
	ks = ks[:len(vs)]
	for i, v := range vs {
		b := int64(math.Float64bits(v))
		sign := b >> 63
		ks[i] = (b&math.MaxInt64 ^ sign) - sign | sign<<63
	}
}
