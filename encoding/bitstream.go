package encoding

import "encoding/binary"

// Bit streams of values of differing widths, least significant bit first, as
// in bitpack.

// bitWriter appends bits to a byte slice and leaves the unused bits of the last
// byte zero.
type bitWriter struct {
	dst []byte
	acc uint64 // bits not yet in dst
	n   uint   // number of bits in acc, < 64
}

// write appends the low width bits of x, whose other bits must be zero;
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

// finish writes the pending bits and returns the bytes.
func (w *bitWriter) finish() []byte {
	for n := w.n; n > 0; n -= min(n, 8) {
		w.dst = append(w.dst, byte(w.acc))
		w.acc >>= 8
	}
	return w.dst
}

// A bit decoder loads whole words and stops when fewer than bitReach bytes are
// left. It then continues in a copy of them padded with zeros, so that its loop
// needs no case for the end.
const bitReach = 32

// padTail copies the rest of src, from the byte that holds bit at, to pad. The rest
// is less than bitReach bytes. padTail returns the copy padded with zeros, and the
// bit of src at which it begins.
func padTail(src []byte, at uint, pad *[2 * bitReach]byte) (tail []byte, begin uint) {
	j := min(at/8, uint(len(src)))
	n := copy(pad[:bitReach], src[j:])
	return pad[:n+bitReach], 8 * j
}

// endsAt reports whether reading up to bit at used all bytes of src and none beyond
// them.
func endsAt(src []byte, at uint) bool { return (at+7)/8 == uint(len(src)) }

// load64 returns the 64 bits of src from bit at on; nine bytes must be available.
func load64(src []byte, at uint) uint64 {
	j := at / 8
	return le64(src[j:])>>(at%8) | uint64(src[j+8])<<(63-at%8)<<1
}
