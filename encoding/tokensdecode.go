package encoding

import "github.com/klauspost/compress/huff0"

// tokenHeader is a parsed TOK payload.
type tokenHeader struct {
	mode   byte
	tokens []byte // Huffman-coded
	extra  []byte // extra bits, nil if there are none
}

// streams returns the number of Huffman streams of the tokens, 0 if there are none.
func (h tokenHeader) streams() int {
	switch h.mode {
	case tokenModeOne:
		return 1
	case tokenModeFour:
		return 4
	}
	return 0
}

func parseTokens(src []byte, extra bool) (h tokenHeader, err error) {
	if len(src) == 0 {
		return h, corruptf("TOK: no mode")
	}
	h.mode, h.tokens = src[0], src[1:]
	if h.mode != tokenModeOne && h.mode != tokenModeFour {
		return h, corruptf("TOK: unknown mode %d", h.mode)
	}
	if extra {
		if h.tokens, h.extra, err = Bytes(h.tokens, MaxValues); err != nil {
			return h, err
		}
		if len(h.extra) == 0 {
			return h, corruptf("TOK: no extra bits")
		}
	}
	return h, nil
}

// unit returns the distance between the residuals, of n, at which decoding can
// start, 0 if it can only start at the first.
func (h tokenHeader) unit(n int) int {
	if h.mode != tokenModeFour || h.extra != nil {
		return 0
	}
	return streamLen(n)
}

// tokenReader decodes the tokens of a column into residuals or values, a block at a
// time.
type tokenReader struct {
	code   huffmanCode   // for short codes
	huff   huff0.Scratch // for other codes
	buffer []byte        // tokens of the column
	padded []byte        // its extra bits, followed by eight zero bytes

	tokens []byte // not consumed yet
	shape  *tokenShape
	// A token means low + gcd·x, where x follows from its range and its extra bits:
	// the integer itself in order raw, a step in order delta (added to the previous
	// integer masked by carry), a residual in other orders.
	gcd, low, carry uint64
	// Without extra bits: the meaning of every token, also as signed floats.
	steps   [256]uint64
	floats  [256]float64
	longest uint64 // largest magnitude of a step
	wide    bool   // tokens have extra bits
	at      uint   // extra bits consumed
	size    uint   // bytes of extra bits
	toEnd   bool   // the last token is the last of the column
}

// begin prepares to decode residuals [from, to) of n. from is 0 or the first
// residual of a stream; extraBits is the number of extra bits before it.
func (r *tokenReader) begin(h *intHeader, n, from, to int, extraBits uint) error {
	r.buffer = sized(r.buffer, n)
	if err := r.decode(r.buffer, h.tokens, from, to); err != nil {
		return err
	}
	r.tokens, r.shape, r.toEnd = r.buffer[from:to], shapeOf(h.coder), to == n
	r.wide, r.at, r.size = h.tokens.extra != nil, extraBits, uint(len(h.tokens.extra))
	if r.at > 8*r.size {
		return corruptf("TOK: %d bytes of extra bits, %d bits before a restart point", r.size, r.at)
	}
	if r.wide {
		r.padded = sized(r.padded, len(h.tokens.extra)+8)
		clear(r.padded[copy(r.padded, h.tokens.extra):])
	} else if !allBelow(r.tokens, r.shape.direct) {
		return corruptf("TOK: token with extra bits, of which there are none")
	}
	r.gcd, r.low, r.carry = 1, 0, 0
	switch h.order {
	case OrderRaw:
		r.gcd, r.low = h.gcd, uint64(h.base)
	case OrderDelta:
		r.gcd, r.low, r.carry = h.gcd, uint64(h.low)*h.gcd, ^uint64(0)
	}
	if !r.wide {
		r.table()
	}
	return nil
}

