// Package wire decodes the fields of protobuf messages by hand.
//
// All functions take the bytes up to the end of a message and a position in them,
// so positions are relative to the body and can be used in errors. A negative next
// position means that the bytes are truncated or malformed. Nothing is read past
// the end of the slice.
package wire

import (
	"encoding/binary"
	"math"
)

// Wire types of protobuf.
const (
	Varint     = 0
	Fixed64    = 1
	Bytes      = 2
	groupStart = 3
	groupEnd   = 4
	Fixed32    = 5
)

// Uvarint decodes a varint of up to ten bytes.
func Uvarint(b []byte, i int) (v uint64, next int) {
	if uint(i) < uint(len(b)) && b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	return UvarintLong(b, i)
}

// UvarintLong decodes a varint that may have several bytes. Callers that have
// tried a single byte themselves use it.
func UvarintLong(b []byte, i int) (v uint64, next int) {
	if i >= 0 && i+1 < len(b) && b[i] >= 0x80 && b[i+1] < 0x80 { // most lengths of nested messages
		return uint64(b[i]&0x7f) | uint64(b[i+1])<<7, i + 2
	}
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

// LengthPrefixed decodes a length and returns the range of the bytes that follow
// it. end is negative if the range is not inside b.
func LengthPrefixed(b []byte, i int) (start, end int) {
	n, start := Uvarint(b, i)
	if start < 0 || n > uint64(len(b)-start) {
		return 0, -1
	}
	return start, start + int(n)
}

// SkipRepeated returns the position after contiguous length-prefixed fields with
// the same one-byte tag. It is negative if a field extends past the end of b.
// One-byte lengths, by far the most common, are decoded inline.
func SkipRepeated(b []byte, i int, tag byte) int {
	for i < len(b) && b[i] == tag {
		if i+1 < len(b) && b[i+1] < 0x80 {
			i += 2 + int(b[i+1])
		} else if _, i = LengthPrefixed(b, i+1); i < 0 {
			return -1
		}
		if i > len(b) {
			return -1
		}
	}
	return i
}

// Double decodes eight bytes as a float64.
func Double(b []byte, i int) (v float64, next int) {
	if len(b)-i < 8 {
		return 0, -1
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b[i:])), i + 8
}

// Uint64 decodes eight bytes as an integer.
func Uint64(b []byte, i int) (v uint64, next int) {
	if len(b)-i < 8 {
		return 0, -1
	}
	return binary.LittleEndian.Uint64(b[i:]), i + 8
}

// SkipField returns the position after an unknown field; i is the position after
// its tag. It fails for a known field (bit n of known is set for field n), which
// then has the wrong wire type, for field number zero, and for the end of a group
// that was not started.
func SkipField(b []byte, i int, tag uint64, known uint32) int {
	num := tag >> 3
	if num == 0 || num < 32 && known>>num&1 == 1 {
		return -1
	}
	depth := 0
	for {
		switch tag & 7 {
		case Varint:
			_, i = Uvarint(b, i)
		case Fixed64:
			i += 8
		case Bytes:
			_, i = LengthPrefixed(b, i)
		case groupStart:
			depth++
		case groupEnd:
			if depth == 0 {
				return -1
			}
			depth--
		case Fixed32:
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
		if tag, i = Uvarint(b, i); i < 0 {
			return -1
		}
	}
}
