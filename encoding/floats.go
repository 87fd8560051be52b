package encoding

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A column of floats:
//
//	CONST   ┌────────┬──────────────────────────────────────────────────┐
//	        │ id (1) │ the 64 bits, high bytes first, up to the last    │
//	        │        │ that is not 0; their number is in id             │
//	        └────────┴──────────────────────────────────────────────────┘
//	others  ┌────────┬─────────┬──────────────┬───────────────┬────────────────────┐
//	        │ id (1) │ [e (1)] │ [exceptions] │ [corrections] │ column of integers │
//	        └────────┴─────────┴──────────────┴───────────────┴────────────────────┘
//	XOR     ┌────────┬────────┬────────────────┐
//	        │ id (1) │ id (1) │ first (8) bits │  transform BITS, order raw, coder XOR
//	        └────────┴────────┴────────────────┘
//
// e is there for the three decimals. Corrections are a column of integers with
// its length (u) before it, to be added to the bits of the decimals.

// AppendFloats appends the column of vs, which has at most MaxValues values; the
// column of no values is empty. Every value keeps its 64 bits. hint is the result
// of the call for the previous column of the same series, zero if there is none:
// with it the fast tier verifies the choice of codec instead of searching. The
// bytes are a function of vs, tier and hint.
func AppendFloats(dst []byte, vs []float64, tier Tier, hint FloatHint) ([]byte, FloatHint) {
	checkAppend("float", len(vs))
	if len(vs) == 0 {
		return dst, hint
	}
	if constant(vs) {
		return appendConst(dst, vs[0]), hint
	}
	s := takeScratch(tier)
	at, next := len(dst), FloatHint(0)
	if tier == Fast && !hint.isZero() {
		dst, next = appendFloatsAs(dst, vs, hint, s)
	}
	if next.isZero() {
		dst, next = appendFloatsSearched(dst[:at], vs, s)
	}
	scratches.Put(s)
	if len(vs) < hintMinValues {
		return dst, hint
	}
	return dst, next
}

func constant(vs []float64) bool {
	first := math.Float64bits(vs[0])
	for _, v := range vs {
		if math.Float64bits(v) != first {
			return false
		}
	}
	return true
}

// appendFloatsSearched tries the transforms, from the cheapest to decode to the one
// that always works. It stops at the first that is clearly good, and otherwise uses
// the one with the shortest column.
func appendFloatsSearched(dst []byte, vs []float64, s *scratch) ([]byte, FloatHint) {
	c := candidates{at: len(dst), dst: dst}
	of := vs // the values that a decimal is guessed from
	if s.integers(vs) {
		c.add(appendTransformed(c.dst, vs, formulaInt, tryAll, s))
		if s.excs.few() {
			return c.dst, c.hint
		}
		of = s.excs.values()
	}
	voters := allVoters
	if s.short(len(vs)) {
		voters = fewVoters
	}
	for e := uint8(0); e <= maxExponent; {
		f, ok := s.guessDecimal(of, voters)
		if !ok || f.e <= e || !s.decimals(vs, f) {
			break
		}
		if s.corrected && voters < allVoters { // too few to tell the formulas apart
			voters = allVoters
			continue
		}
		c.add(appendTransformed(c.dst, vs, f, tryAll, s))
		if s.excs.few() && !s.corrected && f.e < doubtfulExponent {
			return c.dst, c.hint
		}
		e, of = f.e, s.excs.values() // which may be decimals with more digits
	}
	c.add(appendFloatBits(c.dst, vs, s))
	return c.dst, c.hint
}

// candidates keeps the shortest of several columns of the same values.
type candidates struct {
	at   int // offset in dst at which they begin
	dst  []byte
	hint FloatHint
}

// add takes dst, which has one more column after the one kept so far, and keeps the
// shorter one.
func (c *candidates) add(dst []byte, hint FloatHint) {
	mid := len(c.dst)
	switch kept, size := mid-c.at, len(dst)-mid; {
	case kept == 0:
		c.dst, c.hint = dst, hint
	case size < kept:
		c.dst, c.hint = append(dst[:c.at], dst[mid:]...), hint
	default:
		c.dst = dst[:mid]
	}
}

