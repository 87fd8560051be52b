package encoding

import (
	"math"
	"math/bits"
	"slices"
)

// spread is how far residuals lie from a centre: their extremes and how many
// there are of each sign and bit length. All differences are modulo 2^64, so
// any integers can be packed.
type spread struct {
	centre   int64
	min, max int64 // smallest and largest residual minus centre
	n        int
	// count[2·len+sign]: x ≥ 0 has the bit length of x and sign 0, x < 0 has the
	// bit length of -x-1 and sign 1. So both signs of length ≤ l together are
	// exactly the window [-2^l, 2^l).
	count [130]uint32
}

// patchBits is what a patch costs beside the bits that stick out: its gap and
// the rounding of two varints.
const patchBits = 18

// window is the range [low, low + 2^width) of residuals that are packed
// without a patch, and about how many bits the column then takes.
type window struct {
	low     int64
	width   uint
	patched bool
	cost    int
}

// measure fills s with the residuals of an order.
func (s *spread) measure(ks []int64, o Order) {
	s.centre = centre(ks, o)
	clear(s.count[:])
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	c := s.centre
	switch o {
	case OrderRaw:
		s.n = len(ks)
		for _, k := range ks {
			x := k - c
			lo, hi = min(lo, x), max(hi, x)
			s.count[bin(x)]++
		}
	case OrderDelta:
		s.n = len(ks) - 1
		prev := ks[0] + c
		for _, k := range ks[1:] {
			x := k - prev
			prev = k + c
			lo, hi = min(lo, x), max(hi, x)
			s.count[bin(x)]++
		}
	case OrderDelta2:
		s.n = len(ks) - 2
		prev, step := ks[1], ks[1]-ks[0]+c
		for _, k := range ks[2:] {
			d := k - prev
			x := d - step
			prev, step = k, d+c
			lo, hi = min(lo, x), max(hi, x)
			s.count[bin(x)]++
		}
	}
	s.min, s.max = lo, hi
}

func bin(x int64) int {
	m := x >> 63
	return 2*bits.Len64(uint64(x^m)) - int(m)
}

// centre is the median of a few residuals spread over the column. It only has
// to lie where most are: the window is found from there.
func centre(ks []int64, o Order) int64 {
	var few [15]int64
	first := int(o)
	m := len(ks) - first
	n := min(m, 5)
	if m >= 128 {
		n = len(few)
	}
	for i := range n {
		at := first + (2*i+1)*m/(2*n)
		switch o {
		case OrderRaw:
			few[i] = ks[at]
		case OrderDelta:
			few[i] = ks[at] - ks[at-1]
		case OrderDelta2:
			few[i] = ks[at] - 2*ks[at-1] + ks[at-2]
		}
	}
	slices.Sort(few[:n])
	return few[n/2]
}

// best returns the window that takes the fewest bits. Of each width it looks
// at three: around the centre, from the centre up, and below it.
func (s *spread) best() window {
	exact := uint(bits.Len64(uint64(s.max - s.min)))
	b := window{low: s.centre + s.min, width: exact, cost: s.n * int(exact)}
	if exact == 0 {
		return b
	}
	// Of the residuals of each sign: how many are longer than w bits, and by how
	// many bits together; and the same for w-1.
	var out, over [2]int
	total, all := [2]int{}, [2]int{} // longer than -1 bits: all of them
	top := max(bits.Len64(uint64(max(s.max, 0))), bits.Len64(uint64(^min(s.min, -1))))
	for l := range top + 1 {
		for sign := range 2 {
			c := int(s.count[2*l+sign])
			total[sign] += c
			all[sign] += c * l
		}
	}
	for w := top; w >= 0; w-- {
		// Here out and over speak of lengths above w.
		if w < int(exact) {
			for sign := range 2 {
				n := out[sign] + total[1-sign]
				excess := over[sign] + max(0, all[1-sign]-w*total[1-sign])
				if c := s.n*w + n*patchBits + excess*8/7; c < b.cost {
					b = window{low: s.centre, width: uint(w), patched: true, cost: c}
					if sign == 1 {
						b.low = s.centre - int64(uint64(1)<<w)
					}
				}
			}
		}
		below := [2]int{out[0] + int(s.count[2*w]), out[1] + int(s.count[2*w+1])}
		if w > 0 && w < int(exact) {
			n := below[0] + below[1]
			excess := over[0] + over[1] + n // above w-1 bits, measured from w
			if c := s.n*w + n*patchBits + excess*8/7; c < b.cost {
				b = window{low: s.centre - int64(uint64(1)<<(w-1)), width: uint(w), patched: true, cost: c}
			}
		}
		out = below
		over[0] += out[0]
		over[1] += out[1]
	}
	return b
}
