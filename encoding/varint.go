package encoding

import "encoding/binary"

// Uvarint reads an unsigned varint (7 bits a byte, low bits first, at most 10
// bytes) as binary.AppendUvarint writes it, and returns the rest of src.
func Uvarint(src []byte) (v uint64, rest []byte, err error) {
	if len(src) > 0 && src[0] < 0x80 {
		return uint64(src[0]), src[1:], nil
	}
	v, n := binary.Uvarint(src)
	if n <= 0 {
		return 0, src, corruptf("varint cut short or above 64 bits")
	}
	return v, src[n:], nil
}

// Varint reads a signed varint (zigzag: 0, -1, 1, -2 …) as
// binary.AppendVarint writes it, and returns the rest of src.
func Varint(src []byte) (v int64, rest []byte, err error) {
	u, rest, err := Uvarint(src)
	return unzigzag(u), rest, err
}

// AppendBytes appends the length of b as an unsigned varint, then b.
func AppendBytes(dst, b []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// Bytes reads a byte string that AppendBytes wrote, of at most max ≥ 0 bytes, and
// returns the rest of src. b shares the memory of src.
func Bytes(src []byte, max int) (b, rest []byte, err error) {
	n, rest, err := Uvarint(src)
	if err != nil {
		return nil, src, err
	}
	if n > uint64(max) {
		return nil, src, corruptf("%d bytes, at most %d", n, max)
	}
	if n > uint64(len(rest)) {
		return nil, src, corruptf("%d bytes, %d left", n, len(rest))
	}
	return rest[:n:n], rest[n:], nil
}

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
