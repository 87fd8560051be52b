package block

import (
	"encoding/binary"
	"math"

	"tsdb/partition/format"
)

// inlineFrame is the frame number of columns stored in the directory page itself,
// because they are shorter than the description of a frame.
const inlineFrame = math.MaxUint32

// columnRef is the location of a column: bytes start ≤ i < start+length of a frame
// of the page or, for inlineFrame, of the page's inline bytes.
type columnRef struct {
	frame, start, length uint32
}

// refCoder encodes and decodes the column refs of one stream relative to the
// expected location of the next column: just after the last one, in the same frame
// or at the start of the next. Almost every field is then zero.
type refCoder struct {
	page   *directoryPage
	stream stream
	frame  uint32 // of the last column that was not inline
	end    uint32 // of that column
	inline uint32 // end of the last inline column
	any    bool   // frame and end are set
}

// expect returns the expected frame and start of the next column that is not
// inline.
func (c *refCoder) expect() (frame, start uint32) {
	switch {
	case !c.any:
		return 0, 0
	case int(c.frame) < len(c.page.frames[c.stream]) && c.end == c.page.frames[c.stream][c.frame].size():
		return c.frame + 1, 0
	}
	return c.frame, c.end
}

func (c *refCoder) append(dst []byte, r columnRef) []byte {
	if r.frame == inlineFrame {
		c.inline = r.start + r.length
		dst = append(dst, 0)
		return binary.AppendUvarint(dst, uint64(r.length))
	}
	frame, start := c.expect()
	if r.frame != frame {
		start = 0
	}
	dst = binary.AppendUvarint(dst, format.Zigzag(int64(r.frame)-int64(frame))+1)
	dst = binary.AppendVarint(dst, int64(r.start)-int64(start))
	length := r.length
	if r.start+length == c.page.sizeOf(c.stream, r.frame) {
		length = 0 // up to the frame's end
	}
	dst = binary.AppendUvarint(dst, uint64(length))
	c.frame, c.end, c.any = r.frame, r.start+r.length, true
	return dst
}

// readPlain reads the columns of rows as long as each is all of the next frame or
// inline, the common case, and returns the number of rows read.
func (c *refCoder) readPlain(r *format.Reader, rows []row) int {
	b, frames, inline := r.B, c.page.frames[c.stream], uint64(len(c.page.inline[c.stream]))
	next, start := c.expect()
	n := 0
	for ; n < len(rows) && len(b) >= 3 && rows[n].flags.hasColumns() && rows[n].flags&rowStarts == 0; n++ {
		if length := uint32(b[1]); b[0] == 0 && length-1 < 0x7f && uint64(c.inline)+uint64(length) <= inline {
			rows[n].value = columnRef{frame: inlineFrame, start: c.inline, length: length}
			c.inline += length
			b = b[2:]
			continue
		}
		if b[0] != 1 || b[1]|b[2] != 0 || start != 0 || uint64(next) >= uint64(len(frames)) {
			break
		}
		c.frame, c.end, c.any = next, frames[next].size(), true
		rows[n].value = columnRef{frame: next, length: c.end}
		b = b[3:]
		next++
	}
	r.B = b
	return n
}

func (c *refCoder) read(r *format.Reader) columnRef {
	tag := r.Uvarint(math.MaxUint64)
	if tag == 0 {
		ref := columnRef{frame: inlineFrame, start: c.inline, length: uint32(r.Uvarint(maxColumnBytes))}
		c.inline += ref.length
		if ref.length == 0 || uint64(c.inline) > uint64(len(c.page.inline[c.stream])) {
			r.Fail("inline column out of range")
			return columnRef{}
		}
		return ref
	}
	frame, start := c.expect()
	f := int64(frame) + format.Unzigzag(tag-1)
	if f != int64(frame) {
		start = 0
	}
	s := int64(start) + r.Varint()
	length := int64(r.Uvarint(maxColumnBytes))
	if r.Err != nil || f < 0 || f >= int64(len(c.page.frames[c.stream])) {
		r.Fail("column in no frame")
		return columnRef{}
	}
	size := int64(c.page.frames[c.stream][f].size())
	if length == 0 {
		length = size - s
	}
	if s < 0 || s >= size || length <= 0 || length > size-s {
		r.Fail("column out of its frame")
		return columnRef{}
	}
	ref := columnRef{frame: uint32(f), start: uint32(s), length: uint32(length)}
	c.frame, c.end, c.any = ref.frame, ref.start+ref.length, true
	return ref
}
