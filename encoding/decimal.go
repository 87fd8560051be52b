package encoding

import "math"

// Decimals: floats that a program made from an integer by one of three
// formulas. They differ in the last bits, so each is its own transform, and the
// encoder verifies every value with the very expression of the decoder. None of
// them adds to a product, so no compiler can fuse the two and all machines agree.

// decimal is a transform and its exponent, 1 ≤ e ≤ maxExponent.
type decimal struct {
	transform Transform // DEC, DECM or DECDD
	e         uint8
}

const (
	maxExponent   = 17
	minExponentDD = 4 // i/1000/10^1
	// maxCorrection is by how many units in the last place a value may differ
	// from its formula and still be stored by the difference.
	maxCorrection = 4
)

var (
	powersOfTen = [maxExponent + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8,
		1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17}
	negativePowersOfTen = [maxExponent + 1]float64{1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8,
		1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15, 1e-16, 1e-17}
)

// valid reports whether d is one of the three formulas and its exponent is in
// range.
func (d decimal) valid() bool {
	switch d.transform {
	case TransformDec, TransformDecM:
		return d.e >= 1 && d.e <= maxExponent
	case TransformDecDD:
		return d.e >= minExponentDD && d.e <= maxExponent
	}
	return false
}

// float returns the value of the formula for the integer k.
func (d decimal) float(k int64) float64 {
	switch d.transform {
	case TransformDecM:
		return float64(k) * negativePowersOfTen[d.e]
	case TransformDecDD:
		return float64(k) / 1000 / powersOfTen[d.e-3]
	}
	return float64(k) / powersOfTen[d.e]
}

// nearest returns the integer whose decimal with e digits is nearest to v. It
// is out of the range of exact integers if v is.
func nearest(v, power float64) int64 {
	const shift = 3 << 51   // adding it leaves no bits behind the point
	x := float64(v * power) // the conversion keeps the product from being fused
	if math.Abs(x) < 1<<51 {
		return int64(float64(x+shift) - shift)
	}
	return int64(math.RoundToEven(x))
}

// ulps returns how many floats lie from a to b, or something larger than
// maxCorrection in magnitude if they differ in sign or much.
func ulps(a, b float64) int64 {
	return int64(math.Float64bits(b)) - int64(math.Float64bits(a))
}

const (
	exponentVoters = 32  // values that choose the exponent
	formulaVoters  = 128 // values that choose the formula
	// Of the voters one in voterFailures may be no decimal, and of the first
	// few as many as are.
	voterFailures = 8
	voterPatience = 3
)

// guessDecimal returns the formula that gives back most of a few values, false
// if there is none: the least exponent at which nearly all are within
// maxCorrection, and then the formula with the most exact ones.
func guessDecimal(vs []float64) (d decimal, ok bool) {
	e, ok := guessExponent(vs)
	if !ok {
		return d, false
	}
	best := -1
	for _, t := range [...]Transform{TransformDec, TransformDecM, TransformDecDD} {
		c := decimal{t, e}
		if !c.valid() {
			continue
		}
		hits := 0
		eachVoter(vs, formulaVoters, func(v float64) bool {
			if c.float(nearest(v, powersOfTen[e])) == v {
				hits++
			}
			return true
		})
		if hits > best {
			best, d = hits, c
		}
	}
	return d, true
}

func guessExponent(vs []float64) (uint8, bool) {
	var votes [maxExponent + 1]int
	decimals, failures := 0, 0
	limit := min(len(vs), exponentVoters) / voterFailures
	eachVoter(vs, exponentVoters, func(v float64) bool {
		if e := exponentOf(v, longDecimal); e > 0 {
			votes[e]++
			decimals++
		} else {
			failures++
		}
		return failures <= limit && (failures < voterPatience || failures <= decimals)
	})
	if decimals == 0 || failures > limit || failures > decimals {
		return 0, false
	}
	// A decimal with fewer digits than e is one with e digits, too.
	for e, sum := uint8(1), 0; e <= maxExponent; e++ {
		if sum += votes[e]; sum*16 >= decimals*15 {
			return e, true
		}
	}
	return 0, false
}