// decode decodes tokens [from, to) of h into out[from:to]. from is 0 or the first
// token of a stream.
func (r *tokenReader) decode(out []byte, h tokenHeader, from, to int) error {
	four := h.mode == tokenModeFour
	if len(out) >= decodeTableMinTokens && 8*len(h.tokens) <= decodeTableMaxMeanBits*len(out) {
		rest, err := r.code.read(h.tokens)
		if err != nil {
			return err
		}
		r.code.prepare()
		return r.code.decode(out, rest, four, from, to)
	}
	_, rest, err := huff0.ReadTable(h.tokens, &r.huff)
	if err != nil {
		return corruptf("TOK: %v", err)
	}
	d := r.huff.Decoder()
	if four && (from > 0 || to < len(out)) {
		ss, err := fourStreams(rest, len(out))
		if err != nil {
			return err
		}
		// Four streams at once take less time than two one after the other.
		if s := onlyStream(ss, from, to); s != nil {
			return decodeStream(d, out[s.at:s.end], rest[s.from:s.to])
		}
	}
	if !four {
		return decodeStream(d, out, rest)
	}
	if _, err = d.Decompress4X(out[:0:len(out)], rest); err != nil {
		return corruptf("TOK: %v", err)
	}
	return nil
}

// onlyStream returns the stream that has tokens [from, to), nil if there are several.
func onlyStream(ss [4]huffmanStream, from, to int) *huffmanStream {
	for i := range ss {
		if s := &ss[i]; int(s.at) <= from && to <= int(s.end) {
			return s
		}
	}
	return nil
}

// decodeStream fills out with the tokens of one stream.
func decodeStream(d *huff0.Decoder, out, src []byte) error {
	into, err := d.Decompress1X(out[:0:len(out)], src)
	if err != nil {
		return corruptf("TOK: %v", err)
	}
	if len(into) != len(out) {
		return corruptf("TOK: %d tokens, want %d", len(into), len(out))
	}
	return nil
}

const (
	// decodeTableMinTokens is the minimum number of tokens for the decode table to
	// pay.
	decodeTableMinTokens = 400
	// decodeTableMaxMeanBits is the mean length of codes, in bits, up to which the
	// decode table is faster than huff0, which decodes one token a lookup.
	decodeTableMaxMeanBits = 4
)

// table sets steps and floats.
func (r *tokenReader) table() {
	r.longest = 0
	for t := range r.shape.direct {
		step := r.low + r.gcd*r.shape.ranges[t].base
		r.steps[t], r.floats[t] = step, float64(int64(step))
		r.longest = max(r.longest, magnitude(int64(step)))
	}
}

// allBelow reports whether all bytes are below limit, a power of two.
func allBelow(b []byte, limit uint) bool {
	or := uint64(0)
	for ; len(b) >= 32; b = b[32:] {
		or |= le64(b) | le64(b[8:]) | le64(b[16:]) | le64(b[24:])
	}
	for _, t := range b {
		or |= uint64(t)
	}
	const each = 0x0101010101010101
	return or&(each*uint64(256-limit)) == 0
}

// take consumes and returns the tokens of the next n residuals.
func (r *tokenReader) take(n int) []byte {
	tokens := r.tokens[:n]
	r.tokens = r.tokens[n:]
	return tokens
}

// next decodes the next len(us) tokens into us.
func (r *tokenReader) next(us []uint64) error {
	tokens := r.take(len(us))
	us = us[:len(tokens)]
	if !r.wide {
		for i, t := range tokens {
			us[i] = r.steps[t]
		}
		return nil
	}
	at, g, low, padded, ranges := r.at, r.gcd, r.low, r.padded, &r.shape.ranges
	for i, t := range tokens {
		if at > 8*r.size {
			break
		}
		e := &ranges[t]
		us[i] = low + g*(e.base+wordAt(padded, at>>3)>>(at&7)&e.mask)
		at += e.bits
	}
	return r.took(at)
}

