package encoding

import (
	"math"
	"math/bits"
)

// The XOR code of floats: the first value has its 64 bits, every other one is
// XORed with its predecessor.
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

// code returns how x, which is not 0, is coded after s: with the window of s
// or with a new one.
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
	w.write(x>>(64-leading-size), uint(size))
}

// read returns the next value. A stream of zeros, which is what lies beyond
// the end of one, is a value that repeats.
func (s *xorState) read(r *bitReader) (v uint64, ok bool) {
	c := r.peek()
	if c&1 == 0 {
		r.at++
		return s.v, true
	}
	if c&2 == 0 {
		if s.size == 0 {
			return 0, false
		}
		r.at += xorControl
	} else {
		r.at += xorNewWindow
		s.leading, s.size = uint8(c>>2&63), uint8(c>>8&63)+1
		if s.leading+s.size > 64 {
			return 0, false
		}
	}
	s.v ^= r.read(uint(s.size)) << (64 - s.leading - s.size)
	return s.v, true
}

// xorByte is the id byte of a column of integers that is an XOR stream.
const xorByte = byte(OrderRaw) | byte(CoderXOR)<<coderBits

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
	return dst, makeHint(TransformBits, OrderRaw, true, len(dst)-at, len(vs))
}

// decodeXORColumn fills vs from what follows the two id bytes.
func decodeXORColumn(vs []float64, src []byte) error {
	r := bitReader{src: src}
	s := xorState{v: r.read(64)}
	vs[0] = math.Float64frombits(s.v)
	for i := range vs[1:] {
		v, ok := s.read(&r)
		if !ok {
			return corruptf("XOR: no such window at value %d", i+1)
		}
		vs[i+1] = math.Float64frombits(v)
	}
	if r.overrun() || r.left() > 0 {
		return corruptf("XOR: %d bytes for %d values", len(src), len(vs))
	}
	return nil
}
