package encoding

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// DecodeFloats appends the n values of src, exactly one column. On an error dst is
// returned unchanged.
func DecodeFloats(dst []float64, src []byte, n int) ([]float64, error) {
	return DecodeFloatsRange(dst, src, n, 0, n)
}

// DecodeFloatsRange is DecodeFloats for the values [i, j) only; it panics unless
// 0 ≤ i ≤ j ≤ n. In a column with restart points the cost is about that of the
// quarters that contain these values. Corruption elsewhere in the column may go
// unnoticed.
func DecodeFloatsRange(dst []float64, src []byte, n, i, j int) ([]float64, error) {
	if err := checkDecode("float", n); err != nil {
		return dst, err
	}
	if i < 0 || i > j || j > n {
		panic(fmt.Sprintf("BUG: values %d to %d of a column of %d", i, j, n))
	}
	if n == 0 && len(src) > 0 {
		return dst, corruptf("floats: %d bytes for no value", len(src))
	}
	if i == j {
		return dst, nil
	}
	h, rest, err := parseFloatHeader(src, n)
	if err != nil {
		return dst, err
	}
	var out []float64 // dst followed by the values from index from on
	from, at := 0, len(dst)
	switch {
	case h.formula.transform == TransformConst:
		from, out = i, slices.Grow(dst, j-i)[:at+j-i]
		err = decodeConst(out[at:], h.id, rest)
	case h.formula.transform == TransformBits && len(rest) > 0 && rest[0] == xorByte:
		out = slices.Grow(dst, n)[:at+n]
		err = decodeXORColumn(out[at:], rest[1:])
	case h.corrections != nil:
		if out, _, err = decodeTransformed(dst, rest, h.formula, n, 0, n); err == nil {
			err = decodeCorrections(out[at:], h.corrections, n, 0)
		}
	default:
		out, from, err = decodeTransformed(dst, rest, h.formula, n, i, j)
	}
	if err != nil {
		return dst, err
	}
	if h.excs.n > 0 {
		h.excs.apply(out[at:], from)
	}
	if from < i {
		copy(out[at:], out[at+i-from:])
	}
	return out[:at+j-i], nil
}

// floatHeader holds the fields before the column of integers, or before the bits,
// of a column of floats.
type floatHeader struct {
	id          byte
	formula     formula // its transform is the column's; e is 0 for INT, BITS, CONST
	excs        rawExceptions
	corrections []byte // a column of integers, nil if there is none
}

// parseFloatHeader reads the header of a column of n ≥ 1 floats.
func parseFloatHeader(src []byte, n int) (h floatHeader, rest []byte, err error) {
	if len(src) == 0 {
		return h, nil, corruptf("floats: no id byte")
	}
	h.id, rest = src[0], src[1:]
	h.formula.transform = Transform(h.id & floatTransform)
	flags := h.id &^ floatTransform
	allowed := byte(floatExceptions | floatOnePattern)
	switch h.formula.transform {
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
		if h.formula.e, rest = rest[0], rest[1:]; !h.formula.isDecimal() {
			return h, nil, corruptf("floats: exponent %d of %s", h.formula.e, h.formula.transform)
		}
	default:
		return h, nil, corruptf("floats: unknown id %#02x (%s)", h.id, h.formula.transform)
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

// decodeTransformed appends the values [i, j), or some before i and these, of the n
// values of the column src. It returns the index of the first.
func decodeTransformed(dst []float64, src []byte, f formula, n, i, j int) (out []float64, from int, err error) {
	var r intReader
	defer r.end()
	if from, err = r.begin(src, n, i, j); err != nil {
		return dst, 0, err
	}
	out = slices.Grow(dst, j-from)[:len(dst)+j-from]
	vs := out[len(dst):]
	if from == 0 {
		head := len(vs) - len(r.heads(words(vs)))
		f.toFloats(vs[:head])
		vs = vs[head:]
	}
	if r.header.coder == CoderSparse && r.sparseToFloats(vs, f) {
		return out, from, nil
	}
	for len(vs) > 0 {
		block := vs[:r.block(len(vs))]
		vs = vs[len(block):]
		if err := r.toFloats(block, f); err != nil {
			return dst, 0, err
		}
		if err := r.passed(len(block)); err != nil {
			return dst, 0, err
		}
	}
	return out, from, nil
}

// toFloats decodes the next block of values into vs.
func (r *intReader) toFloats(vs []float64, f formula) error {
	if r.header.coder.tokens() && r.header.order <= OrderDelta {
		if done, err := r.memory.tokens.toFloats(vs, f, &r.value); done || err != nil {
			return err
		}
	}
	if err := r.residuals(words(vs)); err != nil {
		return err
	}
	if !r.sumToFloats(vs, f) {
		r.sum(words(vs))
		f.toFloats(vs)
	}
	return nil
}

// decodeCorrections adds the numbers from i on of the column src of n to the bits of vs.
func decodeCorrections(vs []float64, src []byte, n, i int) error {
	var r intReader
	defer r.end()
	var buf [decodeBlock]uint64
	from, err := r.begin(src, n, i, i+len(vs))
	if err != nil {
		return err
	}
	if r.header.order != OrderRaw {
		return corruptf("floats: corrections of order %s, want raw", r.header.order)
	}
	for skip := i - from; len(vs) > 0; {
		block := buf[:r.block(skip+len(vs))]
		if err := r.residuals(block); err != nil {
			return err
		}
		r.sum(block)
		if err := r.passed(len(block)); err != nil {
			return err
		}
		k := min(skip, len(block))
		skip, block = skip-k, block[k:]
		for k, u := range block {
			vs[k] = math.Float64frombits(math.Float64bits(vs[k]) + u)
		}
		vs = vs[len(block):]
	}
	return nil
}

// sumToFloats does the work of sum and toFloats in one loop, for the most common
// columns; it returns false for others.
func (r *intReader) sumToFloats(vs []float64, f formula) bool {
	t := f.transform
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
		power := powersOfTen[f.e]
		for i, u := range w {
			v += low + g*u
			vs[i] = float64(int64(v)) / power
		}
	case t == TransformDecM && r.header.order == OrderDelta:
		power := negativePowersOfTen[f.e]
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

func decodeConst(vs []float64, id byte, src []byte) error {
	size := int(id >> constShift)
	if size > 8 || len(src) != size {
		return corruptf("floats: CONST %#02x of %d bytes", id, len(src))
	}
	var b [8]byte
	copy(b[:], src)
	v := math.Float64frombits(binary.BigEndian.Uint64(b[:]))
	fillLevel(vs, v)
	return nil
}

// fillLevel sets all of vs to v.
func fillLevel(vs []float64, v float64) {
	for len(vs) >= 8 {
		o := (*[8]float64)(vs)
		o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7] = v, v, v, v, v, v, v, v
		vs = vs[8:]
	}
	for i := range vs {
		vs[i] = v
	}
}
