package head

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"tsdb/internal/model"
)

// stream is the writing end of a compressed run of floats. Its encoding is made for
// memory and never written to disk: it uses whole bytes, so that writing a sample
// takes a few stores and reading it a few loads.
//
//	tag (1)    < 204: bits 0-1 are the class of the time, bits 2-7 the code of
//	           the value, and both follow:
//	time       the step's difference from the last step, zigzag, in 0, 1, 2 or
//	           4 bytes. The first sample has its time in 8 bytes instead.
//	value      by the code:
//	  same     nothing: the bits of the last value
//	  integer  the difference of two integral numbers, zigzag, 1-7 bytes
//	  decimal  the same of two numbers with at most three decimals, in thousandths
//	  xor      the bytes between the leading and the trailing zero bytes of
//	           the last value's bits XOR these; each pair has a code
//	           204-235: the last value, the step differs by -16 to 15
//	           236-255: 1 to 20 samples with the last value and the last step
//
// The value before the first is 0. Times rise by at most maxStep; a larger step begins
// another stream.
type stream struct {
	t     int64  // time of the last sample
	v     uint64 // bits of its value
	step  int32  // milliseconds between the last two, 0 at first
	n     uint16 // samples
	flags uint8
	pos   uint8 // used by state: bytes in its tail
}

// Bits of stream.flags. The lower ones belong to state.
const (
	flagFills    = 3      // thirds of the last block that are written
	flagRun      = 1 << 4 // the last tag is one of repeated samples
	flagRich     = 1 << 2 // the segment has a side stream
	flagNotThree = 1 << 3 // a value had more than three decimals: thousandths are not tried again
)

const (
	maxStep    = math.MaxInt32
	encodeRoom = 24 // upper bound of the bytes encode writes: 1 + 8 + 8
	// readSlack is the number of bytes after a stream that decodeStream may read and
	// ignores.
	readSlack = 8
)

// Codes of values. codeXOR has one for every number of leading zero bytes and
// every number of bytes that fit after them.
const (
	codeSame    = 0
	codeInteger = 0  // + bytes
	codeDecimal = 7  // + bytes
	codeXOR     = 15 // + xorCode
	codes       = codeXOR + 36
)

// Tags that are not class and code.
const (
	tagNear = codes << 2   // + difference of the steps + maxNearStep + 1
	tagRun  = tagNear + 32 // + samples - 1
	tagLast = 255

	maxNearStep = 15
)

// valueCode describes how the value of a code is decoded.
type valueCode struct {
	bytes uint8
	shift uint8 // of XORed bytes: bits to the left
	kind  uint8
}

const (
	kindSame = iota
	kindInteger
	kindDecimal
	kindXOR
)

var (
	valueCodes [codes]valueCode
	xorCodes   [8][9]uint8 // by leading zero bytes and bytes
	timeSizes  = [4]uint8{0, 1, 2, 4}
	timeClass  [33]uint8 // by bits
)

func init() {
	for n := uint8(1); n <= 7; n++ {
		valueCodes[codeInteger+n] = valueCode{bytes: n, kind: kindInteger}
		valueCodes[codeDecimal+n] = valueCode{bytes: n, kind: kindDecimal}
	}
	next := uint8(codeXOR)
	for lead := range uint8(8) {
		for n := uint8(1); n <= 8-lead; n++ {
			xorCodes[lead][n] = next
			valueCodes[next] = valueCode{bytes: n, shift: 8 * (8 - lead - n), kind: kindXOR}
			next++
		}
	}
	for b := range timeClass {
		switch {
		case b == 0:
			timeClass[b] = 0
		case b <= 8:
			timeClass[b] = 1
		case b <= 16:
			timeClass[b] = 2
		default:
			timeClass[b] = 3
		}
	}
}

func zigzag(d int64) uint64   { return uint64(d<<1) ^ uint64(d>>63) }
func unzigzag(z uint64) int64 { return int64(z>>1) ^ -int64(z&1) }

// integral returns the float with bits b as an integer, if converting it back gives the
// same bits.
func integral(b uint64) (int64, bool) {
	i := int64(math.Float64frombits(b))
	return i, math.Float64bits(float64(i)) == b
}

// thousandths returns the float with bits b in thousandths, if dividing them gives the
// same bits.
func thousandths(b uint64) (int64, bool) {
	v := math.Float64frombits(b) * 1000
	if !(v > -1<<53 && v < 1<<53) {
		return 0, false
	}
	i := int64(math.RoundToEven(v))
	return i, math.Float64bits(float64(i)/1000) == b
}

// repeats reports whether a sample repeats the last value and step and fits into the
// repeat count in the stream's last byte. If so, the caller increments that byte.
func (s *stream) repeats(t int64, b uint64, last uint8) bool {
	if b != s.v || int32(t-s.t) != s.step || s.flags&flagRun == 0 || last == tagLast {
		return false
	}
	s.t = t
	s.n++
	return true
}

