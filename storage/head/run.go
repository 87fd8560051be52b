package head

import (
	"encoding/binary"
	"sort"

	"tsdb/internal/model"
)

// state is the record of a series in a buffer: the open segment of its main run.
// The main run holds samples in order of arrival and accepts only samples newer than
// all others of the series in this buffer. A state is 64 bytes, one cache line: as
// it includes the tail, most samples of a million series touch one line each.
type state struct {
	stream        // of the open segment; n is 0 only if the series has no sample
	minT   int64  // first time of any sample of the series here
	first  uint32 // first block of the open segment, 0 if all of it is in the tail
	last   uint32 // block written last
	extra  uint32 // index of the series' extra, 0 if it has none
	tail   [tailBytes]byte
}

// The bytes of a stream are written to the tail; a full tail is moved to the last
// block of a chain. A block is a cache line: the handle of the next block, then
// three tails.
const (
	tailBytes  = 20
	blockBytes = 64
	blockLink  = 4
	blockRoom  = blockBytes - blockLink
	blockTails = blockRoom / tailBytes
)

// segmentSamples bounds the samples of a segment. A late sample requires decoding
// its segment, so segments are short; each costs a directory entry and an
// uncompressed first sample, a fifth of a byte per sample.
const segmentSamples = 256

// segment is one closed part of a run: up to segmentSamples samples as a stream,
// with a side stream for everything that is not a plain float.
type segment struct {
	minT, maxT int64  // times of the first and the last sample
	stream     uint32 // first block of the stream
	side       uint32 // first block of the side stream
	sideBytes  uint32 // 0 if all samples are plain floats
	bytes      uint16 // of the stream
	samples    uint16
}

// append adds a plain float to the open segment, newer than the last sample by
// at most maxStep.
func (p *bufferShard) append(st *state, t int64, b uint64) {
	at := int(st.pos)
	if at > 0 && st.repeats(t, b, st.tail[(at-1)%tailBytes]) {
		st.tail[(at-1)%tailBytes]++
		return
	}
	var buf [encodeRoom]byte
	n := st.encode(&buf, t, b)
	if at+n <= tailBytes {
		if at <= tailBytes-8 && n <= 8 { // the usual case; the bytes after these are unused
			binary.LittleEndian.PutUint64(st.tail[at:], binary.LittleEndian.Uint64(buf[:]))
		} else {
			copy(st.tail[at:], buf[:n])
		}
		st.pos = uint8(at + n)
		return
	}
	k := copy(st.tail[at:], buf[:n])
	p.flush(st)
	st.pos = uint8(copy(st.tail[:], buf[k:n]))
}

// flush writes a full tail to the chain.
func (p *bufferShard) flush(st *state) {
	fills := int(st.flags & flagFills)
	if st.first == 0 || fills == blockTails {
		next := p.newBlock()
		if st.first == 0 {
			st.first = next
		} else {
			binary.LittleEndian.PutUint32(p.space.get(st.last, blockLink), next)
		}
		st.last = next
		fills = 0
	}
	copy(p.space.get(st.last, blockBytes)[blockLink+fills*tailBytes:], st.tail[:])
	st.flags = st.flags&^flagFills | uint8(fills+1)
}

func (p *bufferShard) newBlock() uint32 { return p.space.alloc(blockBytes) }

// open begins a segment of the series with its first sample.
func (p *bufferShard) open(st *state, t int64, b uint64) {
	st.stream = stream{}
	st.first, st.last = 0, 0
	p.append(st, t, b)
}

// gather appends n bytes of a chain to dst.
func (p *bufferShard) gather(dst []byte, first uint32, n int) []byte {
	for h := first; n > 0; {
		block := p.space.get(h, blockBytes)
		k := min(n, blockRoom)
		dst = append(dst, block[blockLink:blockLink+k]...)
		if n -= k; n > 0 {
			h = binary.LittleEndian.Uint32(block)
		}
	}
	return dst
}

// gatherOpen appends the bytes of the open segment's stream to dst.
func (p *bufferShard) gatherOpen(dst []byte, st *state) []byte {
	if st.first != 0 {
		h := st.first
		for ; h != st.last; h = binary.LittleEndian.Uint32(p.space.get(h, blockLink)) {
			dst = append(dst, p.space.get(h, blockBytes)[blockLink:]...)
		}
		dst = append(dst, p.space.get(h, blockBytes)[blockLink:blockLink+int(st.flags&flagFills)*tailBytes]...)
	}
	return append(dst, st.tail[:st.pos]...)
}

// store writes bytes to a chain of its own; src is not empty.
func (p *bufferShard) store(src []byte) (first uint32) {
	var prev uint32
	for i := 0; i < len(src); i += blockRoom {
		h := p.newBlock()
		copy(p.space.get(h, blockBytes)[blockLink:], src[i:])
		if prev == 0 {
			first = h
		} else {
			binary.LittleEndian.PutUint32(p.space.get(prev, blockLink), h)
		}
		prev = h
	}
	return first
}

