package block

import (
	"encoding/binary"
	"math"
	"sort"

	"tsdb/encoding"
	"tsdb/partition/format"
)

// page is a fence: the location of a page and its first key. Keys are series
// ordinals or numbers of values in a dictionary, and never decrease from one page
// to the next.
type page struct {
	first  uint32
	off    int64  // in the file
	stored uint32 // bytes in the file
	raw    uint32 // bytes once decompressed; 0 = not compressed
	crc    uint32 // CRC-32C of the stored bytes
}

func (p page) end() int64 { return p.off + int64(p.stored) }

// size returns the bytes of the page's content.
func (p page) size() uint32 {
	if p.raw > 0 {
		return p.raw
	}
	return p.stored
}

// minFenceBytes is the minimum size of an encoded fence, used to check a count of
// fences.
const minFenceBytes = 8

// appendFences appends a list of fences.
func appendFences(dst []byte, ps []page) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ps)))
	var first uint32
	var end int64
	for _, p := range ps {
		dst = binary.AppendUvarint(dst, uint64(p.first-first))
		dst = binary.AppendVarint(dst, p.off-end)
		dst = binary.AppendUvarint(dst, uint64(p.stored))
		dst = binary.AppendUvarint(dst, uint64(p.raw))
		dst = binary.LittleEndian.AppendUint32(dst, p.crc)
		first, end = p.first, p.end()
	}
	return dst
}

// readFences reads a list of fences of pages inside a file of size bytes.
func readFences(r *format.Reader, size int64) []page {
	n := r.Uvarint(uint64(len(r.B)) / minFenceBytes)
	if n == 0 {
		return nil
	}
	ps := make([]page, 0, n)
	var first, end = uint64(0), int64(0)
	for range n {
		first += r.Uvarint(math.MaxUint32)
		off := end + r.Varint()
		p := page{first: uint32(first), off: off}
		p.stored = uint32(r.Uvarint(maxPageBytes))
		p.raw = uint32(r.Uvarint(maxPageBytes))
		p.crc = r.Uint32()
		if r.Err == nil && (first > math.MaxUint32 || off < 0 || off > size || int64(p.stored) > size-off) {
			r.Fail("fence outside of the file")
		}
		if r.Err != nil {
			return nil
		}
		ps = append(ps, p)
		end = p.end()
	}
	return ps
}

// pageOf returns the index of the last page whose first key is at most key, or -1
// if there is none.
func pageOf(ps []page, key uint32) int {
	return sort.Search(len(ps), func(i int) bool { return ps[i].first > key }) - 1
}

// makePage compresses content if that saves enough. It returns the fence of the
// page, without an offset, and the bytes to store, which share memory with
// content or scratch.
func makePage(first uint32, content, scratch []byte) (page, []byte) {
	p := page{first: first}
	stored, packed := compress(scratch[:0], content)
	if packed {
		p.raw = uint32(len(content))
	}
	p.stored = uint32(len(stored))
	p.crc = encoding.Checksum(stored)
	return p, stored
}

// unpack checks the stored bytes of a page and returns its content: stored
// itself or newly allocated bytes.
func (p page) unpack(stored []byte) ([]byte, error) {
	if len(stored) != int(p.stored) || encoding.Checksum(stored) != p.crc {
		return nil, format.Corrupt("checksum of a page")
	}
	return inflate(nil, stored, p.raw)
}

// part is a separately compressed section of a page, so that readers that do not
// need it do not decompress it.
type part struct {
	stored []byte
	raw    uint32 // bytes once decompressed; 0 = stored as they are
}

// appendPart appends content as a part: uvarint raw, uvarint of the length, the
// stored bytes.
func appendPart(dst, content []byte) []byte {
	stored, packed := compress(nil, content)
	raw := 0
	if packed {
		raw = len(content)
	}
	dst = binary.AppendUvarint(dst, uint64(raw))
	dst = binary.AppendUvarint(dst, uint64(len(stored)))
	return append(dst, stored...)
}

// readPart reads a part; it shares memory with the input.
func readPart(r *format.Reader) part {
	raw := uint32(r.Uvarint(maxPageBytes))
	return part{raw: raw, stored: r.Bytes(r.Uvarint(maxPageBytes))}
}

// size returns the bytes of the part's content.
func (p part) size() int {
	if p.raw > 0 {
		return int(p.raw)
	}
	return len(p.stored)
}

// content returns the decompressed bytes, or stored itself if not compressed.
func (p part) content() ([]byte, error) { return inflate(nil, p.stored, p.raw) }

// inflate returns stored itself if raw is 0. Otherwise it decompresses the zstd
// frame into dst[:0] and checks that the content has raw bytes.
func inflate(dst, stored []byte, raw uint32) ([]byte, error) {
	if raw == 0 {
		return stored, nil
	}
	b, err := encoding.DecodeZstd(dst[:0], stored, int(raw))
	if err != nil {
		return nil, format.Corrupt("zstd frame: %v", err)
	}
	if len(b) != int(raw) {
		return nil, format.Corrupt("zstd frame of %d bytes, not %d", len(b), raw)
	}
	return b, nil
}

// compress appends the zstd frame of src to dst, or src itself if the frame does
// not save a sixteenth and so is not worth decompressing. It reports whether it
// appended the frame.
func compress(dst, src []byte) ([]byte, bool) {
	n := len(dst)
	dst = encoding.AppendZstd(dst, src)
	if len(dst)-n > len(src)-len(src)/16-1 {
		return append(dst[:n], src...), false
	}
	return dst, true
}
