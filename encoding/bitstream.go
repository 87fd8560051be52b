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
// 1 ≤ width ≤ 64.
func (w *bitWriter) write(x uint64, width uint) {
	n := w.n
	w.acc |= x << (n & 63)
	if n += width; n >= 64 {
		w.dst = binary.LittleEndian.AppendUint64(w.dst, w.acc)
		n -= 64
		w.acc = x >> (width - n) // 0 if all of x is written
	}
	w.n = n
}

// finish writes what is pending and returns the bytes.
func (w *bitWriter) finish() []byte {
	for n := w.n; n > 0; n -= min(n, 8) {
		w.dst = append(w.dst, byte(w.acc))
		w.acc >>= 8
	}
	return w.dst
}

// bitReader is a stream as a decoder sees it: first the bytes of the caller, as
// far as loads of whole words from them stay inside, then a copy of the rest
// with zeros behind it. So the loops that read have no case for the end.
type bitReader struct {
	src  []byte // at hand
	at   uint   // bit of src
	bits uint   // of src that belong to the stream
	rest bool   // src is the copy
	buf  [2 * bitReach]byte
}

// bitReach is how many bytes from the current one on a decoder may load before
// it checks again.
const bitReach = 32

func newBitReader(src []byte) bitReader { return bitReader{src: src, bits: 8 * uint(len(src))} }

// more prepares the next bytes to read from; false says that there are none.
// A decoder calls it when fewer than bitReach bytes are at hand.
func (r *bitReader) more() bool {
	if uint(len(r.src)) >= r.at/8+bitReach {
		return true
	}
	if r.rest || r.at > r.bits {
		return false
	}
	r.rest = true
	n := copy(r.buf[:bitReach], r.src[r.at/8:])
	r.bits -= r.at &^ 7
	r.at %= 8
	r.src = r.buf[:n+bitReach]
	return true
}

// atEnd reports whether all bytes were read and nothing beyond them.
func (r *bitReader) atEnd() bool { return r.at <= r.bits && r.at+8 > r.bits }

// load64 returns the 64 bits from a bit on, of which nine bytes are there.
func load64(src []byte, at uint) uint64 {
	j := at / 8
	return le64(src[j:])>>(at%8) | uint64(src[j+8])<<(63-at%8)<<1
}
