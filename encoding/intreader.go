package encoding

import (
	"math"
	"sync"
)

// intHeader holds the decoded fields before the residuals of a column of integers:
// see ints.go.
type intHeader struct {
	order  Order
	coder  Coder
	base   int64  // the value of residual zero, or the first value
	gcd    uint64 // ≥ 1
	first  int64  // in units of gcd: the first difference if delta2, the step if grid
	low    int64  // added to every residual, in units of gcd; 0 if raw or grid
	points []byte // restart points, nil if there are none
	pack   packHeader
	tokens tokenHeader
	sparse sparseHeader
}

// parse reads the fields before the residuals of the column src of n ≥ 1 integers
// into h, which must be zero, and checks that src is long enough.
func (h *intHeader) parse(src []byte, n int) (rest []byte, err error) {
	if len(src) == 0 {
		return nil, corruptf("integers: no id byte")
	}
	id := src[0]
	h.order, h.coder, h.gcd = Order(id&intOrder), Coder(id&intCoder>>coderShift), 1
	switch h.coder {
	case CoderConst, CoderPack, CoderSparse:
		if id&intExtra != 0 || id&intPoints != 0 && h.coder != CoderPack {
			return nil, corruptf("integers: unknown id %#02x (coder %s)", id, h.coder)
		}
	case CoderTokA, CoderTokB:
	default:
		return nil, corruptf("integers: unknown id %#02x (order %s, coder %s)", id, h.order, h.coder)
	}
	m := n - h.order.heads()
	if m <= 0 {
		return nil, corruptf("integers: order %s of %d values", h.order, n)
	}
	if h.base, rest, err = Varint(src[1:]); err != nil {
		return nil, err
	}
	if id&intGCD != 0 {
		if h.gcd, rest, err = Uvarint(rest); err != nil {
			return nil, err
		}
		if h.gcd < 2 {
			return nil, corruptf("integers: gcd %d", h.gcd)
		}
	}
	if h.order >= OrderDelta2 {
		if h.first, rest, err = Varint(rest); err != nil {
			return nil, err
		}
	}
	if h.order.heads() > 0 {
		if h.low, rest, err = Varint(rest); err != nil {
			return nil, err
		}
	}
	if id&intPoints != 0 {
		if rest, err = h.parsePoints(rest, m, id&intExtra != 0); err != nil {
			return nil, err
		}
	}
	switch h.coder {
	case CoderPack:
		h.pack, rest, err = parsePack(rest, m)
	case CoderTokA, CoderTokB:
		h.tokens, err = parseTokens(rest, id&intExtra != 0)
		if err == nil && h.points != nil && h.tokens.mode != tokenModeFour {
			err = corruptf("integers: restart points of one stream")
		}
	case CoderSparse:
		h.sparse, err = parseSparse(rest, m)
	}
	return rest, err
}

// heads returns the number of leading integers that have no residual.
func (o Order) heads() int {
	if o == OrderGrid {
		return 0
	}
	return int(o)
}

// decodeBlock is the number of values that are unpacked and summed at a time, small
// enough that all passes over them stay in the L1 cache.
const decodeBlock = 512

// intReader decodes the integers of a column, a block at a time.
type intReader struct {
	header intHeader
	pack   packReader
	sparse sparseReader
	memory *readScratch // TOK, SPARSE and restart points only
	left   int          // residuals before the next restart point
	value  uint64       // the last value
	step   uint64       // the last difference, times gcd
}

// begin reads the header of the column src of n integers and prepares to decode
// integers [i, j), or some before i and these, with 0 ≤ i < j ≤ n. It returns the
// index of the first.
func (r *intReader) begin(src []byte, n, i, j int) (from int, err error) {
	h := &r.header
	rest, err := h.parse(src, n)
	if err != nil {
		return 0, err
	}
	r.value = uint64(h.base)
	if h.order >= OrderDelta2 {
		r.step = uint64(h.first) * h.gcd
	}
	if h.order == OrderDelta2 {
		r.value += r.step
	}
	heads := h.order.heads()
	if r.left = math.MaxInt; h.points != nil {
		points := &r.scratch().points
		points.begin(h, n-heads, r.value, r.step)
		if r.left, err = points.next(); err != nil {
			return 0, err
		}
	}
	at, err := r.beginResiduals(rest, n-heads, max(i-heads, 0), max(j-heads, 1))
	if at == 0 {
		return 0, err
	}
	return heads + at, err
}