// appendFloatBits appends a column of any floats: packed, or as an XOR stream
// where that is much shorter.
func appendFloatBits(dst []byte, vs []float64, s *scratch) ([]byte, FloatHint) {
	at := len(dst)
	if s.short(len(vs)) && mostlyRepeats(vs) {
		return appendXORColumn(dst, vs)
	}
	s.ordered(vs)
	dst, hint := appendTransformed(dst, vs, formulaBits, tryAll|powersOf2, s)
	if s.preds != nil {
		return dst, hint
	}
	if size, limit := xorBytes(vs)+2, len(dst)-at; size < limit-limit/xorBias {
		return appendXORColumn(dst[:at], vs)
	}
	return dst, hint
}

const (
	doubtfulExponent = 10
	// xorBias is the fraction of a packed column, 1/xorBias, that XOR has to save:
	// XOR takes several times as long to decode.
	xorBias = 8
)

// appendFloatsAs encodes with the choice that hint describes. It returns a zero hint
// if the choice does not fit. For long columns only the transform is taken from the
// hint: choosing the rest anew is a small part of their cost.
func appendFloatsAs(dst []byte, vs []float64, hint FloatHint, s *scratch) ([]byte, FloatHint) {
	at, long := len(dst), len(vs) >= pruneFrom
	f, try := hint.formula(), orders(1)<<hint.order()|hinted
	var next FloatHint
	switch {
	case f.transform == TransformInt:
		if !s.integers(vs) {
			return dst, 0
		}
		dst, next = appendTransformed(dst, vs, formulaInt, try, s)
	case f.isDecimal():
		if long && (f.e >= doubtfulExponent || mostlyIntegers(vs)) || !s.decimals(vs, f) || s.corrected {
			return dst, 0
		}
		dst, next = appendTransformed(dst, vs, f, try, s)
	case f.transform != TransformBits || mostlyDecimal(vs):
		return dst, 0 // a transform that takes far fewer bits may have become possible
	case long:
		return appendFloatBits(dst, vs, s)
	case hint.xor():
		dst, next = appendXORColumn(dst, vs)
	case mostlyRepeats(vs):
		dst, next = appendFloatBits(dst, vs, s) // which may take XOR
	default:
		s.ordered(vs)
		dst, next = appendTransformed(dst, vs, formulaBits, try|powersOf2, s)
	}
	if !long && !hint.holds(len(dst)-at, len(vs)) {
		return dst[:at], 0
	}
	return dst, next
}

// mostlyDecimal reports whether two of three sampled values are integers or decimals
// of few digits.
func mostlyDecimal(vs []float64) bool {
	n := 0
	for i := range 3 {
		if exponentOf(vs[(2*i+1)*len(vs)/6], shortDecimal, 1) > 0 {
			n++
		}
	}
	return n >= 2
}

// mostlyIntegers reports whether three sampled values are integers, which take fewer
// bits as integers than as decimals.
func mostlyIntegers(vs []float64) bool {
	for i := range 3 {
		if v := vs[(2*i+1)*len(vs)/6]; v != math.Trunc(v) {
			return false
		}
	}
	return true
}

// mostlyRepeats reports whether more than half of the values equal their
// predecessor.
func mostlyRepeats(vs []float64) bool {
	n := 0
	for i, v := range vs[1:] {
		if sameBits(v, vs[i]) {
			n++
		}
	}
	return 2*n > len(vs)
}

// appendTransformed appends the column whose integers, exceptions and
// corrections are in s.
func appendTransformed(dst []byte, vs []float64, f formula, try orders, s *scratch) ([]byte, FloatHint) {
	at := len(dst)
	id := byte(f.transform) | s.excs.flags()
	if s.corrected {
		id |= floatCorrection
	}
	dst = append(dst, id)
	if f.e > 0 {
		dst = append(dst, f.e)
	}
	if len(s.excs.patterns) > 0 {
		dst = s.excs.append(dst)
	}
	if s.corrected {
		s.bytes, _ = appendInts(s.bytes[:0], s.corrections, tryRaw, s)
		dst = AppendBytes(dst, s.bytes)
	}
	try |= restarts
	if s.preds != nil { // the column is read as a whole
		s.subtractPredictions(f)
		try &^= restarts | tryDelta2 // distances have no trend
	}
	dst, p := appendInts(dst, s.ints, try, s)
	return dst, makeHint(f, p.order, false, len(dst)-at, len(vs))
}

// appendConst appends the column of values that are all v.
func appendConst(dst []byte, v float64) []byte {
	var b [8]byte
	pattern := math.Float64bits(v)
	binary.BigEndian.PutUint64(b[:], pattern)
	size := 8 - bits.TrailingZeros64(pattern)/8
	dst = append(dst, byte(TransformConst)|byte(size)<<constShift)
	return append(dst, b[:size]...)
}
