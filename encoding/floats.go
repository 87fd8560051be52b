package encoding

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
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

// AppendFloats appends the column of vs, of at most MaxValues values; no value
// takes no bytes. Every value keeps its 64 bits. hint is what the call for the
// previous column of the same series returned, zero if there is none: with it
// the choice of codec is verified instead of searched. The bytes are a function
// of vs and hint.
func AppendFloats(dst []byte, vs []float64, hint FloatHint) ([]byte, FloatHint) {
	checkAppend("float", len(vs))
	if len(vs) == 0 {
		return dst, hint
	}
	if constant(vs) {
		return appendConst(dst, vs[0]), hint
	}
	s := scratches.Get().(*scratch)
	at, next := len(dst), FloatHint(0)
	if !hint.isZero() {
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

// appendFloatsSearched tries the transforms from the one that is cheapest to
// read to the one that always works.
func appendFloatsSearched(dst []byte, vs []float64, s *scratch) ([]byte, FloatHint) {
	if s.integers(vs) {
		return appendTransformed(dst, vs, decimal{transform: TransformInt}, tryAll, s)
	}
	at := len(dst)
	hint := FloatHint(0)
	if d, ok := guessDecimal(vs); ok && s.decimals(vs, d) {
		dst, hint = appendTransformed(dst, vs, d, tryAll, s)
		if d.e < doubtfulExponent && !s.corrected {
			return dst, hint
		}
	}
	// What has many digits may be a decimal by chance only.
	bitsAt := len(dst)
	dst, bitsHint := appendFloatBits(dst, vs, s)
	if bitsAt > at && len(dst)-bitsAt >= bitsAt-at {
		return dst[:bitsAt], hint
	}
	return append(dst[:at], dst[bitsAt:]...), bitsHint
}

// appendFloatBits appends a column of any floats: packed, or as an XOR stream
// where that is much shorter.
func appendFloatBits(dst []byte, vs []float64, s *scratch) ([]byte, FloatHint) {
	at := len(dst)
	s.ordered(vs)
	dst, hint := appendTransformed(dst, vs, decimal{transform: TransformBits}, tryAll|binary2, s)
	if size, limit := xorBytes(vs)+2, len(dst)-at; size < limit-limit/xorBias {
		return appendXORColumn(dst[:at], vs)
	}
	return dst, hint
}

const (
	doubtfulExponent = 10
	// xorBias is the part of a packed column that XOR has to save: it takes
	// several times as long to read.
	xorBias = 8
)

// appendFloatsAs encodes with the choice of a hint. It returns no hint if the
// choice does not fit. In long columns only the transform is taken over: to
// choose the rest anew costs little of a long column's time.
func appendFloatsAs(dst []byte, vs []float64, hint FloatHint, s *scratch) ([]byte, FloatHint) {
	at, long := len(dst), len(vs) >= pruneFrom
	d, try := hint.decimal(), orders(1)<<hint.order()|hinted
	var next FloatHint
	switch {
	case d.transform == TransformInt:
		if !s.integers(vs) {
			return dst, 0
		}
		dst, next = appendTransformed(dst, vs, decimal{transform: TransformInt}, try, s)
	case d.valid():
		if long && d.e >= doubtfulExponent || !s.decimals(vs, d) || s.corrected {
			return dst, 0
		}
		dst, next = appendTransformed(dst, vs, d, try, s)
	case d.transform != TransformBits || mostlyDecimal(vs):
		return dst, 0 // a transform that takes far fewer bits may have become possible
	case long:
		return appendFloatBits(dst, vs, s)
	case hint.xor():
		dst, next = appendXORColumn(dst, vs)
	case mostlyRepeats(vs):
		dst, next = appendFloatBits(dst, vs, s) // which may take XOR
	default:
		s.ordered(vs)
		dst, next = appendTransformed(dst, vs, decimal{transform: TransformBits}, try|binary2, s)
	}
	if !long && !hint.holds(len(dst)-at, len(vs)) {
		return dst[:at], 0
	}
	return dst, next
}

// mostlyDecimal reports whether two of three values are integers or decimals of
// few digits.
func mostlyDecimal(vs []float64) bool {
	n := 0
	for i := range 3 {
		if exponentOf(vs[(2*i+1)*len(vs)/6], shortDecimal) > 0 {
			n++
		}
	}
	return n >= 2
}

// mostlyRepeats reports whether half of the values are those before them.
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
func appendTransformed(dst []byte, vs []float64, d decimal, try orders, s *scratch) ([]byte, FloatHint) {
	at := len(dst)
	id := byte(d.transform) | s.excs.flags()
	if s.corrected {
		id |= floatCorrection
	}
	dst = append(dst, id)
	if d.e > 0 {
		dst = append(dst, d.e)
	}
	if len(s.excs.patterns) > 0 {
		dst = s.excs.append(dst)
	}
	if s.corrected {
		s.bytes, _ = appendInts(s.bytes[:0], s.corrections, tryRaw, s)
		dst = AppendBytes(dst, s.bytes)
	}
	dst, p := appendInts(dst, s.ints, try, s)
	return dst, makeHint(d, p.order, false, len(dst)-at, len(vs))
}

// DecodeFloats appends the n values of the column src, which is all of it. On
// an error dst is returned as it was.
func DecodeFloats(dst []float64, src []byte, n int) ([]float64, error) {
	if err := checkDecode("float", n); err != nil {
		return dst, err
	}
	if n == 0 {
		if len(src) > 0 {
			return dst, corruptf("floats: %d bytes for no value", len(src))
		}
		return dst, nil
	}
	at := len(dst)
	out := slices.Grow(dst, n)[:at+n]
	if err := decodeFloats(out[at:], src); err != nil {
		return dst, err
	}
	return out, nil
}

// floatHeader is what stands before the column of integers, or the bits, of a
// column of floats.
type floatHeader struct {
	id          byte
	decimal     decimal // its transform is the column's; e is 0 for INT, BITS, CONST
	excs        rawExceptions
	corrections []byte // a column of integers, nil if there is none
}

// parseFloatHeader reads the header of a column of n ≥ 1 floats.
func parseFloatHeader(src []byte, n int) (h floatHeader, rest []byte, err error) {
	if len(src) == 0 {
		return h, nil, corruptf("floats: no id byte")
	}
	h.id, rest = src[0], src[1:]
	h.decimal.transform = Transform(h.id & floatTransform)
	flags := h.id &^ floatTransform
	allowed := byte(floatExceptions | floatOnePattern)
	switch h.decimal.transform {
	case TransformConst:
		return h, rest, nil // the other bits are a length
	case TransformBits:
		allowed = 0
	case TransformInt:
	case TransformDec, TransformDecM, TransformDecDD:
		allowed |= floatCorrection
		if len(rest) == 0 {
			return h, nil, corruptf("floats: no exponent")
		}
		if h.decimal.e, rest = rest[0], rest[1:]; !h.decimal.valid() {
			return h, nil, corruptf("floats: exponent %d of %s", h.decimal.e, h.decimal.transform)
		}
	default:
		return h, nil, corruptf("floats: unknown id %#02x (%s)", h.id, h.decimal.transform)
	}
	if flags&^allowed != 0 || flags&(floatExceptions|floatOnePattern) == floatOnePattern {
		return h, nil, corruptf("floats: unknown id %#02x", h.id)
	}
	if flags&floatExceptions != 0 {
		if h.excs, rest, err = parseExceptions(rest, n, flags&floatOnePattern != 0); err != nil {
			return h, nil, err
		}
	}
	if flags&floatCorrection != 0 {
		if h.corrections, rest, err = Bytes(rest, maxIntsColumn); err != nil {
			return h, nil, err
		}
	}
	return h, rest, nil
}

func decodeFloats(vs []float64, src []byte) error {
	h, rest, err := parseFloatHeader(src, len(vs))
	if err != nil {
		return err
	}
	switch {
	case h.decimal.transform == TransformConst:
		return decodeConst(vs, h.id, rest)
	case h.decimal.transform == TransformBits && len(rest) > 0 && rest[0] == xorByte:
		return decodeXORColumn(vs, rest[1:])
	}
	if err := decodeTransformed(vs, rest, h.decimal); err != nil {
		return err
	}
	if h.corrections != nil {
		if err := decodeCorrections(vs, h.corrections); err != nil {
			return err
		}
	}
	h.excs.apply(vs)
	return nil
}

// decodeTransformed fills vs from the column of integers src.
func decodeTransformed(vs []float64, src []byte, d decimal) error {
	var r intReader
	w := words(vs)
	rest, err := r.begin(w, src)
	if err != nil {
		return err
	}
	head := len(w) - len(rest)
	d.toFloats(vs[:head])
	vs = vs[head:]
	for len(vs) > 0 {
		block := vs[:min(decodeBlock, len(vs))]
		vs = vs[len(block):]
		if err := r.residuals(words(block)); err != nil {
			return err
		}
		if !r.sumToFloats(block, d) {
			r.sum(words(block))
			d.toFloats(block)
		}
	}
	return nil
}

// decodeCorrections adds the column src to the bits of vs.
func decodeCorrections(vs []float64, src []byte) error {
	var r intReader
	var buf [decodeBlock]uint64
	if err := r.beginRaw(src, len(vs)); err != nil {
		return err
	}
	for len(vs) > 0 {
		block := buf[:min(decodeBlock, len(vs))]
		if err := r.residuals(block); err != nil {
			return err
		}
		r.sum(block)
		for i, u := range block {
			vs[i] = math.Float64frombits(math.Float64bits(vs[i]) + u)
		}
		vs = vs[len(block):]
	}
	return nil
}

// sumToFloats is sum and toFloats in one loop, for the columns that are most of
// all; it returns false for others.
func (r *intReader) sumToFloats(vs []float64, d decimal) bool {
	t := d.transform
	g, low, v, w := r.header.gcd, uint64(r.header.low)*r.header.gcd, r.value, words(vs)
	switch {
	case t == TransformInt && r.header.order == OrderDelta && g == 1:
		i := 0
		for ; i+4 <= len(w); i += 4 {
			u, o := w[i:i+4:i+4], vs[i:i+4:i+4]
			a := v + (low + u[0])
			b := a + (low + u[1])
			c := b + (low + u[2])
			v = c + (low + u[3])
			o[0], o[1], o[2], o[3] = float64(int64(a)), float64(int64(b)), float64(int64(c)), float64(int64(v))
		}
		for ; i < len(w); i++ {
			v += low + w[i]
			vs[i] = float64(int64(v))
		}
	case t == TransformInt && r.header.order == OrderDelta:
		for i, u := range w {
			v += low + g*u
			vs[i] = float64(int64(v))
		}
	case t == TransformInt && r.header.order == OrderRaw:
		for i, u := range w {
			vs[i] = float64(int64(v + g*u))
		}
		return true
	case t == TransformDec && r.header.order == OrderDelta:
		power := powersOfTen[d.e]
		for i, u := range w {
			v += low + g*u
			vs[i] = float64(int64(v)) / power
		}
	case t == TransformDecM && r.header.order == OrderDelta:
		power := negativePowersOfTen[d.e]
		for i, u := range w {
			v += low + g*u
			vs[i] = float64(int64(v)) * power
		}
	case t == TransformBits && r.header.order == OrderDelta:
		for i, u := range w {
			v += low + g*u
			vs[i] = fromOrdered(v)
		}
	case t == TransformBits && r.header.order == OrderRaw:
		for i, u := range w {
			vs[i] = fromOrdered(v + g*u)
		}
		return true
	default:
		return false
	}
	r.value = v
	return true
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

func decodeConst(vs []float64, id byte, src []byte) error {
	size := int(id >> constShift)
	if size > 8 || len(src) != size {
		return corruptf("floats: CONST %#02x of %d bytes", id, len(src))
	}
	var b [8]byte
	copy(b[:], src)
	v := math.Float64frombits(binary.BigEndian.Uint64(b[:]))
	for i := range vs {
		vs[i] = v
	}
	return nil
}
