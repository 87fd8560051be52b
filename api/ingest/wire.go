package ingest

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Functions to decode protobuf by hand. All take the bytes up to the end of a
// message and a position in them, so positions are relative to the body and can
// be used in errors. A negative next position means that the bytes are truncated
// or malformed. Nothing is read past the end of the slice.

// Wire types of protobuf.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireGroup   = 3
	wireEnd     = 4
	wireFixed32 = 5
)

// A wireError reports a message that cannot be decoded.
type wireError struct {
	message string // type of the message
	at      int    // position in the decompressed body
}

func (e *wireError) Error() string {
	return fmt.Sprintf("decode %s: malformed protobuf at byte %d", e.message, e.at)
}

// A requestError reports a request that is refused as a whole for its contents.
type requestError struct{ text string }

func (e *requestError) Error() string { return e.text }

// uvarint decodes a varint of up to ten bytes.
func uvarint(b []byte, i int) (v uint64, next int) {
	if uint(i) < uint(len(b)) && b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	return uvarintLong(b, i)
}

func uvarintLong(b []byte, i int) (v uint64, next int) {
	for shift := uint(0); shift < 64; shift += 7 {
		if uint(i) >= uint(len(b)) {
			return 0, -1
		}
		c := b[i]
		i++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i
		}
	}
	return 0, -1
}

// lengthPrefixed decodes a length and returns the range of the bytes that follow
// it. end is negative if the range is not inside b.
func lengthPrefixed(b []byte, i int) (start, end int) {
	n, start := uvarint(b, i)
	if start < 0 || n > uint64(len(b)-start) {
		return 0, -1
	}
	return start, start + int(n)
}

// skipRepeated returns the position after contiguous length-prefixed fields with
// the same one-byte tag. It is negative if a field extends past the end of b.
// One-byte lengths, by far the most common, are decoded inline.
func skipRepeated(b []byte, i int, tag byte) int {
	for i < len(b) && b[i] == tag {
		if i+1 < len(b) && b[i+1] < 0x80 {
			i += 2 + int(b[i+1])
		} else if _, i = lengthPrefixed(b, i+1); i < 0 {
			return -1
		}
		if i > len(b) {
			return -1
		}
	}
	return i
}

// double decodes eight bytes as a float64.
func double(b []byte, i int) (v float64, next int) {
	if len(b)-i < 8 {
		return 0, -1
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b[i:])), i + 8
}

// skipField returns the position after an unknown field; i is the position after
// its tag. It fails for a known field (bit n of known is set for field n), which
// then has the wrong wire type, for field number zero, and for the end of a group
// that was not started.
func skipField(b []byte, i int, tag uint64, known uint32) int {
	num := tag >> 3
	if num == 0 || num < 32 && known>>num&1 == 1 {
		return -1
	}
	depth := 0
	for {
		switch tag & 7 {
		case wireVarint:
			_, i = uvarint(b, i)
		case wireFixed64:
			i += 8
		case wireBytes:
			_, i = lengthPrefixed(b, i)
		case wireGroup:
			depth++
		case wireEnd:
			if depth == 0 {
				return -1
			}
			depth--
		case wireFixed32:
			i += 4
		default:
			return -1
		}
		if i < 0 || i > len(b) {
			return -1
		}
		if depth == 0 {
			return i
		}
		if tag, i = uvarint(b, i); i < 0 {
			return -1
		}
	}
}
