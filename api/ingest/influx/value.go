package influx

import (
	"fmt"
	"math"
	"strconv"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

var (
	errNumber  = badLine(storage.ReasonBadValue, "invalid number")
	errBoolean = badLine(storage.ReasonBadValue, "invalid boolean")
)

// pow10 holds the powers of ten that float64 represents exactly.
var pow10 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// parseValue parses the value of a field that is not a string: a float (1, -1.5,
// .5, 1., 1e5), an integer (1i), an unsigned integer (1u) or a boolean, which
// becomes 1 or 0. NaN and infinities have no notation. b is not empty.
func parseValue(b []byte) (float64, *lineError) {
	switch b[0] {
	case 't', 'T', 'f', 'F':
		return parseBoolean(b)
	}
	switch b[len(b)-1] {
	case 'i':
		return parseInteger(b, true)
	case 'u':
		return parseInteger(b, false)
	}
	return parseFloat(b)
}

func parseBoolean(b []byte) (float64, *lineError) {
	switch string(b) {
	case "t", "T", "true", "True", "TRUE":
		return 1, nil
	case "f", "F", "false", "False", "FALSE":
		return 0, nil
	}
	return 0, errBoolean
}

// parseInteger parses an integer with the suffix i or u. Integers beyond 2^53 are
// rounded to the nearest float64.
func parseInteger(b []byte, signed bool) (float64, *lineError) {
	digits := b[:len(b)-1]
	negative := signed && len(digits) > 0 && digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	u, ok, overflow := parseDigits(digits)
	if !ok {
		return 0, errNumber
	}
	limit := uint64(math.MaxUint64)
	if signed {
		limit = math.MaxInt64
		if negative {
			limit++
		}
	}
	if overflow || u > limit {
		return 0, badLine(storage.ReasonBadValue, fmt.Sprintf("unable to parse integer %s: value out of range", door.Clip(string(b[:len(b)-1]), 40)))
	}
	switch {
	case negative:
		return float64(-int64(u)), nil
	case signed:
		return float64(int64(u)), nil
	}
	return float64(u), nil
}

// parseDigits parses one or more decimal digits.
func parseDigits(b []byte) (v uint64, ok, overflow bool) {
	if len(b) == 0 {
		return 0, false, false
	}
	for _, c := range b {
		d := uint64(c - '0')
		if d > 9 {
			return 0, false, false
		}
		if v > (math.MaxUint64-d)/10 {
			overflow = true
		}
		v = v*10 + d
	}
	return v, true, overflow
}

// parseFloat parses [-] digits [. digits] [e [+-] digits], where the digits before
// or after the point may be missing. With few digits and a small exponent, by far
// the most common case, a single division or multiplication is exact; all other
// numbers are passed to strconv.
func parseFloat(b []byte) (float64, *lineError) {
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
		return 0, errNumber
	}
	exponent := 0
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		minus := i < len(b) && b[i] == '-'
		if i < len(b) && (b[i] == '-' || b[i] == '+') {
			i++
		}
		if i == len(b) {
			return 0, errNumber
		}
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
			exponent = min(exponent*10+int(b[i]-'0'), 1<<20)
		}
		if minus {
			exponent = -exponent
		}
	}
	if i != len(b) {
		return 0, errNumber
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
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return 0, badLine(storage.ReasonBadValue, fmt.Sprintf("unable to parse float %s: value out of range", door.Clip(string(b), 40)))
	}
	return v, nil
}