// discard frees the blocks of a chain of n bytes.
func (p *bufferShard) discard(first uint32, n int) {
	for h := first; n > 0; n -= blockRoom {
		next := binary.LittleEndian.Uint32(p.space.get(h, blockLink))
		p.space.release(h, blockBytes)
		h = next
	}
}

// read appends the samples of a series in the range to dst.
func (p *bufferShard) read(st *state, tr model.TimeRange, dst *model.Samples, sc *scratch) {
	if st.n == 0 || st.minT >= tr.Max || st.t < tr.Min {
		return
	}
	if st.extra == 0 {
		p.readOpen(st, nil, tr, dst, sc)
		return
	}
	x := p.extras.at(st.extra)
	if x.nLate == 0 && x.nRuns == 0 {
		at := dst.Len()
		p.readMain(st, x, tr, dst, sc)
		p.dropDeleted(dst, at, x, mainRun)
		return
	}
	a, b := &sc.a, &sc.b
	a.Reset()
	p.readMain(st, x, tr, a, sc)
	p.dropDeleted(a, 0, x, mainRun)
	part := &sc.part
	for i, r := range p.runs.get(x.runs, int(x.nRuns)) {
		part.Reset()
		p.readSegments(p.segs.get(r.segs, int(r.nSegs)), tr, part, sc)
		p.dropDeleted(part, 0, x, i)
		if part.Len() > 0 {
			b.Reset()
			model.Merge(b, a, part)
			a, b = b, a
		}
	}
	part.Reset()
	p.readLate(x, tr, part)
	model.Merge(dst, a, part)
	sc.drop()
}

// readMain appends the main run's samples in the range to dst.
func (p *bufferShard) readMain(st *state, x *extra, tr model.TimeRange, dst *model.Samples, sc *scratch) {
	p.readSegments(p.segs.get(x.segs, int(x.nSegs)), tr, dst, sc)
	p.readOpen(st, x, tr, dst, sc)
}

// readSegments appends the samples of closed segments in the range to dst.
func (p *bufferShard) readSegments(segs []segment, tr model.TimeRange, dst *model.Samples, sc *scratch) {
	from := sort.Search(len(segs), func(i int) bool { return segs[i].maxT >= tr.Min })
	for i := from; i < len(segs) && segs[i].minT < tr.Max; i++ {
		s := &segs[i]
		sc.bytes = p.gather(sc.bytes[:0], s.stream, int(s.bytes))
		sc.side = p.gather(sc.side[:0], s.side, int(s.sideBytes))
		appendStream(dst, sc, int(s.samples), tr)
	}
}

// readOpen appends the samples of the open segment in the range to dst.
func (p *bufferShard) readOpen(st *state, x *extra, tr model.TimeRange, dst *model.Samples, sc *scratch) {
	first := st.minT
	if x != nil {
		first = x.openT
	}
	if first >= tr.Max || st.t < tr.Min {
		return
	}
	sc.bytes = p.gatherOpen(sc.bytes[:0], st)
	sc.side = sc.side[:0]
	if st.flags&flagRich != 0 {
		sc.side = p.gather(sc.side, x.side, int(x.sideBytes))
	}
	appendStream(dst, sc, int(st.n), tr)
}

// slack is the padding that decodeStream may read after a stream.
var slack [readSlack]byte

// appendStream decodes the n samples of the stream in sc.bytes and its side stream in
// sc.side and appends those in the range to dst.
func appendStream(dst *model.Samples, sc *scratch, n int, tr model.TimeRange) {
	at := dst.Len()
	sc.bytes = append(sc.bytes, slack[:]...)
	decodeStream(dst, sc.bytes, n)
	pad(dst)
	if len(sc.side) > 0 {
		applySide(dst, at, sc.side)
	}
	clip(dst, at, tr)
}

// pad makes the optional columns as long as the times.
func pad(s *model.Samples) {
	if len(s.ST) > 0 {
		s.ST = extend(s.ST, len(s.T))
	}
	if len(s.H) > 0 {
		s.H = extend(s.H, len(s.T))
	}
}

func extend[T any](c []T, n int) []T {
	for len(c) < n {
		var zero T
		c = append(c, zero)
	}
	return c
}

// clip removes the samples from index at on that are not in the range.
func clip(s *model.Samples, at int, tr model.TimeRange) {
	n := s.Len()
	if n == at || s.T[at] >= tr.Min && s.T[n-1] < tr.Max {
		return
	}
	tail := s.Slice(at, n)
	lo, hi := at+tail.Search(tr.Min), at+tail.Search(tr.Max)
	hi = max(hi, lo)
	s.T, s.V = cut(s.T, at, lo, hi), cut(s.V, at, lo, hi)
	if len(s.ST) > 0 {
		s.ST = cut(s.ST, at, lo, hi)
	}
	if len(s.H) > 0 {
		s.H = cut(s.H, at, lo, hi)
	}
}

// cut keeps c[:at] and c[lo:hi].
func cut[T any](c []T, at, lo, hi int) []T {
	n := at + copy(c[at:], c[lo:hi])
	clear(c[n:])
	return c[:n]
}
