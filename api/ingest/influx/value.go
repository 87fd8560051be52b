package influx

import (
	"fmt"
	"math"

	"tsdb/api/ingest/door"
	"tsdb/internal/decimal"
	"tsdb/storage"
)

var (
	errNumber  = badLine(storage.ReasonBadValue, "invalid number")
	errBoolean = badLine(storage.ReasonBadValue, "invalid boolean")
)

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
	v, err := decimal.Uint(b)
	return v, err != decimal.ErrSyntax, err == decimal.ErrRange
}

// parseFloat parses a decimal number.
func parseFloat(b []byte) (float64, *lineError) {
	switch v, err := decimal.Parse(b); err {
	case nil:
		return v, nil
	case decimal.ErrRange:
		return 0, badLine(storage.ReasonBadValue, fmt.Sprintf("unable to parse float %s: value out of range", door.Clip(string(b), 40)))
	}
	return 0, errNumber
}