// heads writes the integers that have no residual to w, which starts at the first
// integer of the column, and returns the rest of w.
func (r *intReader) heads(w []uint64) []uint64 {
	heads := min(r.header.order.heads(), len(w))
	if heads > 0 {
		w[0] = uint64(r.header.base)
	}
	if heads > 1 {
		w[1] = r.value
	}
	return w[heads:]
}

// block returns the number of values to decode next, of n remaining ones.
func (r *intReader) block(n int) int { return min(n, decodeBlock, r.left) }

// readScratch is the memory needed to decode columns with restart points or with
// another coder than PACK.
type readScratch struct {
	points pointReader
	tokens tokenReader
	words  []uint64 // SPARSE: gaps and values
}

// readScratches is a pool because the Decode functions keep no state and the tables
// of huff0 take some kilobytes.
var readScratches = sync.Pool{New: func() any { return new(readScratch) }}

func (r *intReader) scratch() *readScratch {
	if r.memory == nil {
		r.memory = readScratches.Get().(*readScratch)
	}
	return r.memory
}

// end returns the memory to the pool. It must be called once, even if begin failed.
func (r *intReader) end() {
	if r.memory != nil {
		r.memory.points.src = nil // belongs to the caller
		readScratches.Put(r.memory)
	}
}

// beginResiduals prepares to decode residuals [i, j), or some before i and these,
// of n, with 0 ≤ i < j ≤ n. It returns the index of the first.
func (r *intReader) beginResiduals(src []byte, n, i, j int) (from int, err error) {
	switch h := &r.header; h.coder {
	case CoderPack:
		if from, _, err = r.enter(i, packUnit); err != nil {
			return 0, err
		}
		return from, r.pack.begin(h.pack, src, n, from)
	case CoderTokA, CoderTokB:
		from, extraBits, err := r.enter(i, h.tokens.unit(n))
		if err != nil {
			return 0, err
		}
		err = r.scratch().tokens.begin(h, n, from, j, extraBits)
		switch h.order { // the token reader applies these itself
		case OrderRaw:
			h.gcd, r.value = 1, 0
		case OrderDelta:
			h.gcd, h.low = 1, 0
		}
		return from, err
	case CoderSparse:
		if r.scratch().words, err = r.sparse.begin(r.memory.words, h.sparse, n); err != nil || j-i == n {
			return 0, err
		}
		return r.enterSparse(i, j), nil
	}
	if len(src) > 0 {
		return 0, corruptf("integers: %d bytes left over", len(src))
	}
	if r.header.order == OrderDelta {
		r.value += uint64(i) * uint64(r.header.low) * r.header.gcd
		return i, nil
	}
	from, _, err = r.enter(i, 1)
	return from, err
}

// residuals decodes the next block of residuals into us.
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
		if base == 0 && g == 1 { // always so for tokens
			return
		}
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
	_, err := decodeIntsRange(w, src, len(w), 0)
	return err
}

// decodeIntsRange decodes integers [i, j) of the n of the column src, and maybe some
// before i, into w, which has j elements, from its start. It returns the index of the
// first, and needs 0 ≤ i < j ≤ n.
func decodeIntsRange(w []uint64, src []byte, n, i int) (from int, err error) {
	var r intReader
	defer r.end()
	if from, err = r.begin(src, n, i, len(w)); err != nil {
		return 0, err
	}
	rest := w[:len(w)-from]
	if from == 0 {
		rest = r.heads(rest)
	}
	for len(rest) > 0 {
		block := rest[:r.block(len(rest))]
		rest = rest[len(block):]
		if err := r.residuals(block); err != nil {
			return 0, err
		}
		r.sum(block)
		if err := r.passed(len(block)); err != nil {
			return 0, err
		}
	}
	return from, nil
}

// isSparse reports whether the column of integers src is SPARSE.
func isSparse(src []byte) bool {
	return len(src) > 0 && Coder(src[0]&intCoder>>coderShift) == CoderSparse
}

// decodeInnerInts is decodeInts for a column inside a SPARSE one.
func decodeInnerInts(w []uint64, src []byte) error {
	if isSparse(src) {
		return corruptf("integers: SPARSE inside SPARSE")
	}
	return decodeInts(w, src)
}
