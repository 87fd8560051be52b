// Package bitpack stores unsigned integers in a fixed number of bits each,
// least significant bit first, without gaps: value i of width w takes the bits
// [i·w, (i+1)·w) of the stream, and bit k of the stream is bit k%8 of byte k/8.
// n values take Len(n, w) bytes; the unused high bits of the last byte are zero.
//
//	width 3:   byte 0            byte 1            byte 2
//	         ┌─────┬─────┬────┬──────┬─────┬──────┬───────┬─────┐
//	         │ v0  │ v1  │ v2 (2+1)  │ v3  │ v4   │ v5 (1+2)    │ …
//	         └─────┴─────┴───────────┴─────┴──────┴─────────────┘
//
// Generated functions, one per width, pack and unpack eight values at a time. All
// functions are safe for concurrent use.
package bitpack

import "slices"

//go:generate go run ./gen -o bitpack_gen.go

// MaxWidth is the largest width in bits.
const MaxWidth = 64

// Len returns the number of bytes of n values of the given width.
func Len(n int, width uint) int { return (n*int(width) + 7) / 8 }

// Append appends the values, each of which is below 1<<width, width ≤ MaxWidth.
func Append(dst []byte, vs []uint64, width uint) []byte {
	if width == 0 || len(vs) == 0 {
		return dst
	}
	at, size := len(dst), Len(len(vs), width)
	dst = slices.Grow(dst, size)[:at+size]
	full := len(vs) &^ 7
	packGroups(dst[at:], vs[:full], width)
	if full < len(vs) {
		var last [8]uint64
		var b [MaxWidth]byte
		copy(last[:], vs[full:])
		packGroups(b[:], last[:], width)
		copy(dst[at+full/8*int(width):], b[:])
	}
	return dst
}

// Unpack fills dst with the first len(dst) values of src. src has at least
// Len(len(dst), width) bytes and width is at most MaxWidth; it panics on a
// shorter src.
func Unpack(dst []uint64, src []byte, width uint) {
	if width == 0 {
		clear(dst)
		return
	}
	src = src[:Len(len(dst), width)]
	full := len(dst) &^ 7
	unpackGroups(dst[:full], src, width)
	if full < len(dst) {
		var last [8]uint64
		var b [MaxWidth]byte
		copy(b[:], src[full/8*int(width):])
		unpackGroups(last[:], b[:], width)
		copy(dst[full:], last[:])
	}
}
