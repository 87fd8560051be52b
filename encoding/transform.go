package encoding

import "math"

// integers collects in s the integers and exceptions of vs, which are the
// values that are no integers below 2^53; false if there are too many.
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

// maxExact bounds the integers that floats hold without gaps.
const maxExact = 1 << 53

// orderedBits maps floats to integers that order as they do: positive ones to
// their bits, negative ones to minus the bits of their magnitude. Only -0, whose
// place is taken, becomes the least integer. So it is a bijection and has no
// exceptions, and low zero bits stay zero for both signs: values that were
// float32 once share the divisor 2^29.
func orderedBits(ks []int64, vs []float64) {
	ks = ks[:len(vs)]
	for i, v := range vs {
		b := int64(math.Float64bits(v))
		sign := b >> 63
		ks[i] = (b&math.MaxInt64 ^ sign) - sign | sign<<63
	}
}

// fromOrdered is the inverse of orderedBits for one word.
func fromOrdered(w uint64) float64 {
	sign := uint64(int64(w) >> 63)
	return math.Float64frombits((w ^ sign) - sign | sign<<63)
}
