// Package decimal parses decimal numbers as text protocols send them, several times
// faster than strconv for the usual ones. It is safe for concurrent use.
package decimal

import (
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
// after the point may be missing. With few digits and a small exponent, by far the
// most common case, a single division or multiplication is exact; all other numbers
// are passed to strconv.
func Parse(b []byte) (float64, error) {
	if len(b) == 0 {
		return 0, ErrSyntax
	}
	i := 0
	negative := b[0] == '-'
	if negative {
		i++
	}
	var mantissa uint64
	digits, fraction := 0, 0
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		mantissa = mantissa*10 + uint64(b[i]-'0')
		digits++
	}
	if i < len(b) && b[i] == '.' {
		for i++; i < len(b) && b[i]-'0' <= 9; i++ {
			mantissa = mantissa*10 + uint64(b[i]-'0')
			digits++
			fraction++
		}
	}
	if digits == 0 {
		return 0, ErrSyntax
	}
	exponent := 0
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		minus := i < len(b) && b[i] == '-'
		if i < len(b) && (b[i] == '-' || b[i] == '+') {
			i++
		}
		if i == len(b) {
			return 0, ErrSyntax
		}
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
			exponent = min(exponent*10+int(b[i]-'0'), 1<<20)
		}
		if minus {
			exponent = -exponent
		}
	}
	if i != len(b) {
		return 0, ErrSyntax
	}
	shift := exponent - fraction
	if digits <= 15 && shift >= -22 && shift <= 22 {
		v := float64(mantissa)
		if shift < 0 {
			v /= pow10[-shift]
		} else {
			v *= pow10[shift]
		}
		if negative {
			v = -v
		}
		return v, nil
	}
	v, err := strconv.ParseFloat(asString(b), 64)
	if err != nil {
		return 0, ErrRange
	}
	return v, nil
}

// goNaN are the bits that Prometheus stores for any NaN of a text.
const goNaN = 0x7ff8000000000001

// ParseAny parses what Parse does, and a sign +, infinities and NaN, as Prometheus
// writes them in text: NaN is 0x7ff8000000000001. Numbers out of range are ErrRange.
func ParseAny(b []byte) (float64, error) {
	v, err := Parse(b)
	if err == nil || err == ErrRange {
		return v, err
	}
	if len(b) > len("+infinity") && b[0] != '+' {
		return 0, err
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
	v, err = strconv.ParseFloat(asString(b), 64)
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
	negative := len(b) > 0 && b[0] == '-'
	digits := b
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 {
		return 0, ErrSyntax
	}
	var v uint64
	for _, c := range digits {
		d := uint64(c - '0')
		if d > 9 {
			return 0, ErrSyntax
		}
		if v > (math.MaxInt64-d)/10 {
			return 0, ErrRange
		}
		v = v*10 + d
	}
	if negative {
		return -int64(v), nil
	}
	return int64(v), nil
}