// toFloats does the work of next, sum and toFloats in one loop, for the orders raw
// and delta and the most common transforms; it returns false for other transforms.
// value is the previous integer.
func (r *tokenReader) toFloats(vs []float64, f formula, value *uint64) (bool, error) {
	if f.transform != TransformInt && f.transform != TransformDec && f.transform != TransformDecM {
		return false, nil
	}
	tokens := r.take(len(vs))
	vs = vs[:len(tokens)]
	v, carry := *value, r.carry
	if !r.wide {
		steps := &r.steps
		switch f.transform {
		case TransformInt:
			if carry != 0 && r.longest <= maxExact/2/decodeBlock && magnitude(int64(v)) <= maxExact/2 {
				v = uint64(int64(addUp(vs, tokens, &r.floats, float64(int64(v)))))
				break
			}
			for i, t := range tokens {
				v = v&carry + steps[t]
				vs[i] = float64(int64(v))
			}
		case TransformDec:
			power := powersOfTen[f.e]
			for i, t := range tokens {
				v = v&carry + steps[t]
				vs[i] = float64(int64(v)) / power
			}
		case TransformDecM:
			power := negativePowersOfTen[f.e]
			for i, t := range tokens {
				v = v&carry + steps[t]
				vs[i] = float64(int64(v)) * power
			}
		}
		*value = v
		return true, nil
	}
	at, end, g, low, padded, ranges := r.at, 8*r.size, r.gcd, r.low, r.padded, &r.shape.ranges
	switch f.transform {
	case TransformInt:
		for i, t := range tokens {
			if at > end {
				break
			}
			e := &ranges[t]
			v = v&carry + low + g*(e.base+wordAt(padded, at>>3)>>(at&7)&e.mask)
			at += e.bits
			vs[i] = float64(int64(v))
		}
	case TransformDec:
		power := powersOfTen[f.e]
		for i, t := range tokens {
			if at > end {
				break
			}
			e := &ranges[t]
			v = v&carry + low + g*(e.base+wordAt(padded, at>>3)>>(at&7)&e.mask)
			at += e.bits
			vs[i] = float64(int64(v)) / power
		}
	case TransformDecM:
		power := negativePowersOfTen[f.e]
		for i, t := range tokens {
			if at > end {
				break
			}
			e := &ranges[t]
			v = v&carry + low + g*(e.base+wordAt(padded, at>>3)>>(at&7)&e.mask)
			at += e.bits
			vs[i] = float64(int64(v)) * power
		}
	}
	*value = v
	return true, r.took(at)
}

// addUp sets vs to the running sums of v and the steps of the tokens, and returns
// the last one. All sums are exact: adding floats instead of integers saves the
// conversion of each sum. Steps are first added to each other, to shorten the chain
// of dependent additions.
func addUp(vs []float64, tokens []byte, steps *[256]float64, v float64) float64 {
	for len(vs) >= 8 && len(tokens) >= 8 {
		t, o := (*[8]byte)(tokens), (*[8]float64)(vs)
		a := steps[t[0]]
		b := a + steps[t[1]]
		c := b + steps[t[2]]
		d := c + steps[t[3]]
		o[0], o[1], o[2], o[3] = v+a, v+b, v+c, v+d
		w := v + d
		e := steps[t[4]]
		f := e + steps[t[5]]
		g := f + steps[t[6]]
		h := g + steps[t[7]]
		o[4], o[5], o[6], o[7] = w+e, w+f, w+g, w+h
		v += d + h
		vs, tokens = vs[8:], tokens[8:]
	}
	for i, t := range tokens {
		v += steps[t]
		vs[i] = v
	}
	return v
}

// took records that at extra bits have been consumed.
func (r *tokenReader) took(at uint) error {
	end := r.toEnd && len(r.tokens) == 0
	if r.at = at; !end && at <= 8*r.size || end && (at+7)/8 == r.size {
		return nil
	}
	return corruptf("TOK: %d bytes of extra bits, want %d bits or more", r.size, at)
}
