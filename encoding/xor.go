package encoding

import (
	"math"
	"math/bits"
)

// The XOR code of floats: the first value is stored as its 64 bits, every other one
// is XORed with its predecessor.
//
//	0                            the same bits
//	1 0  bits                    they lie inside the last window
//	1 1  leading (6) size-1 (6)  a new window: leading zeros and its size in bits,
//	     bits                    then the bits
//
// The control bits are in the order they are read.

// xorState is the predecessor and the last window.
type xorState struct {
	v       uint64
	leading uint8
	size    uint8 // 0: no window yet
}

const (
	xorControl   = 2
	xorNewWindow = xorControl + 6 + 6
)

// code returns the window in which x ≠ 0 is coded after s, and whether it is a new
// one.
func (s *xorState) code(x uint64) (leading, size uint8, fresh bool) {
	leading = uint8(bits.LeadingZeros64(x))
	trailing := uint8(bits.TrailingZeros64(x))
	size = 64 - leading - trailing
	if s.size > 0 && leading >= s.leading && trailing >= 64-s.leading-s.size &&
		s.size <= size+xorNewWindow-xorControl {
		return s.leading, s.size, false
	}
	return leading, size, true
}

// append writes v.
func (s *xorState) append(w *bitWriter, v uint64) {
	x := v ^ s.v
	s.v = v
	if x == 0 {
		w.write(0, 1)
		return
	}
	leading, size, fresh := s.code(x)
	if fresh {
		s.leading, s.size = leading, size
		w.write(3|uint64(leading)<<2|uint64(size-1)<<8, xorNewWindow)
	} else {
		w.write(1, xorControl)
	}
	w.write(x>>((64-leading-size)&63), uint(size))
}

// xorByte is the id byte of a column of integers that is an XOR stream.
const xorByte = byte(OrderRaw) | byte(CoderXOR)<<coderShift

// xorBytes returns the length of the XOR stream of vs.
func xorBytes(vs []float64) int {
	s := xorState{v: math.Float64bits(vs[0])}
	n := 64
	for _, f := range vs[1:] {
		v := math.Float64bits(f)
		x := v ^ s.v
		s.v = v
		if x == 0 {
			n++
			continue
		}
		leading, size, fresh := s.code(x)
		if fresh {
			s.leading, s.size = leading, size
			n += xorNewWindow + int(size)
		} else {
			n += xorControl + int(size)
		}
	}
	return (n + 7) / 8
}

func appendXORColumn(dst []byte, vs []float64) ([]byte, FloatHint) {
	at := len(dst)
	dst = append(dst, byte(TransformBits), xorByte)
	s := xorState{v: math.Float64bits(vs[0])}
	w := bitWriter{dst: dst}
	w.write(s.v, 64)
	for _, v := range vs[1:] {
		s.append(&w, math.Float64bits(v))
	}
	dst = w.finish()
	return dst, makeHint(formulaBits, OrderRaw, true, len(dst)-at, len(vs))
}

// decodeXORColumn fills vs from src, the column after its two id bytes.
func decodeXORColumn(vs []float64, src []byte) error {
	if len(src) < 8 {
		return corruptf("XOR: %d bytes", len(src))
	}
	s := xorState{v: le64(src)}
	vs[0] = math.Float64frombits(s.v)
	src = src[8:]
	i, at, ok := s.read(vs, 1, src, 0)
	if ok && i < len(vs) {
		var pad [2 * bitReach]byte
		tail, begin := padTail(src, at, &pad)
		i, at, ok = s.read(vs, i, tail, at-begin)
		at += begin
	}
	if !ok {
		return corruptf("XOR: no such window at value %d of %d", i, len(vs))
	}
	if i < len(vs) || !endsAt(src, at) {
		return corruptf("XOR: %d bytes for %d values", len(src)+8, len(vs))
	}
	return nil
}

// read decodes values into vs[i:] from bit at of src on, while at least bitReach
// bytes are left; repeated values are found as a run of zero bits. It returns the
// first index and the first bit it did not read, and false if the value at that
// index is corrupt.
func (s *xorState) read(vs []float64, i int, src []byte, at uint) (int, uint, bool) {
	v, leading, size := s.v, uint(s.leading), uint(s.size)
	ok := true
	for i < len(vs) {
		j := at / 8
		if j+bitReach > uint(len(src)) {
			break
		}
		c := le64(src[j:]) >> (at % 8)
		if c&1 == 0 {
			run := min(bits.TrailingZeros64(c|1<<56), len(vs)-i)
			for k := range run {
				vs[i+k] = math.Float64frombits(v)
			}
			i += run
			at += uint(run)
			continue
		}
		if c&2 == 0 {
			at += xorControl
		} else {
			at += xorNewWindow
			leading, size = uint(c>>2&63), uint(c>>8&63)+1
		}
		if size-1 >= 64-leading { // also true of size 0: there is no window yet
			ok = false
			break
		}
		x := load64(src, at) & (math.MaxUint64 >> ((64 - size) & 63))
		v ^= x << ((64 - leading - size) & 63)
		at += size
		vs[i] = math.Float64frombits(v)
		i++
	}
	s.v, s.leading, s.size = v, uint8(leading), uint8(size)
	return i, at, ok
}
