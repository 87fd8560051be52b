package partition

import (
	"encoding/binary"
	"errors"

	"tsdb/encoding"
)

// appendString appends the uvarint length of s and its bytes.
func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// bytesReader reads numbers and strings from bytes that may be anything. The
// first thing that is wrong stays in err, and everything read after it is zero,
// so that callers check once at the end, before they use a count for anything
// but a loop that looks at err.
type bytesReader struct {
	b   []byte
	err error
}

func (r *bytesReader) fail(what string) {
	if r.err == nil {
		r.err = errors.New(what)
		r.b = nil
	}
}

func (r *bytesReader) byte() byte {
	if len(r.b) == 0 {
		r.fail("short of a byte")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *bytesReader) uint32() uint32 {
	if len(r.b) < 4 {
		r.fail("short of a number")
		return 0
	}
	v := binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *bytesReader) uint64() uint64 {
	if len(r.b) < 8 {
		r.fail("short of a number")
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// uvarint reads a number that may not be larger than most.
func (r *bytesReader) uvarint(most uint64) uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 && uint64(r.b[0]) <= most {
		v := r.b[0]
		r.b = r.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("not a number")
		return 0
	}
	if v > most {
		r.fail("number out of range")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *bytesReader) varint() int64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := r.b[0]
		r.b = r.b[1:]
		return unzigzag(uint64(v))
	}
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("not a number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// numberBatch is how many numbers the loops of decoders take at a time.
const numberBatch = 128

// uvarints fills dst with numbers, none larger than most, and returns it. It
// takes a tenth of the time of as many calls of uvarint where most are below 128
// (BenchmarkDirectoryPage).
func (r *bytesReader) uvarints(dst []uint64, most uint64) []uint64 {
	b, top := r.b, uint64(0)
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
				r.fail("not a number")
				clear(dst)
				return dst
			}
			b = b[k:]
		}
		dst[i], top = v, max(top, v)
		i++
	}
	if r.b = b; top > most {
		r.fail("number out of range")
		clear(dst)
	}
	return dst
}

// bytes returns the next n bytes; they share memory with the input.
func (r *bytesReader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("short of bytes")
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// string reads a length, at most most, and as many bytes.
func (r *bytesReader) string(most uint64) string {
	return string(r.bytes(r.uvarint(most)))
}

// count reads the number of items that follow, each of at least one byte.
func (r *bytesReader) count() int {
	return int(r.uvarint(uint64(len(r.b))))
}

// end returns what was wrong, a rest included.
func (r *bytesReader) end(what string) error {
	if r.err != nil {
		return corrupt("%s: %v", what, r.err)
	}
	if len(r.b) > 0 {
		return corrupt("%s: %d bytes too many", what, len(r.b))
	}
	return nil
}

// compress returns the shorter of src and its zstd frame, and whether it is the
// frame. A frame must save a sixteenth, or reading it is not worth the work.
// The frame is appended to dst.
func compress(dst, src []byte) ([]byte, bool) {
	n := len(dst)
	dst = encoding.AppendZstd(dst, src)
	if len(dst)-n > len(src)-len(src)/16-1 {
		return append(dst[:n], src...), false
	}
	return dst, true
}
