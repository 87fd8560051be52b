package encoding

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// A column of floats:
//
//	CONST   ┌────────┬──────────────────────────────────────────────────────┐
//	        │ id (1) │ the 64 bits, high bytes first, without trailing zeros │
//	        └────────┴──────────────────────────────────────────────────────┘
//	others  ┌────────┬──────────────┬────────────────────┐
//	        │ id (1) │ [exceptions] │ column of integers │
//	        └────────┴──────────────┴────────────────────┘
//	XOR     ┌────────┬────────────┬───────────┐
//	        │ id (1) │ id (1)     │ bits      │  transform BITS, order raw, coder XOR
//	        └────────┴────────────┴───────────┘

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
		dst = append(dst, byte(TransformConst))
		var b [8]byte
		pattern := math.Float64bits(vs[0])
		binary.BigEndian.PutUint64(b[:], pattern)
		return append(dst, b[:8-bits.TrailingZeros64(pattern|1<<63)/8]...), hint
	}
	s := scratches.Get().(*scratch)
	s.ints = sized(s.ints, len(vs))
	if !hint.isZero() {
		at := len(dst)
		var next FloatHint
		dst, next = appendFloatsAs(dst, vs, hint, s)
		if !next.isZero() {
			scratches.Put(s)
			return dst, next
		}
		dst = dst[:at]
	}
	dst, hint = appendFloatsSearched(dst, vs, s)
	scratches.Put(s)
	return dst, hint
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

// appendFloatsSearched tries the transforms from the cheapest to read to the
// one that always works.
func appendFloatsSearched(dst []byte, vs []float64, s *scratch) ([]byte, FloatHint) {
	if s.excs.integers(s.ints, vs) {
		return appendTransformed(dst, vs, TransformInt, tryAll, s)
	}
	at := len(dst)
	orderedBits(s.ints, vs)
	s.excs.reset()
	dst, hint := appendTransformed(dst, vs, TransformBits, tryAll|binary2, s)
	// The XOR stream is some five times slower to read: it has to save an eighth.
	if size, limit := xorBytes(vs), len(dst)-at; size+2 < limit-limit/8 {
		return appendXORColumn(dst[:at], vs)
	}
	return dst, hint
}

// appendFloatsAs encodes with the choice of a hint. It returns no hint if the
// choice no longer fits.
func appendFloatsAs(dst []byte, vs []float64, hint FloatHint, s *scratch) ([]byte, FloatHint) {
	at := len(dst)
	var next FloatHint
	switch {
	case hint.xor():
		dst, next = appendXORColumn(dst, vs)
	case hint.transform() == TransformInt:
		if !s.excs.integers(s.ints, vs) {
			return dst, 0
		}
		dst, next = appendTransformed(dst, vs, TransformInt, 1<<hint.order(), s)
	case hint.transform() == TransformBits:
		orderedBits(s.ints, vs)
		s.excs.reset()
		dst, next = appendTransformed(dst, vs, TransformBits, 1<<hint.order()|binary2, s)
	}
	if !hint.holds(len(dst)-at, len(vs)) {
		return dst[:at], 0
	}
	return dst, next
}

// appendTransformed appends the column whose integers and exceptions are in s.
func appendTransformed(dst []byte, vs []float64, t Transform, try orders, s *scratch) ([]byte, FloatHint) {
	at := len(dst)
	dst = append(dst, byte(t)|s.excs.flags())
	if len(s.excs.patterns) > 0 {
		dst = s.excs.append(dst)
	}
	dst, p := appendInts(dst, s.ints[:len(vs)], try, s)
	return dst, makeHint(t, p.order, false, len(dst)-at, len(vs))
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
	if len(src) == 0 {
		return dst, corruptf("floats: no id byte")
	}
	at := len(dst)
	out := slices.Grow(dst, n)[:at+n]
	if err := decodeFloats(out[at:], src); err != nil {
		return dst, err
	}
	return out, nil
}

func decodeFloats(vs []float64, src []byte) error {
	id := src[0]
	t := Transform(id & floatTransform)
	if id&^(floatTransform|floatExceptions|floatOnePattern) != 0 ||
		id&(floatExceptions|floatOnePattern) == floatOnePattern {
		return corruptf("floats: unknown id %#02x", id)
	}
	src = src[1:]
	switch t {
	case TransformConst:
		return decodeConst(vs, id, src)
	case TransformInt, TransformBits:
	default:
		return corruptf("floats: unknown id %#02x (%s)", id, t)
	}
	var excs rawExceptions
	if id&floatExceptions != 0 {
		var err error
		if excs, src, err = parseExceptions(src, len(vs), id&floatOnePattern != 0); err != nil {
			return err
		}
	}
	if id == byte(TransformBits) && len(src) > 0 && src[0] == xorByte {
		return decodeXORColumn(vs, src[1:])
	}
	if err := decodeTransformed(vs, src, t); err != nil {
		return err
	}
	excs.apply(vs)
	return nil
}

// decodeTransformed fills vs from the column of integers src.
func decodeTransformed(vs []float64, src []byte, t Transform) error {
	var r intReader
	w := words(vs)
	rest, err := r.begin(w, src)
	if err != nil {
		return err
	}
	head := len(w) - len(rest)
	toFloats(vs[:head], t)
	vs = vs[head:]
	for len(vs) > 0 {
		block := vs[:min(decodeBlock, len(vs))]
		vs = vs[len(block):]
		if err := r.residuals(words(block)); err != nil {
			return err
		}
		if !r.sumToFloats(block, t) {
			r.sum(words(block))
			toFloats(block, t)
		}
	}
	return nil
}

// toFloats turns integers into the floats they stand for, in place.
func toFloats(vs []float64, t Transform) {
	w := words(vs)
	vs = vs[:len(w)]
	switch t {
	case TransformInt:
		for i, u := range w {
			vs[i] = float64(int64(u))
		}
	case TransformBits:
		for i, u := range w {
			vs[i] = fromOrdered(u)
		}
	}
}

// sumToFloats is sum and toFloats in one loop, for the columns that are most of
// all; it returns false for others.
func (r *intReader) sumToFloats(vs []float64, t Transform) bool {
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

func decodeConst(vs []float64, id byte, src []byte) error {
	if id != byte(TransformConst) || len(src) > 8 {
		return corruptf("floats: CONST with id %#02x and %d bytes", id, len(src))
	}
	var b [8]byte
	copy(b[:], src)
	v := math.Float64frombits(binary.BigEndian.Uint64(b[:]))
	for i := range vs {
		vs[i] = v
	}
	return nil
}
