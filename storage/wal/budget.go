package wal

// budget decides what may be reserved. It is plain arithmetic under the log's
// mutex; files are elsewhere.
//
// A reservation is granted only if its frames, whatever their sizes and their
// order, and even if a rotation comes first, will find room in segments that
// are on disk already. Three facts make that simple:
//
//   - A frame that does not fit into the rest of a segment goes to the next, so
//     a segment wastes less than frameMax.
//   - The last spare segment is kept for a rotation and never counted: what was
//     appended before the rotation fits into the current segment and the other
//     spares, and what comes after it, at most pendingMax ≤ usable - frameMax,
//     into the kept one.
//   - Ordinary frames and those of the tail are counted apart, so neither takes
//     what was promised to the other, wherever in the segment they come to lie.
type budget struct {
	usable     int64 // bytes of a segment for ordinary frames
	tail       int64 // bytes of a segment for deletes and marks when it has no others left
	frameMax   int64 // largest frame
	pendingMax int64 // bound of outstanding

	outstanding     int64 // ordinary bytes reserved or appended, and not yet written
	tailOutstanding int64 // the same of the tail
	room            int64 // ordinary bytes left in the current segment, ≥ 0
	tailRoom        int64 // tail bytes left in the current segment, ≥ 0
	spares          int   // prepared segments
	rotating        bool  // a generation has ended and the flusher has not yet gone to the next segment
}

func newBudget(segmentBytes int64, pendingBytes int) budget {
	b := budget{
		tail:     min(tailBytes, segmentBytes/8),
		frameMax: int64(FrameBytes(int(min(MaxPayload, segmentBytes/8)))),
	}
	b.usable = segmentBytes - segmentHeaderBytes - b.tail
	b.pendingMax = min(int64(pendingBytes), b.usable-b.frameMax)
	return b
}

// payloadMax returns the largest payload of a frame.
func (b *budget) payloadMax() int { return int(b.frameMax) - frameHeaderBytes }

// capacity returns how many ordinary bytes may be outstanding at most.
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
// tells whether segments are lacking (true) or the flusher is behind (false).
func (b *budget) fits(n int64) (ok, space bool) {
	if b.outstanding+n > b.pendingMax {
		return false, false
	}
	return b.outstanding+n <= b.capacity(), true
}

// fitsTail reports whether n more bytes may be taken from the tail. Deletes
// leave the half of it to marks, which are what lets space be given back.
func (b *budget) fitsTail(n int64, mark bool) bool {
	left := b.tailRoom - b.tailOutstanding - n
	if mark {
		return left >= 0
	}
	return left >= b.tail/2
}

// wanted returns how many spare segments there should be: one is always kept
// for a rotation; another gets ready when the current segment can no longer take
// the most that may be outstanding.
func (b *budget) wanted() int {
	if b.room-b.frameMax < b.pendingMax {
		return 2
	}
	return 1
}
