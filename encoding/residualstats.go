package encoding

import (
	"math"
	"math/bits"
)

// residualStats describes residuals relative to a centre: their extremes, and their
// number by sign and bit length. All differences are modulo 2^64, so any integers
// can be packed.
type residualStats struct {
	centre   int64
	min, max int64  // smallest and largest residual minus centre
	n        int    // residuals
	negative uint64 // of them below centre
	// count[2·len+sign]: x ≥ 0 has the bit length of x and sign 0, x < 0 has the
	// bit length of -x-1 and sign 1. So both signs of length ≤ l together are
	// exactly the window [-2^l, 2^l).
	count [130]uint32
}

// patchBits is the cost of a patch in bits, in addition to 8/7 of the bits that
// exceed the width: its gap, a sign and the rounding of a varint.
const patchBits = 13

// packRange is the range [low, low + 2^width) of residuals that are packed without
// a patch, and the estimated size of the column.
type packRange struct {
	low     int64
	width   uint
	patched bool // some residuals lie outside
	cost    int  // bits
}

// measure fills s with the residuals of ks in the order o, at least one.
func (s *residualStats) measure(ks []int64, o Order) {
	s.begin(ks, o)
	s.add(ks, o)
}

func (s *residualStats) begin(ks []int64, o Order) {
	s.centre = centre(ks, o)
	s.n, s.negative = 0, 0
	s.min, s.max = math.MaxInt64, math.MinInt64
	clear(s.count[:])
}

func (s *residualStats) add(ks []int64, o Order) {
	lo, hi, negative, c := s.min, s.max, s.negative, s.centre
	switch o {
	case OrderRaw:
		for _, k := range ks {
			x := k - c
			lo, hi = min(lo, x), max(hi, x)
			sign := uint64(x) >> 63
			negative += sign
			s.count[2*bits.Len64(uint64(x^x>>63))+int(sign)]++
		}
	case OrderDelta:
		prev := ks[0] + c
		for _, k := range ks[1:] {
			x := k - prev
			prev = k + c
			lo, hi = min(lo, x), max(hi, x)
			sign := uint64(x) >> 63
			negative += sign
			s.count[2*bits.Len64(uint64(x^x>>63))+int(sign)]++
		}
	case OrderDelta2:
		prev, step := ks[1], ks[1]-ks[0]+c
		for _, k := range ks[2:] {
			d := k - prev
			x := d - step
			prev, step = k, d+c
			lo, hi = min(lo, x), max(hi, x)
			sign := uint64(x) >> 63
			negative += sign
			s.count[2*bits.Len64(uint64(x^x>>63))+int(sign)]++
		}
	}
	s.n += len(ks) - int(o)
	s.min, s.max, s.negative = lo, hi, negative
}

// centre returns the median of a sample of the residuals. It only has to lie near
// most of them: the pack range is searched from there.
func centre(ks []int64, o Order) int64 {
	var few [maxSampled]int64
	m := len(ks) - int(o)
	n := numSampled(m, 5)
	indexes := sampleIndexesOf(n, m)
	for i := range n {
		x := residualAt(ks, indexes.at(i)+int(o), o)
		j := i
		for ; j > 0 && few[j-1] > x; j-- {
			few[j] = few[j-1]
		}
		few[j] = x
	}
	return few[n/2]
}

// sampledWidth returns the number of bits that tell the residuals of a sample
// apart, leaving out the outermost ones, which may be resets.
func sampledWidth(ks []int64, o Order) int {
	m := len(ks) - int(o)
	n := numSampled(m, 7)
	if n == 1 {
		return 0
	}
	indexes := sampleIndexesOf(n, m)
	lowest, low := int64(math.MaxInt64), int64(math.MaxInt64)
	highest, high := int64(math.MinInt64), int64(math.MinInt64)
	for i := range n {
		x := residualAt(ks, indexes.at(i)+int(o), o)
		lowest, low = min(lowest, x), min(low, max(lowest, x))
		highest, high = max(highest, x), max(high, min(highest, x))
	}
	return bits.Len64(uint64(high - low))
}

// residualAt returns the residual of ks[i] in the order o, which needs i ≥
// o.heads().
func residualAt(ks []int64, i int, o Order) int64 {
	switch o {
	case OrderDelta:
		return ks[i] - ks[i-1]
	case OrderDelta2:
		return ks[i] + ks[i-2] - 2*ks[i-1]
	}
	return ks[i]
}

// numSampled returns the size of a sample of m residuals; for short columns it is at
// most short.
func numSampled(m, short int) int {
	if m >= 128 {
		return maxSampled
	}
	return min(m, short)
}

const maxSampled = 15

// best returns the pack range with the lowest cost. For each width it tries the
// range around the centre, and the ranges from the centre up or down if few
// residuals lie on the other side.
func (s *residualStats) best() packRange {
	exact := bits.Len64(uint64(s.max - s.min))
	b := packRange{low: s.centre + s.min, width: uint(exact), cost: s.n * exact}
	if exact == 0 {
		return b
	}
	side := [2]int{s.n - int(s.negative), int(s.negative)}
	top := max(bits.Len64(uint64(max(s.max, 0))), bits.Len64(uint64(^min(s.min, -1))))
	// out[sign] residuals are longer than w bits, by over bits together.
	var out [2]int
	over := 0
	for w := top; w >= 0 && 8*(out[0]+out[1]) < 7*s.n; w-- {
		longer := out[0] + out[1]
		for sign, other := range [2]int{side[1], side[0]} {
			// The lengths on the other side are not looked up but taken as w.
			if n := longer - out[1-sign] + other; w < exact && 8*other <= s.n {
				if c := s.n*w + n*patchBits + over*8/7; c < b.cost {
					b = packRange{low: s.centre, width: uint(w), patched: true, cost: c}
					if sign == 1 {
						b.low = s.centre - int64(uint64(1)<<w)
					}
				}
			}
		}
		out[0] += int(s.count[2*w])
		out[1] += int(s.count[2*w+1])
		if n := out[0] + out[1]; w > 0 && w < exact {
			if c := s.n*w + n*patchBits + (over+n)*8/7; c < b.cost {
				b = packRange{low: s.centre - int64(uint64(1)<<(w-1)), width: uint(w), patched: true, cost: c}
			}
		}
		over += out[0] + out[1]
	}
	return b
}
