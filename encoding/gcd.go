package encoding

import "math/bits"

// commonDivisor returns the greatest common divisor of the distances of all
// values from the first, 0 if all are equal. The distances are modulo 2^64 and
// taken as signed, so that vs[0] + g·k gives every value back exactly.
func commonDivisor(vs []int64) uint64 {
	if len(vs) == 0 {
		return 0
	}
	v0, g := vs[0], uint64(0)
	for _, v := range vs {
		x := magnitude(v - v0)
		if x == 0 {
			continue
		}
		if g == 0 {
			g = x
			continue
		}
		if x%g == 0 {
			continue
		}
		if g = gcd(g, x%g); g == 1 {
			return 1
		}
	}
	return g
}

func magnitude(d int64) uint64 {
	m := d >> 63
	return uint64((d ^ m) - m)
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// divideAll sets ks to the distances of vs from its first value in units of g,
// which divides all of them. Exact division is a shift and a multiplication by
// the inverse of the odd part, several times cheaper than dividing.
func divideAll(ks, vs []int64, g uint64) {
	shift := bits.TrailingZeros64(g)
	inverse := int64(inverseOdd(g >> shift))
	v0 := vs[0]
	ks = ks[:len(vs)]
	for i, v := range vs {
		ks[i] = ((v - v0) >> shift) * inverse
	}
}

// inverseOdd returns the x with odd·x = 1 modulo 2^64. Each of Newton's steps
// doubles the number of right bits, starting from 5.
func inverseOdd(odd uint64) uint64 {
	x := 3*odd ^ 2
	for range 4 {
		x *= 2 - odd*x
	}
	return x
}
