package encoding

import (
	"encoding/binary"

	"tsdb/encoding/internal/bitpack"
)

// The PACK coder: residuals in one width, and patches for those that do not
// fit.
//
//	┌───────────┬────────────┬──────────────────┬───────────────────────────┐
//	│ width (1) │ count (u)  │ bits, LE         │ count × (gap (u), high (zz)) │
//	└───────────┴────────────┴──────────────────┴───────────────────────────┘
//
// The low 7 bits of the first byte are the width, 0 ≤ width ≤ 64; count and
// patches are present if bit 7 is set. The first gap is a position, every other
// one the distance from the previous patch minus 1. A patched residual is its
// packed bits + high · 2^width: high is small and negative for one that lies
// just below the window.

type patch struct {
	at   int
	high int64
}

const packPatched = 0x80

// appendPack appends us, which it changes, in the given width. patched says
// that some may not fit.
func appendPack(dst []byte, us []uint64, width uint, patched bool, s *scratch) []byte {
	patches := s.patches[:0]
	if patched {
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

// packHeader holds the fields before the bits.
type packHeader struct {
	width   uint
	patches int
}

// parsePack reads the header of n residuals and checks that src is long enough for
// their bits.
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
	if size := packedLen(n, h.width); len(rest) < size {
		return h, nil, corruptf("PACK: %d bytes of bits, want %d", len(rest), size)
	}
	return h, rest, nil
}

// packReader unpacks residuals a block at a time.
type packReader struct {
	width   uint
	bits    []byte // not unpacked yet
	n       uint64 // residuals not unpacked yet
	patches []byte // not read yet
	left    int    // patches not applied yet
	at      uint64 // residuals from the start of bits to the next patch, < n
	high    int64  // of the next patch
}

// packUnit is the number of residuals that fill whole bytes at any width.
const packUnit = 8

// begin prepares to unpack the residuals, of n, from index from on, a multiple of
// packUnit. src is the rest that parsePack returned: bits and patches and nothing
// else.
func (r *packReader) begin(h packHeader, src []byte, n, from int) error {
	size := packedLen(n, h.width)
	*r = packReader{width: h.width, bits: src[packedLen(from, h.width):size], n: uint64(n), patches: src[size:], left: h.patches}
	if err := r.readPatch(0); err != nil || from == 0 {
		return err
	}
	for r.left > 0 && r.at < uint64(from) {
		r.left--
		if err := r.readPatch(r.at + 1); err != nil {
			return err
		}
	}
	r.at -= uint64(from)
	r.n -= uint64(from)
	return nil
}

// readPatch reads the next patch, which is at index from or later.
func (r *packReader) readPatch(from uint64) error {
	if r.left == 0 {
		if len(r.patches) > 0 {
			return corruptf("PACK: %d bytes left over", len(r.patches))
		}
		return nil
	}
	if b := r.patches; len(b) >= 2 && (b[0]|b[1]) < 0x80 && uint64(b[0]) < r.n-from { // nearly all
		r.at, r.high, r.patches = from+uint64(b[0]), unzigzag(uint64(b[1])), b[2:]
		return nil
	}
	gap, rest, err := Uvarint(r.patches)
	if err != nil {
		return err
	}
	if gap >= r.n-from {
		return corruptf("PACK: patch beyond the residuals")
	}
	r.at = from + gap
	r.high, r.patches, err = Varint(rest)
	return err
}

// next fills the next block of residuals. The size of every block but the last
// is a multiple of 8.
func (r *packReader) next(us []uint64) error {
	bitpack.Unpack(us, r.bits, r.width)
	r.bits = r.bits[packedLen(len(us), r.width):]
	for r.left > 0 && r.at < uint64(len(us)) {
		us[r.at] += uint64(r.high) << (r.width & 63)
		r.left--
		if err := r.readPatch(r.at + 1); err != nil {
			return err
		}
	}
	r.at -= uint64(len(us))
	r.n -= uint64(len(us))
	return nil
}

// packedLen returns the bytes of n residuals without their patches.
func packedLen(n int, width uint) int { return bitpack.Len(n, width) }
