package wal

import "tsdb/storage/log"

// budget decides which reservations are granted. It is plain arithmetic under the
// log's mutex and does no I/O.
//
// A reservation is granted only if its frames, whatever their sizes and their
// order, and even if a rotation comes first, fit into segments that are on
// disk already. Three rules ensure that:
//
//   - A frame that does not fit into the rest of a segment goes to the next, so
//     a segment wastes less than frameMax.
//   - The last spare segment is kept for a rotation and never counted. Frames
//     appended before the rotation fit into the current segment and the other
//     spares; those after it, at most pendingMax ≤ usable - frameMax bytes, fit
//     into the kept one.
//   - Ordinary and tail frames are counted separately, so neither uses bytes
//     granted to the other, wherever in the segment they are written.
type budget struct {
	usable     int64 // bytes of a segment for ordinary frames
	tail       int64 // bytes of a segment kept for deletes and marks once the usable ones are gone
	frameMax   int64 // largest frame
	pendingMax int64 // bound of outstanding

	outstanding     int64 // ordinary bytes reserved or appended, and not yet written
	tailOutstanding int64 // the same for the tail
	room            int64 // ordinary bytes left in the current segment, ≥ 0
	tailRoom        int64 // tail bytes left in the current segment, ≥ 0
	spares          int   // prepared segments
	rotating        bool  // a generation has ended and the flusher still writes to its segment
}

func newBudget(segmentBytes int64, pendingBytes int) budget {
	b := budget{
		tail:     min(tailBytes, segmentBytes/8),
		frameMax: int64(log.FrameBytes(int(min(log.MaxPayload, segmentBytes/8)))),
	}
	b.usable = segmentBytes - segmentHeaderBytes - b.tail
	b.pendingMax = min(int64(pendingBytes), b.usable-b.frameMax)
	return b
}

// payloadMax returns the largest payload of a frame.
func (b *budget) payloadMax() int { return int(b.frameMax) - frameHeaderBytes }

// capacity returns the maximum of outstanding ordinary bytes.
func (b *budget) capacity() int64 {
	if b.rotating {
		return 0
	}
	c := max(b.room-b.frameMax, 0)
	if b.spares > 1 {
		c += int64(b.spares-1) * (b.usable - b.frameMax)
	}
	return c
}

// fits reports whether n more ordinary bytes may be reserved. If not, space
// is true if segments are lacking, false if the pending buffer is full.
func (b *budget) fits(n int64) (ok, space bool) {
	if b.outstanding+n > b.pendingMax {
		return false, false
	}
	return b.outstanding+n <= b.capacity(), true
}

// fitsTail reports whether n more bytes may be taken from the tail. Deletes leave
// half of it to marks, without which no segment can be released.
func (b *budget) fitsTail(n int64, mark bool) bool {
	left := b.tailRoom - b.tailOutstanding - n
	if mark {
		return left >= 0
	}
	return left >= b.tail/2
}

// wanted returns the desired number of spare segments: one is always kept for a
// rotation; a second is prepared once the current segment cannot take pendingMax
// bytes any more.
func (b *budget) wanted() int {
	if b.room-b.frameMax < b.pendingMax {
		return 2
	}
	return 1
}