// encode appends a sample to the stream: it writes its bytes to buf and returns
// their number. t is later than the last sample by at most maxStep.
func (s *stream) encode(buf *[encodeRoom]byte, t int64, b uint64) int {
	at, class := 9, uint8(0)
	if s.n == 0 {
		binary.LittleEndian.PutUint64(buf[1:], uint64(t))
	} else {
		step := int32(t - s.t)
		d := step - s.step
		s.step = step
		if b == s.v && uint32(d+maxNearStep+1) < 2*(maxNearStep+1) {
			s.t = t
			s.n++
			if d == 0 {
				s.flags |= flagRun
				buf[0] = tagRun
			} else {
				s.flags &^= flagRun
				buf[0] = tagNear + uint8(d+maxNearStep+1)
			}
			return 1
		}
		z := uint32(d<<1) ^ uint32(d>>31)
		class = timeClass[bits.Len32(z)]
		binary.LittleEndian.PutUint32(buf[1:], z)
		at = 1 + int(timeSizes[class])
	}
	code, x := uint8(codeSame), uint64(0)
	if b != s.v {
		code, x = s.encodeValue(b)
		binary.LittleEndian.PutUint64(buf[at:], x)
		at += int(valueCodes[code].bytes)
		s.v = b
	}
	buf[0] = class | code<<2
	s.flags &^= flagRun
	s.t = t
	s.n++
	return at
}

// appendTo appends a sample to a contiguous stream.
func (s *stream) appendTo(dst []byte, t int64, v float64) []byte {
	b := math.Float64bits(v)
	if s.n > 0 && s.repeats(t, b, dst[len(dst)-1]) {
		dst[len(dst)-1]++
		return dst
	}
	var buf [encodeRoom]byte
	return append(dst, buf[:s.encode(&buf, t, b)]...)
}

// encodeValue returns the code of a value that differs from the last one, and x. The
// code gives the number of low bytes of x to be written.
func (s *stream) encodeValue(b uint64) (code uint8, x uint64) {
	x = b ^ s.v
	lead, trail := bits.LeadingZeros64(x)/8, bits.TrailingZeros64(x)/8
	n := 8 - lead - trail
	if i, ok := integral(b); ok {
		if last, ok := integral(s.v); ok {
			z := zigzag(i - last)
			if k := (bits.Len64(z) + 7) / 8; k <= n && k < 8 {
				return codeInteger + uint8(k), z
			}
		}
	} else if n > 3 && s.flags&flagNotThree == 0 {
		i, ok := thousandths(b)
		if !ok {
			s.flags |= flagNotThree
		} else if last, ok := thousandths(s.v); ok {
			z := zigzag(i - last)
			if k := (bits.Len64(z) + 7) / 8; k <= n && k < 8 {
				return codeDecimal + uint8(k), z
			}
		}
	}
	return xorCodes[lead][n], x >> (8 * trail)
}

// decodeStream appends the n samples of a stream to dst's times and values.
// src has readSlack bytes after the stream.
func decodeStream(dst *model.Samples, src []byte, n int) {
	if n == 0 {
		return
	}
	at := len(dst.T)
	dst.T = slices.Grow(dst.T, n)[:at+n]
	dst.V = slices.Grow(dst.V, n)[:at+n]
	ts, vs := dst.T[at:], dst.V[at:]
	vs = vs[:len(ts)]
	var (
		t    = int64(binary.LittleEndian.Uint64(src[1:]))
		step = int64(0)
		v    = 0.0
		pos  = 9
		num  = int64(0)           // the last value in the unit of
		unit = uint8(kindInteger) // this kind; kindXOR if it is not known
	)
	tag := src[0]
	for i := 0; ; {
		switch {
		case tag >= tagRun:
			for k := min(int(tag-tagRun)+1, len(ts)-i); k > 0; k-- {
				t += step
				ts[i], vs[i] = t, v
				i++
			}
			pos++
		case tag >= tagNear:
			step += int64(tag) - (tagNear + maxNearStep + 1)
			t += step
			ts[i], vs[i] = t, v
			i++
			pos++
		default:
			if i > 0 {
				size := timeSizes[tag&3]
				z := uint64(binary.LittleEndian.Uint32(src[pos+1:])) & (1<<(8*size) - 1)
				step += unzigzag(z)
				t += step
				pos += 1 + int(size)
			}
			if code := tag >> 2; code != codeSame {
				c := &valueCodes[code]
				x := binary.LittleEndian.Uint64(src[pos:]) & (^uint64(0) >> (64 - 8*c.bytes))
				pos += int(c.bytes)
				switch c.kind {
				case kindInteger:
					if unit != kindInteger {
						num, unit = int64(v), kindInteger
					}
					num += unzigzag(x)
					v = float64(num)
				case kindDecimal:
					if unit != kindDecimal {
						num, _ = thousandths(math.Float64bits(v))
						unit = kindDecimal
					}
					num += unzigzag(x)
					v = float64(num) / 1000
				default:
					v = math.Float64frombits(math.Float64bits(v) ^ x<<c.shift)
					unit = kindXOR
				}
			}
			ts[i], vs[i] = t, v
			i++
		}
		if i == len(ts) {
			return
		}
		tag = src[pos]
	}
}
