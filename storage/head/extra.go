package head

import (
	"encoding/binary"
	"math"

	"tsdb/internal/model"
)

// extra is the record of the few series of a buffer that have more than a short main
// run of plain floats.
type extra struct {
	openT int64 // time of the open segment's first sample

	segs, nSegs uint32 // closed segments of the main run: handle in segs, number
	runs, nRuns uint32 // sealed late runs, oldest first: handle in runs, number
	late, nLate uint32 // the late buffer: handle in late, number
	exs, nExs   uint32 // exemplars: handle in exs, number

	tombs, nTombs uint32 // deletions: handle in tombstones, number

	// The side stream of the open segment, if the segment is rich.
	side, sideLast uint32 // first block, block written to
	sideBytes      uint32
	histograms     uint32 // in the open segment
	writer         sideWriter
}

// lateRun is a sealed late buffer, or the merge of several, as a run of its own.
type lateRun struct {
	segs, nSegs uint32
	samples     uint32
	_           uint32
}

// scratch is the working memory of readers. Writers have one per shard.
type scratch struct {
	bytes, side  []byte
	a, b, part   model.Samples
	found, given model.Samples
	tombstones   []tombstone
	slots        []uint32
}

// drop releases the references to histograms that a read left in the scratch.
func (sc *scratch) drop() {
	for _, s := range [...]*model.Samples{&sc.a, &sc.b, &sc.part} {
		s.Reset()
	}
}

// extraOf returns the extra of a series, creating it if needed.
func (p *bufferShard) extraOf(st *state) *extra {
	if st.extra == 0 {
		p.nExtras++
		p.extras.ensure(p.nExtras + 1)
		st.extra = p.nExtras
		p.extras.at(st.extra).openT = st.minT
	}
	return p.extras.at(st.extra)
}

// Bounds of a segment with a side stream: when it is closed, its histograms are
// rewritten as a column under the shard's lock.
const (
	segmentHistograms = 64
	segmentSideBytes  = 16 << 10
)

// full reports whether the open segment is full.
func (p *bufferShard) full(st *state) bool {
	if st.flags&flagRich == 0 {
		return st.n >= segmentSamples
	}
	x := p.extras.at(st.extra)
	return st.n >= segmentSamples || x.histograms >= segmentHistograms || x.sideBytes >= segmentSideBytes
}

// extend appends a sample newer than every other of its series: the slow path of
// append.
func (p *bufferShard) extend(st *state, t, start int64, v float64, h model.Histogram) {
	b := math.Float64bits(v)
	switch {
	case st.n == 0:
		p.open(st, t, b)
		st.minT = t
		if st.extra != 0 { // exemplars arrived first
			p.extras.at(st.extra).openT = t
		}
	case p.full(st) || uint64(t-st.t) > maxStep:
		p.close(st)
		p.open(st, t, b)
		p.extras.at(st.extra).openT = t
	default:
		p.append(st, t, b)
	}
	rich := st.flags&flagRich != 0
	if !rich && start == 0 && h.IsZero() {
		return
	}
	x := p.extraOf(st)
	if !rich {
		st.flags |= flagRich
		x.side, x.sideLast, x.sideBytes, x.histograms, x.writer = 0, 0, 0, 0, sideWriter{}
	}
	if !h.IsZero() {
		x.histograms++
	}
	p.scratch.side = x.writer.append(p.scratch.side[:0], int(st.n)-1, start, h)
	p.appendSide(x, p.scratch.side)
}

// appendSide adds bytes to the side stream of the open segment.
func (p *bufferShard) appendSide(x *extra, src []byte) {
	for len(src) > 0 {
		at := int(x.sideBytes % blockRoom)
		if at == 0 {
			next := p.newBlock()
			if x.sideBytes == 0 {
				x.side = next
			} else {
				binary.LittleEndian.PutUint32(p.space.get(x.sideLast, blockLink), next)
			}
			x.sideLast = next
		}
		n := copy(p.space.get(x.sideLast, blockBytes)[blockLink+at:], src)
		x.sideBytes += uint32(n)
		src = src[n:]
	}
}

// close adds the open segment to the directory of the main run.
func (p *bufferShard) close(st *state) {
	x := p.extraOf(st)
	p.scratch.bytes = p.gatherOpen(p.scratch.bytes[:0], st)
	if st.pos > 0 {
		p.flush(st) // with unused bytes after pos
	}
	s := segment{minT: x.openT, maxT: st.t, stream: st.first, bytes: uint16(len(p.scratch.bytes)), samples: st.n}
	if st.flags&flagRich != 0 {
		s.side, s.sideBytes = x.side, x.sideBytes
	}
	if st.flags&flagRich != 0 && x.histograms == uint32(st.n) {
		sc := &p.scratch
		sc.part.Reset()
		p.readOpen(st, x, model.AllTime, &sc.part, sc)
		p.discard(s.side, int(s.sideBytes))
		sc.side = appendSides(sc.side[:0], &sc.part)
		s.side, s.sideBytes = p.store(sc.side), uint32(len(sc.side))
		sc.part.Reset()
	}
	x.segs = push(&p.segs, x.segs, int(x.nSegs), s)
	x.nSegs++
}

// push appends an element to an array of n elements of a pool and returns its
// handle.
func push[T any](p *pool[T], h uint32, n int, e T) uint32 {
	h = widen(p, h, n)
	p.get(h, n+1)[n] = e
	return h
}

// widen makes room for one more element after n.
func widen[T any](p *pool[T], h uint32, n int) uint32 {
	if n == 0 {
		return p.alloc(1)
	}
	if n < p.room(n) {
		return h
	}
	wide := p.alloc(n + 1)
	copy(p.get(wide, n), p.get(h, n))
	p.release(h, n)
	return wide
}

// encode writes samples, at least one, as a separate run.
func (p *bufferShard) encode(s *model.Samples) lateRun {
	r := lateRun{samples: uint32(s.Len())}
	limit := segmentSamples
	if len(s.H) > 0 {
		limit = segmentHistograms
	}
	for i := 0; i < s.Len(); {
		var main stream
		bytes := p.scratch.bytes[:0]
		k := i
		for ; k < min(s.Len(), i+limit) && (k == i || uint64(s.T[k]-s.T[k-1]) <= maxStep); k++ {
			bytes = main.appendTo(bytes, s.T[k], s.V[k])
		}
		part := s.Slice(i, k)
		side := appendSides(p.scratch.side[:0], &part)
		r.segs = push(&p.segs, r.segs, int(r.nSegs), segment{
			minT: s.T[i], maxT: s.T[k-1], stream: p.store(bytes), bytes: uint16(len(bytes)), samples: uint16(k - i),
			side: p.store(side), sideBytes: uint32(len(side)),
		})
		r.nSegs++
		p.scratch.bytes, p.scratch.side = bytes, side
		i = k
	}
	return r
}

// forget frees the memory of a sealed run.
func (p *bufferShard) forget(r lateRun) {
	for _, s := range p.segs.get(r.segs, int(r.nSegs)) {
		p.discard(s.stream, int(s.bytes))
		p.discard(s.side, int(s.sideBytes))
	}
	p.segs.release(r.segs, int(r.nSegs))
}
