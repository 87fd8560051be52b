package encoding

import "math"

// Which decimal a column of floats is made of, guessed from a few of its values.

const (
	allVoters      = 128 // values that choose the formula
	fewVoters      = 8   // of short columns of the fast tier
	exponentVoters = 32  // of them at most choose the exponent
	// Of the voters one in voterFailures may be no decimal, and of the first
	// few as many as are.
	voterFailures = 8
	voterPatience = 3
)

// guessDecimal returns the formula that gives back most of a few values, false
// if there is none: the least exponent at which nearly all are within
// maxCorrection, and then the formula with the most exact ones.
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

// choose sets the voters to at most n values spread over vs, without those that
// no formula gives back.
func (s *scratch) choose(vs []float64, n int) {
	n = min(n, len(vs))
	s.voters = s.voters[:0]
	spots := spotsOf(max(n, 1), len(vs))
	for i := range n {
		v := vs[spots.at(i)]
		if b := math.Float64bits(v); b<<1 < infinity<<1 && b != 1<<63 {
			s.voters = append(s.voters, v)
		}
	}
}

// infinity is the bits of +Inf. All that are larger in magnitude are NaNs.
const infinity = 0x7ff << 52

// guessExponent returns the least exponent at which nearly all values are
// decimals, false if more than so many of them are none.
func guessExponent(vs []float64, failuresMax int) (uint8, bool) {
	var votes [maxExponent + 1]int
	decimals, failures, last := 0, 0, uint8(1)
	for _, v := range vs {
		// Most have as many digits as the one before. So fewer are tried only if one
		// less is enough.
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
	// A decimal with fewer digits than e is one with e digits, too.
	for e, sum := uint8(1), 0; e <= maxExponent; e++ {
		if sum += votes[e]; sum*16 >= decimals*15 {
			return e, true
		}
	}
	return 0, false
}

// mostExact returns the decimal of e digits that gives back most of vs; of equals
// the one that is first here.
func mostExact(vs []float64, e uint8) (f formula) {
	power, most := powersOfTen[e], -1
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
		if exact > most {
			most, f = exact, c
		}
		if exact == len(vs) {
			break
		}
	}
	return f
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

// exponentOf returns the least number of digits behind the point, from least
// on, with which v is a decimal of an integer below most; 0 if there is none.
func exponentOf(v, most float64, least uint8) uint8 {
	const shift = 3 << 51
	for e := least; e <= maxExponent; e++ {
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