// Any float is near a decimal of 16 digits. So one counts as a decimal only if
// its integer is below longDecimal, and above shortDecimal only if
// it is off by one unit in the last place at most: of floats at random one in
// two is then taken for a decimal near the upper bound, one in a thousand near
// the lower one, and nearly all voters have to agree.
const (
	shortDecimal = 1 << 40
	longDecimal  = 1 << 50
)

// exponentOf returns the least number of digits behind the point, 1 at least,
// with which v is a decimal of an integer below most; 0 if there is none.
func exponentOf(v, most float64) uint8 {
	const shift = 3 << 51
	for e := uint8(1); e <= maxExponent; e++ {
		x := float64(v * powersOfTen[e])
		size := math.Abs(x)
		if size >= most {
			return 0
		}
		k := float64(x+shift) - shift
		if math.Abs(x-k) > size*0x1p-49 {
			continue // far from an integer: no need to divide
		}
		limit := int64(maxCorrection)
		if size > shortDecimal {
			limit = 1
		}
		if u := ulps(k/powersOfTen[e], v); u >= -limit && u <= limit {
			return e
		}
	}
	return 0
}

// eachVoter calls f with at most n values spread over vs, leaving out those that
// no formula gives back, until it returns false.
func eachVoter(vs []float64, n int, f func(v float64) bool) {
	n = min(n, len(vs))
	for i := range n {
		v := vs[(2*i+1)*len(vs)/(2*n)]
		if math.IsNaN(v) || math.IsInf(v, 0) || math.Float64bits(v) == 1<<63 {
			continue
		}
		if !f(v) {
			return
		}
	}
}

// decimals collects in s the integers, exceptions and corrections of vs as
// decimals; false if there are too many exceptions.
func (s *scratch) decimals(vs []float64, d decimal) bool {
	s.excs.reset()
	s.corrected = false
	s.ints, s.corrections = sized(s.ints, len(vs)), s.corrections[:0]
	ks := s.ints[:len(vs)]
	power := powersOfTen[d.e]
	formula, inverse, second := d.transform, negativePowersOfTen[d.e], 1.0
	if formula == TransformDecDD {
		second = powersOfTen[d.e-3]
	}
	prev := int64(0)
	for i, v := range vs {
		k := nearest(v, power)
		var f float64
		switch formula { // the branch is the same every time
		case TransformDec:
			f = float64(k) / power
		case TransformDecM:
			f = float64(k) * inverse
		default:
			f = float64(k) / 1000 / second
		}
		if math.Float64bits(f) != math.Float64bits(v) || k >= maxExact || k <= -maxExact {
			u := ulps(f, v)
			if k >= maxExact || k <= -maxExact || u < -maxCorrection || u > maxCorrection {
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

// correct notes that value i of n lies u units in the last place above its
// formula.
func (s *scratch) correct(i int, u int64, n int) {
	if !s.corrected {
		s.corrected = true
		s.corrections = sized(s.corrections, n)
		clear(s.corrections)
	}
	s.corrections[i] = u
}

// toFloats turns integers into the floats they stand for, in place.
func (d decimal) toFloats(vs []float64) {
	w := words(vs)
	vs = vs[:len(w)]
	switch d.transform {
	case TransformInt:
		for i, u := range w {
			vs[i] = float64(int64(u))
		}
	case TransformBits:
		for i, u := range w {
			vs[i] = fromOrdered(u)
		}
	case TransformDec:
		power := powersOfTen[d.e]
		for i, u := range w {
			vs[i] = float64(int64(u)) / power
		}
	case TransformDecM:
		power := negativePowersOfTen[d.e]
		for i, u := range w {
			vs[i] = float64(int64(u)) * power
		}
	case TransformDecDD:
		power := powersOfTen[d.e-3]
		for i, u := range w {
			vs[i] = float64(int64(u)) / 1000 / power
		}
	}
}
