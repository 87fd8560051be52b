// Package decimal parses decimal numbers as text protocols send them, several times
// faster than strconv for the usual ones. It is safe for concurrent use.
package decimal

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
)

// The errors of Parse and Int.
var (
	// ErrSyntax is returned for text that is no number.
	ErrSyntax = errors.New("invalid number")
	// ErrRange is returned for a number beyond the largest one.
	ErrRange = errors.New("value out of range")
)

// pow10 holds the powers of ten that float64 represents exactly.
var pow10 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// Parse parses [-] digits [. digits] [e [+-] digits], where the digits before or
// after the point may be missing.
func Parse(b []byte) (float64, error) {
	v, n, err := Leading(b)
	if n < len(b) {
		return 0, ErrSyntax
	}
	return v, err
}

// Leading parses the number at the start of b, in the form of Parse, and returns its
// length, also with ErrRange: what follows is no part of it. With few digits and a small exponent, by far
// the most common case, a single division or multiplication is exact; all other numbers
// are passed to strconv.
func Leading(b []byte) (v float64, n int, err error) {
	i := 0
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		i++
	}
	var mantissa uint64
	from := i
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		mantissa = mantissa*10 + uint64(b[i]-'0')
	}
	numDigits, fraction := i-from, 0
	if i < len(b) && b[i] == '.' {
		i++
		from = i
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
			mantissa = mantissa*10 + uint64(b[i]-'0')
		}
		fraction = i - from
		numDigits += fraction
	}
	if numDigits == 0 {
		return 0, 0, ErrSyntax
	}
	exponent := 0
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if exponent, i = exponentOf(b, i+1); i == 0 {
			return 0, 0, ErrSyntax
		}
	}
	if shift := exponent - fraction; numDigits <= 15 && shift >= -22 && shift <= 22 {
		v = float64(mantissa)
		if shift < 0 {
			v /= pow10[-shift]
		} else {
			v *= pow10[shift]
		}
		if negative {
			v = -v
		}
		return v, i, nil
	}
	v, err = strconv.ParseFloat(asString(b[:i]), 64)
	if err != nil {
		return 0, i, ErrRange
	}
	return v, i, nil
}

// eightDigits returns the number that eight bytes stand for, the first one the lowest
// byte of x. ok is false if they are not all digits. Pairs are joined, then pairs of
// pairs, in three multiplications in the place of eight.
func eightDigits(x uint64) (v uint64, ok bool) {
	const zeros, tops = 0x3030303030303030, 0x8080808080808080
	above := x + (0x7f-'9')*0x0101010101010101 // sets the top bit of bytes above '9'
	x -= zeros                                 // and this of those below '0'
	if (above|x)&tops != 0 {
		return 0, false
	}
	x = x*10 + x>>8 // each second byte is a number of two digits
	const pairs = 0x000000ff000000ff
	return ((x&pairs)*(100+1_000_000<<32) + (x>>16&pairs)*(1+10_000<<32)) >> 32, true
}

// exponentOf parses the exponent at index i, bounded, and returns the index behind it, 0
// if it has no digits.
func exponentOf(b []byte, i int) (exponent, end int) {
	minus := i < len(b) && b[i] == '-'
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		i++
	}
	from := i
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		exponent = min(exponent*10+int(b[i]-'0'), 1<<20)
	}
	if i == from {
		return 0, 0
	}
	if minus {
		exponent = -exponent
	}
	return exponent, i
}

// goNaN are the bits that Prometheus stores for any NaN of a text.
const goNaN = 0x7ff8000000000001

// ParseAny parses what Parse does, and a sign +, infinities and NaN, as Prometheus
// writes them in text: NaN is 0x7ff8000000000001. Numbers out of range are ErrRange.
func ParseAny(b []byte) (float64, error) {
	v, n, err := Leading(b)
	if n == len(b) && n > 0 {
		return v, err
	}
	return parseOther(b)
}

// parseOther is ParseAny of text that is no number of Parse.
func parseOther(b []byte) (float64, error) {
	if len(b) > len("+infinity") && b[0] != '+' {
		return 0, ErrSyntax
	}
	if len(b) > 1 && b[0] == '+' && b[1] != '-' {
		if v, err := Parse(b[1:]); err == nil || err == ErrRange {
			return v, err
		}
	}
	for _, c := range b { // hexadecimal digits and _ are Go's
		if c == '_' || c == 'p' || c == 'P' || c == 'x' || c == 'X' {
			return 0, ErrSyntax
		}
	}
	v, err := strconv.ParseFloat(asString(b), 64)
	switch {
	case err != nil:
		return 0, ErrSyntax
	case v != v:
		return math.Float64frombits(goNaN), nil
	}
	return v, nil
}

// Int parses an integer with an optional minus sign.
func Int(b []byte) (int64, error) {
	v, n, err := LeadingInt(b)
	if n < len(b) {
		return 0, ErrSyntax
	}
	return v, err
}

// LeadingInt parses the integer at the start of b, in the form of Int, and returns its
// length, also with ErrRange: what follows is no part of it.
func LeadingInt(b []byte) (v int64, n int, err error) {
	from := 0
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		from = 1
	}
	u, n := leadingDigits(b, from)
	switch {
	case n == from:
		return 0, 0, ErrSyntax
	case n-from > 19: // it may have wrapped
		if v, err = strconv.ParseInt(asString(b[:n]), 10, 64); err != nil || v == math.MinInt64 {
			return 0, n, ErrRange
		}
		return v, n, nil
	case u > math.MaxInt64:
		return 0, n, ErrRange
	case negative:
		return -int64(u), n, nil
	}
	return int64(u), n, nil
}

// Uint parses an integer without a sign.
func Uint(b []byte) (uint64, error) {
	v, n := leadingDigits(b, 0)
	switch {
	case n == 0 || n < len(b):
		return 0, ErrSyntax
	case n > 19: // it may have wrapped
		v, err := strconv.ParseUint(asString(b), 10, 64)
		if err != nil {
			return 0, ErrRange
		}
		return v, nil
	}
	return v, nil
}

// leadingDigits returns the number of the digits at index i, which wraps, and the index
// behind them.
func leadingDigits(b []byte, i int) (v uint64, end int) {
	for ; i+8 <= len(b); i += 8 { // times are long
		d, ok := eightDigits(binary.LittleEndian.Uint64(b[i:]))
		if !ok {
			break
		}
		v = v*1e8 + d
	}
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		v = v*10 + uint64(b[i]-'0')
	}
	return v, i
}
