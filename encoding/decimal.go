package encoding

import "math"

// Guessing the decimal formula of a column of floats from a sample of its values.

const (
	allVoters      = 128 // sampled values that choose the formula
	fewVoters      = 8   // the same for short columns of the fast tier
	exponentVoters = 32  // at most as many of them choose the exponent
	// At most one voter in voterFailures may not be a decimal; after voterPatience
	// failures, failures may not outnumber decimals.
	voterFailures = 8
	voterPatience = 3
)

// guessDecimal returns the formula that reproduces most of the sampled values, false
// if there is none: the lowest exponent at which nearly all are within maxCorrection,
// and then the formula that reproduces the most values exactly.
func (s *scratch) guessDecimal(vs []float64, voters int) (f formula, ok bool) {
	few := min(voters, exponentVoters)
	s.choose(vs, few)
	e, ok := guessExponent(s.voters, min(len(vs), few)/voterFailures)
	if !ok {
		return f, false
	}
	if voters > few {
		s.choose(vs, voters)
	}
	return mostExact(s.voters, e), true
}

// choose sets the voters to at most n values spread over vs, leaving out those that
// no formula can reproduce.
func (s *scratch) choose(vs []float64, n int) {
	n = min(n, len(vs))
	s.voters = s.voters[:0]
	indexes := sampleIndexesOf(max(n, 1), len(vs))
	for i := range n {
		v := vs[indexes.at(i)]
		if b := math.Float64bits(v); b<<1 < infinity<<1 && b != 1<<63 {
			s.voters = append(s.voters, v)
		}
	}
}

// infinity is the bits of +Inf. Larger magnitudes are NaNs.
const infinity = 0x7ff << 52

// guessExponent returns the lowest exponent at which nearly all values are decimals,
// false if more than failuresMax of them are not.
func guessExponent(vs []float64, failuresMax int) (uint8, bool) {
	var votes [maxExponent + 1]int
	decimals, failures, last := 0, 0, uint8(1)
	for _, v := range vs {
		// Most values have as many digits as their predecessor, so fewer digits are
		// tried only if one less suffices.
		e := exponentOf(v, longDecimal, max(last, 2)-1)
		if e < last && last > 2 {
			e = exponentOf(v, longDecimal, 1)
		}
		if e > 0 {
			last = e
			votes[e]++
			decimals++
			continue
		}
		failures++
		if failures > failuresMax || failures >= voterPatience && failures > decimals {
			return 0, false
		}
	}
	if decimals == 0 || failures > decimals {
		return 0, false
	}
	// A decimal with fewer digits than e is also one with e digits.
	for e, sum := uint8(1), 0; e <= maxExponent; e++ {
		if sum += votes[e]; sum*16 >= decimals*15 {
			return e, true
		}
	}
	return 0, false
}

// mostExact returns the formula of e digits that reproduces most of vs exactly; in a
// tie the first.
func mostExact(vs []float64, e uint8) (f formula) {
	power, best := powersOfTen[e], -1
	for _, t := range [...]Transform{TransformDec, TransformDecM, TransformDecDD} {
		c := formula{t, e}
		if !c.isDecimal() {
			continue
		}
		exact := 0
		for _, v := range vs {
			if sameBits(c.float(nearest(v, power)), v) {
				exact++
			}
		}
		if exact > best {
			best, f = exact, c
		}
		if exact == len(vs) {
			break
		}
	}
	return f
}

// Any float is near a decimal of 16 digits. A float therefore counts as a decimal
// only if its integer is below longDecimal, and above shortDecimal only if it is off
// by at most one unit in the last place. Of random floats one in two then passes
// near the upper bound and one in a thousand near the lower one; nearly all voters
// have to agree.
const (
	shortDecimal = 1 << 40
	longDecimal  = 1 << 50
)

// exponentOf returns the lowest number of digits after the point, at least
// minExponent, with which v is a decimal of an integer below limit; 0 if there is
// none.
func exponentOf(v, limit float64, minExponent uint8) uint8 {
	const shift = 3 << 51
	for e := minExponent; e <= maxExponent; e++ {
		x := float64(v * powersOfTen[e])
		size := math.Abs(x)
		if size >= limit {
			return 0
		}
		k := float64(x+shift) - shift
		if math.Abs(x-k) > size*0x1p-49 {
			continue // far from an integer: no need to divide
		}
		tolerance := int64(maxCorrection)
		if size > shortDecimal {
			tolerance = 1
		}
		if u := ulps(k/powersOfTen[e], v); u >= -tolerance && u <= tolerance {
			return e
		}
	}
	return 0
}
