package encoding

import "sync"

// intHeader is what is known of a column of integers before its residuals: see
// ints.go.
type intHeader struct {
	order  Order
	coder  Coder
	base   int64  // the value of residual zero, or the first value
	gcd    uint64 // ≥ 1
	first  int64  // in units of gcd: the first difference if delta2, the step if grid
	low    int64  // added to every residual, in units of gcd; 0 if raw or grid
	pack   packHeader
	tokens tokenHeader
	sparse sparseHeader
}

// parseIntHeader reads what stands before the residuals of a column of n ≥ 1
// integers, and checks that their bits are there.
func parseIntHeader(src []byte, n int) (h intHeader, rest []byte, err error) {
	if len(src) == 0 {
		return h, nil, corruptf("integers: no id byte")
	}
	id := src[0]
	h.order, h.coder, h.gcd = Order(id&intOrder), Coder(id&intCoder>>coderShift), 1
	switch h.coder {
	case CoderConst, CoderPack, CoderSparse:
		if id&intExtra != 0 {
			return h, nil, corruptf("integers: unknown id %#02x: extra bits of %s", id, h.coder)
		}
	case CoderTokA, CoderTokB:
	default:
		return h, nil, corruptf("integers: unknown id %#02x (order %s, coder %s)", id, h.order, h.coder)
	}
	m := n - h.order.heads()
	if m <= 0 {
		return h, nil, corruptf("integers: order %s of %d values", h.order, n)
	}
	if h.base, rest, err = Varint(src[1:]); err != nil {
		return h, nil, err
	}
	if id&intGCD != 0 {
		if h.gcd, rest, err = Uvarint(rest); err != nil {
			return h, nil, err
		}
		if h.gcd < 2 {
			return h, nil, corruptf("integers: gcd %d", h.gcd)
		}
	}
	if h.order >= OrderDelta2 {
		if h.first, rest, err = Varint(rest); err != nil {
			return h, nil, err
		}
	}
	if h.order.heads() > 0 {
		if h.low, rest, err = Varint(rest); err != nil {
			return h, nil, err
		}
	}
	switch h.coder {
	case CoderPack:
		h.pack, rest, err = parsePack(rest, m)
	case CoderTokA, CoderTokB:
		h.tokens, err = parseTokens(rest, id&intExtra != 0)
	case CoderSparse:
		h.sparse, err = parseSparse(rest, m)
	}
	return h, rest, err
}

// heads returns how many of the first integers have no residual.
func (o Order) heads() int {
	if o == OrderGrid {
		return 0
	}
	return int(o)
}

// decodeBlock is the number of values that are unpacked and summed at a time,
// so that all passes over them find them in the nearest cache.
const decodeBlock = 512

// intReader gives the integers of a column, a block at a time.
type intReader struct {
	header intHeader
	pack   packReader
	sparse sparseReader
	memory *readScratch // TOK and SPARSE only
	value  uint64       // the last value
	step   uint64       // the last difference, times gcd
}

// begin reads the header of the column src of len(w) ≥ 1 integers and writes
// those that have no residual to w. It returns the rest of w.
func (r *intReader) begin(w []uint64, src []byte) ([]uint64, error) {
	h, rest, err := parseIntHeader(src, len(w))
	if err != nil {
		return nil, err
	}
	r.header, r.value = h, uint64(h.base)
	heads := h.order.heads()
	if heads > 0 {
		w[0] = r.value
	}
	if h.order >= OrderDelta2 {
		r.step = uint64(h.first) * h.gcd
	}
	if h.order == OrderDelta2 {
		r.value += r.step
		w[1] = r.value
	}
	w = w[heads:]
	return w, r.beginResiduals(rest, len(w))
}

// readScratch is the memory that a column of other coders than PACK is read
// with.
type readScratch struct {
	tokens tokenReader
	words  []uint64 // SPARSE: gaps and values
}

// A pool, because the Decode functions are plain functions, too, and the tables
// of huff0 are some kilobytes.
var readScratches = sync.Pool{New: func() any { return new(readScratch) }}

// end gives memory back. It is called once, whether begin failed or not.
func (r *intReader) end() {
	if r.memory != nil {
		readScratches.Put(r.memory)
	}
}

// beginRaw is begin for a column whose order must be raw, so that all of its n
// integers have residuals.
func (r *intReader) beginRaw(src []byte, n int) error {
	h, rest, err := parseIntHeader(src, n)
	if err != nil {
		return err
	}
	if h.order != OrderRaw {
		return corruptf("integers: order %s, want raw", h.order)
	}
	r.header, r.value = h, uint64(h.base)
	return r.beginResiduals(rest, n)
}

func (r *intReader) beginResiduals(src []byte, n int) error {
	switch h := &r.header; h.coder {
	case CoderPack:
		return r.pack.begin(h.pack, src, n)
	case CoderTokA, CoderTokB:
		r.memory = readScratches.Get().(*readScratch)
		err := r.memory.tokens.begin(h, n)
		switch h.order { // of what tokens stand for these are part
		case OrderRaw:
			h.gcd, r.value = 1, 0
		case OrderDelta:
			h.gcd, h.low = 1, 0
		}
		return err
	case CoderSparse:
		r.memory = readScratches.Get().(*readScratch)
		var err error
		r.memory.words, err = r.sparse.begin(r.memory.words, h.sparse, n)
		return err
	}
	if len(src) > 0 {
		return corruptf("integers: %d bytes left over", len(src))
	}
	return nil
}

// residuals fills the next block.
func (r *intReader) residuals(us []uint64) error {
	switch r.header.coder {
	case CoderConst:
		clear(us)
	case CoderSparse:
		r.sparse.next(us)
	case CoderPack:
		return r.pack.next(us)
	default:
		return r.memory.tokens.next(us)
	}
	return nil
}

// sum turns a block of residuals into integers.
func (r *intReader) sum(us []uint64) {
	g, low := r.header.gcd, uint64(r.header.low)*r.header.gcd
	switch r.header.order {
	case OrderRaw:
		base := r.value
		for i, u := range us {
			us[i] = base + g*u
		}
	case OrderDelta:
		v := r.value
		for i, u := range us {
			v += low + g*u
			us[i] = v
		}
		r.value = v
	case OrderDelta2:
		v, step := r.value, r.step
		for i, u := range us {
			step += low + g*u
			v += step
			us[i] = v
		}
		r.value, r.step = v, step
	case OrderGrid:
		v, step := r.value, r.step
		for i, u := range us {
			us[i] = v + g*u
			v += step
		}
		r.value = v
	}
}

// decodeInts fills w, which is not empty, with the integers of the column src.
func decodeInts(w []uint64, src []byte) error {
	var r intReader
	defer r.end()
	rest, err := r.begin(w, src)
	if err != nil {
		return err
	}
	for len(rest) > 0 {
		block := rest[:min(decodeBlock, len(rest))]
		rest = rest[len(block):]
		if err := r.residuals(block); err != nil {
			return err
		}
		r.sum(block)
	}
	return nil
}

// decodeInnerInts is decodeInts for a column inside a SPARSE one.
func decodeInnerInts(w []uint64, src []byte) error {
	if len(src) > 0 && Coder(src[0]&intCoder>>coderShift) == CoderSparse {
		return corruptf("integers: SPARSE inside SPARSE")
	}
	return decodeInts(w, src)
}
