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
func guessDecimal(vs []float64, voters int) (f formula, ok bool) {
	e, ok := guessExponent(vs, min(voters, exponentVoters))
	if !ok {
		return f, false
	}
	best := -1
	for _, t := range [...]Transform{TransformDec, TransformDecM, TransformDecDD} {
		c := formula{t, e}
		if !c.isDecimal() {
			continue
		}
		hits := 0
		eachVoter(vs, voters, func(v float64) bool {
			if c.float(nearest(v, powersOfTen[e])) == v {
				hits++
			}
			return true
		})
		if hits > best {
			best, f = hits, c
		}
	}
	return f, true
}

func guessExponent(vs []float64, voters int) (uint8, bool) {
	var votes [maxExponent + 1]int
	decimals, failures := 0, 0
	limit := min(len(vs), voters) / voterFailures
	eachVoter(vs, voters, func(v float64) bool {
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
