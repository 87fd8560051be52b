package encoding

import "encoding/binary"

// Bit streams of values of differing widths, least significant bit first, as
// in bitpack.

// bitWriter appends bits to a byte slice. It can start in the middle of the
// last byte and leaves the unused bits of the last byte zero.
type bitWriter struct {
	dst []byte
	acc uint64 // bits not yet in dst
	n   uint   // how many, < 64
}

// write appends the low width bits of x, the other bits of which are zero;
// width ≤ 64.
func (w *bitWriter) write(x uint64, width uint) {
	w.acc |= x << w.n
	if w.n += width; w.n >= 64 {
		w.dst = binary.LittleEndian.AppendUint64(w.dst, w.acc)
		w.n -= 64
		w.acc = x >> (width - w.n)
	}
}

// finish writes what is pending and returns the bytes.
func (w *bitWriter) finish() []byte {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], w.acc)
	return append(w.dst, b[:(w.n+7)/8]...)
}

// bitReader reads what a bitWriter wrote. Beyond the end it reads zeros;
// overrun tells.
type bitReader struct {
	src []byte
	at  uint // bit
}

// peek returns at least the next 57 bits; those above may be anything.
func (r *bitReader) peek() uint64 {
	i := r.at / 8
	if i+8 <= uint(len(r.src)) {
		return le64(r.src[i:]) >> (r.at % 8)
	}
	var b [8]byte
	if i < uint(len(r.src)) {
		copy(b[:], r.src[i:])
	}
	return le64(b[:]) >> (r.at % 8)
}

// read returns the next width bits; width ≤ 64.
func (r *bitReader) read(width uint) uint64 {
	x := r.peek()
	if width <= 56 {
		r.at += width
		return x & (1<<width - 1)
	}
	r.at += 32
	hi := r.peek()
	r.at += width - 32
	return x&(1<<32-1) | hi<<32&(1<<(width-1)<<1-1)
}

// overrun reports whether more was read than there is.
func (r *bitReader) overrun() bool { return r.at > 8*uint(len(r.src)) }

// left returns the whole bytes not read.
func (r *bitReader) left() int { return len(r.src) - int((r.at+7)/8) }
