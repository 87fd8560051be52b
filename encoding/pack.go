package encoding

import (
	"encoding/binary"

	"tsdb/encoding/internal/bitpack"
)

// The PACK coder: residuals in one width, and patches for those that do not
// fit it.
//
//	┌───────────┬────────────┬──────────────────┬───────────────────────────┐
//	│ width (1) │ count (u)  │ bits, LE         │ count × (gap (u), high (zz)) │
//	└───────────┴────────────┴──────────────────┴───────────────────────────┘
//
// The low 7 bits of the first byte are the width, 0 ≤ width ≤ 64; count and
// patches are there if bit 7 is set. The first gap is a position, every other
// one the distance from the previous patch minus 1. A patched residual is its
// packed bits + high · 2^width: high is small and negative for one that lies
// just below the window.

type patch struct {
	at   int
	high int64
}

const packPatched = 0x80

func appendPack(dst []byte, us []uint64, width uint, s *scratch) []byte {
	patches := s.patches[:0]
	if width < 64 {
		mask := uint64(1)<<width - 1
		for i, u := range us {
			if u > mask {
				patches = append(patches, patch{i, int64(u) >> width})
				us[i] = u & mask
			}
		}
	}
	s.patches = patches
	if len(patches) == 0 {
		dst = append(dst, byte(width))
		return bitpack.Append(dst, us, width)
	}
	dst = append(dst, byte(width)|packPatched)
	dst = binary.AppendUvarint(dst, uint64(len(patches)))
	dst = bitpack.Append(dst, us, width)
	next := 0
	for _, p := range patches {
		dst = binary.AppendUvarint(dst, uint64(p.at-next))
		dst = binary.AppendVarint(dst, p.high)
		next = p.at + 1
	}
	return dst
}

func parsePack(src []byte, n int) (h packHeader, rest []byte, err error) {
	if len(src) == 0 {
		return h, nil, corruptf("PACK: no width")
	}
	h.width = uint(src[0] &^ packPatched)
	if h.width > bitpack.MaxWidth || h.width == 64 && src[0]&packPatched != 0 {
		return h, nil, corruptf("PACK: width byte %#02x", src[0])
	}
	rest = src[1:]
	if src[0]&packPatched != 0 {
		var count uint64
		if count, rest, err = Uvarint(rest); err != nil {
			return h, nil, err
		}
		if count == 0 || count > uint64(n) {
			return h, nil, corruptf("PACK: %d patches for %d residuals", count, n)
		}
		h.patches = int(count)
	}
	if len(rest) < h.bytes(n) {
		return h, nil, corruptf("PACK: %d bytes of bits, want %d", len(rest), h.bytes(n))
	}
	return h, rest, nil
}

// unpack fills us from the bits and patches that parsePack stopped at.
func unpack(us []uint64, src []byte, h packHeader) (rest []byte, err error) {
	bitpack.Unpack(us, src, h.width)
	rest = src[h.bytes(len(us)):]
	next := uint64(0)
	for range h.patches {
		var gap uint64
		var high int64
		if gap, rest, err = Uvarint(rest); err != nil {
			return nil, err
		}
		if high, rest, err = Varint(rest); err != nil {
			return nil, err
		}
		if gap >= uint64(len(us))-next {
			return nil, corruptf("PACK: patch beyond %d residuals", len(us))
		}
		us[next+gap] += uint64(high) << h.width
		next += gap + 1
	}
	return rest, nil
}
