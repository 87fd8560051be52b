package encoding

import (
	"math"
	"math/bits"
)

// divisor divides exactly: by a shift and a multiplication by the inverse of
// the odd part modulo 2^64, several times cheaper than dividing.
type divisor struct {
	g       uint64
	shift   uint
	inverse uint64 // of the odd part
	limit   uint64 // the largest multiple of the odd part, divided
}

func newDivisor(g uint64) divisor {
	shift := uint(bits.TrailingZeros64(g))
	odd := g >> shift
	// Newton's steps double the number of right bits, starting from 5.
	inverse := 3*odd ^ 2
	for range 4 {
		inverse *= 2 - odd*inverse
	}
	return divisor{g: g, shift: shift, inverse: inverse, limit: math.MaxUint64 / odd}
}

// divides reports whether x is a multiple. Other numbers have a huge quotient
// modulo 2^64.
func (d divisor) divides(x uint64) bool {
	return x&(1<<(d.shift&63)-1) == 0 && x>>(d.shift&63)*d.inverse <= d.limit
}

// units sets ks to the distances of vs from its first value, all of them
// multiples.
func (d divisor) units(ks, vs []int64) {
	v0, inverse := vs[0], int64(d.inverse)
	ks = ks[:len(vs)]
	for i, v := range vs {
		ks[i] = (v - v0) >> (d.shift & 63) * inverse
	}
}

// commonDivisor returns the greatest common divisor of the distances of all
// values from the first, 1 if they are all zero. The distances are modulo 2^64
// and taken as signed, so that vs[0] + g·k reproduces every value exactly.
func commonDivisor(vs []int64) uint64 {
	v0 := vs[0]
	var d divisor
	for _, v := range vs {
		x := magnitude(v - v0)
		if d.g == 0 {
			if x == 0 {
				continue
			}
		} else if d.divides(x) {
			continue
		}
		g := gcd(d.g, x)
		if g == 1 {
			return 1
		}
		d = newDivisor(g)
	}
	return max(d.g, 1)
}

// commonPowerOfTwo is commonDivisor without its odd factors. The bits of floats
// have odd common factors only by chance.
func commonPowerOfTwo(vs []int64) uint64 {
	v0, differ := vs[0], int64(0)
	for _, v := range vs {
		if differ |= v ^ v0; differ&1 != 0 {
			return 1
		}
	}
	if differ == 0 {
		return 1
	}
	return 1 << bits.TrailingZeros64(uint64(differ))
}

func magnitude(d int64) uint64 {
	m := d >> 63
	return uint64((d ^ m) - m)
}

// gcd returns the greatest common divisor of a and b ≠ 0, by halving and
// subtracting.
func gcd(a, b uint64) uint64 {
	if a == 0 {
		return b
	}
	shift := bits.TrailingZeros64(a | b)
	a >>= bits.TrailingZeros64(a)
	for {
		b >>= bits.TrailingZeros64(b)
		if a > b {
			a, b = b, a
		}
		if b -= a; b == 0 {
			return a << shift
		}
	}
}
