package format

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// AppendString appends the uvarint length of s and its bytes.
func AppendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// Reader reads numbers and strings from untrusted bytes. The first error is kept in
// Err, and everything read after it is zero, so that callers can check once at the
// end. A count may be used before that only for a loop that checks Err.
type Reader struct {
	B   []byte
	Err error
}

func (r *Reader) Fail(what string) {
	if r.Err == nil {
		r.Err = errors.New(what)
		r.B = nil
	}
}

func (r *Reader) Byte() byte {
	if len(r.B) == 0 {
		r.Fail("short of a byte")
		return 0
	}
	v := r.B[0]
	r.B = r.B[1:]
	return v
}

func (r *Reader) Uint32() uint32 {
	if len(r.B) < 4 {
		r.Fail("short of a number")
		return 0
	}
	v := binary.LittleEndian.Uint32(r.B)
	r.B = r.B[4:]
	return v
}

func (r *Reader) Uint64() uint64 {
	if len(r.B) < 8 {
		r.Fail("short of a number")
		return 0
	}
	v := binary.LittleEndian.Uint64(r.B)
	r.B = r.B[8:]
	return v
}

// Uvarint reads a number. A number above limit is an error.
func (r *Reader) Uvarint(limit uint64) uint64 {
	if len(r.B) > 0 && r.B[0] < 0x80 && uint64(r.B[0]) <= limit {
		v := r.B[0]
		r.B = r.B[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.B)
	if n <= 0 {
		r.Fail("not a number")
		return 0
	}
	if v > limit {
		r.Fail("number out of range")
		return 0
	}
	r.B = r.B[n:]
	return v
}

func (r *Reader) Varint() int64 {
	if len(r.B) > 0 && r.B[0] < 0x80 {
		v := r.B[0]
		r.B = r.B[1:]
		return Unzigzag(uint64(v))
	}
	v, n := binary.Varint(r.B)
	if n <= 0 {
		r.Fail("not a number")
		return 0
	}
	r.B = r.B[n:]
	return v
}

// NumberBatch is the number of numbers that decoders read at a time.
const NumberBatch = 128

// Uvarints fills dst with numbers, none above limit, and returns it. If most are
// below 128 it takes a tenth of the time of calling Uvarint for each
// (BenchmarkDirectoryPage).
func (r *Reader) Uvarints(dst []uint64, limit uint64) []uint64 {
	b, top := r.B, uint64(0)
	for i := 0; i < len(dst); {
		if len(b) >= 8 && len(dst)-i >= 8 && binary.LittleEndian.Uint64(b)&0x8080808080808080 == 0 {
			for k, v := range b[:8:8] {
				dst[i+k] = uint64(v)
				top = max(top, uint64(v))
			}
			b, i = b[8:], i+8
			continue
		}
		var v uint64
		switch {
		case len(b) >= 2 && b[0] < 0x80:
			v, b = uint64(b[0]), b[1:]
		case len(b) >= 2 && b[1] < 0x80:
			v, b = uint64(b[0]&0x7f)|uint64(b[1])<<7, b[2:]
		default:
			var k int
			if v, k = binary.Uvarint(b); k <= 0 {
				r.Fail("not a number")
				clear(dst)
				return dst
			}
			b = b[k:]
		}
		dst[i], top = v, max(top, v)
		i++
	}
	if r.B = b; top > limit {
		r.Fail("number out of range")
		clear(dst)
	}
	return dst
}

// Bytes returns the next n bytes; they share memory with the input.
func (r *Reader) Bytes(n uint64) []byte {
	if n > uint64(len(r.B)) {
		r.Fail("short of bytes")
		return nil
	}
	v := r.B[:n:n]
	r.B = r.B[n:]
	return v
}

// Text reads a length, at most limit, and that many bytes.
func (r *Reader) Text(limit uint64) string {
	return string(r.Bytes(r.Uvarint(limit)))
}

// Count reads the number of items that follow, each of at least one byte.
func (r *Reader) Count() int {
	return int(r.Uvarint(uint64(len(r.B))))
}

// End returns Err, or an error if bytes are left.
func (r *Reader) End(what string) error {
	if r.Err != nil {
		return Corrupt("%s: %v", what, r.Err)
	}
	if len(r.B) > 0 {
		return Corrupt("%s: %d bytes too many", what, len(r.B))
	}
	return nil
}

// UvarintLen returns the number of bytes of v as a uvarint.
func UvarintLen(v uint32) int { return (bits.Len32(v|1) + 6) / 7 }

// Zigzag maps small numbers of either sign to small ones.
func Zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

// Unzigzag is the inverse of Zigzag.
func Unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }
