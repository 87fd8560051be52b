package encoding

import (
	"encoding/binary"
	"slices"
)

// A column of opaque byte strings, compressed as one where that pays:
//
//	┌──────────┬──────────────────────────┬─────────┬────────────────────────┐
//	│ mode (1) │ length of lengths (u)    │ lengths │ all strings, one after │
//	│          │                          │         │ the other              │
//	└──────────┴──────────────────────────┴─────────┴────────────────────────┘
//
// lengths is a column of integers. Everything behind mode is one zstd frame if
// mode is 1.

// MaxBytesColumn is the largest number of bytes of all strings of a column
// together.
const MaxBytesColumn = 1 << 28

// AppendBytesColumn appends the strings bs, at most MaxValues and together at
// most MaxBytesColumn bytes; no string takes no bytes.
func AppendBytesColumn(dst []byte, bs [][]byte) []byte {
	checkAppend("bytes", len(bs))
	if len(bs) == 0 {
		return dst
	}
	s := takeScratch(Fast)
	s.ints = sized(s.ints, len(bs))
	total := 0
	for i, b := range bs {
		s.ints[i] = int64(len(b))
		total += len(b)
	}
	if total > MaxBytesColumn {
		panic("BUG: bytes column above MaxBytesColumn")
	}
	lengths, _ := appendInts(s.bytes[:0], s.ints, tryAll, s)
	s.bytes = lengths
	plain := make([]byte, 0, binary.MaxVarintLen64+len(lengths)+total)
	plain = AppendBytes(plain, lengths)
	scratches.Put(s)
	for _, b := range bs {
		plain = append(plain, b...)
	}
	return appendPacked(dst, plain)
}

// DecodeBytesColumn appends the n strings of the column src, which is all of
// it. The strings share the memory of src if it was not worth compressing. On
// an error dst is returned as it was.
func DecodeBytesColumn(dst [][]byte, src []byte, n int) ([][]byte, error) {
	if err := checkDecode("bytes", n); err != nil {
		return dst, err
	}
	if n == 0 {
		if len(src) > 0 {
			return dst, corruptf("bytes column: %d bytes for no value", len(src))
		}
		return dst, nil
	}
	plain, err := decodePacked(src)
	if err != nil {
		return dst, err
	}
	column, data, err := Bytes(plain, maxIntsColumn)
	if err != nil {
		return dst, err
	}
	lengths, err := DecodeTimestamps(nil, column, n)
	if err != nil {
		return dst, err
	}
	out := slices.Grow(dst, n)
	for _, l := range lengths {
		if uint64(l) > uint64(len(data)) {
			return dst, corruptf("bytes column: string of %d bytes, %d left", uint64(l), len(data))
		}
		out = append(out, data[:l:l])
		data = data[l:]
	}
	if len(data) > 0 {
		return dst, corruptf("bytes column: %d bytes left over", len(data))
	}
	return out, nil
}

// maxIntsColumn is more than a column of MaxValues integers takes.
const maxIntsColumn = 24 * MaxValues
