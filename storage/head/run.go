package head

import (
	"encoding/binary"
	"fmt"

	"tsdb/encoding"
	"tsdb/internal/model"
)

// state is what a buffer keeps of every series: the open segment of its main
// run. The main run holds samples in the order they came and takes only those
// newer than every sample of the series in this buffer. 64 bytes, a cache line.
type state struct {
	run   encoding.Gorilla // of the open segment; Len is 0 only if the series has no sample
	minT  int64            // first time of any sample of the series here
	lastV uint64           // bits of the main run's last float, 0 if it is a histogram
	first uint32           // block of the open segment's beginning
	last  uint32           // block that is written to
	extra uint32           // index of the series' extra, 0 if it has none
	used  uint8            // bytes used of the last block
	rich  bool             // the open segment has a side stream: histograms, start timestamps
}

// A stream lies in a chain of blocks of a cache line each: the handle of the
// next block, then bytes.
const (
	blockBytes  = 64
	blockLink   = 4
	blockRoom   = blockBytes - blockLink
	sampleBytes = encoding.GorillaMaxSample
)

// segmentSamples bounds the samples of a segment. A late sample makes its
// segment be decoded, so segments are short; each costs a directory entry and
// the plain first sample, a fifth of a byte a sample.
const segmentSamples = 256

// segment is one closed piece of a run: up to segmentSamples samples as a
// Gorilla stream, with what is not a plain float in a side stream.
type segment struct {
	minT, maxT int64  // times of the first and the last sample
	stream     uint32 // first block of the stream
	side       uint32 // first block of the side stream
	sideBytes  uint32 // 0 if all samples are plain floats
	bytes      uint16 // of the stream
	samples    uint16
}

// append adds a plain float to the open segment.
func (p *bufferShard) append(st *state, t int64, v float64) {
	block := p.space.get(st.last, blockBytes)
	at := blockLink + int(st.used)
	if at+sampleBytes <= blockBytes {
		st.used = uint8(len(st.run.Append(block[:at], t, v)) - blockLink)
		return
	}
	// The sample may not fit: it is written beside, with the last byte before
	// it, and copied.
	var buf [sampleBytes + 1]byte
	buf[0] = block[at-1]
	out := st.run.Append(buf[:1], t, v)
	n := copy(block[at-1:], out)
	st.used += uint8(n - 1)
	if n < len(out) {
		next := p.newBlock()
		binary.LittleEndian.PutUint32(p.space.get(st.last, blockLink), next)
		st.last = next
		st.used = uint8(copy(p.space.get(next, blockBytes)[blockLink:], out[n:]))
	}
}

func (p *bufferShard) newBlock() uint32 { return p.space.alloc(blockBytes) }

// open begins the series' first segment, or the next one, with its first
// sample.
func (p *bufferShard) open(st *state, t int64, v float64) {
	st.run = encoding.Gorilla{}
	st.first = p.newBlock()
	st.last = st.first
	block := p.space.get(st.first, blockBytes)
	st.used = uint8(len(st.run.Append(block[:blockLink], t, v)) - blockLink)
	st.rich = false
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
	h := st.first
	for h != st.last {
		block := p.space.get(h, blockBytes)
		dst = append(dst, block[blockLink:]...)
		h = binary.LittleEndian.Uint32(block)
	}
	return append(dst, p.space.get(h, blockBytes)[blockLink:blockLink+int(st.used)]...)
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

// discard gives back the blocks of n bytes of a chain.
func (p *bufferShard) discard(first uint32, n int) {
	for h := first; n > 0; n -= blockRoom {
		next := binary.LittleEndian.Uint32(p.space.get(h, blockLink))
		p.space.release(h, blockBytes)
		h = next
	}
}

// read appends the samples of a series in the range to dst.
func (p *bufferShard) read(st *state, tr model.TimeRange, dst *model.Samples, sc *scratch) {
	if st.run.Len() == 0 || st.minT >= tr.Max || st.run.LastTime() < tr.Min {
		return
	}
	if st.extra == 0 {
		p.readOpen(st, nil, tr, dst, sc)
		return
	}
	x := p.extras.at(st.extra)
	if x.nLate == 0 && x.nRuns == 0 {
		p.readMain(st, x, tr, dst, sc)
		return
	}
	a, b := &sc.a, &sc.b
	a.Reset()
	p.readMain(st, x, tr, a, sc)
	part := &sc.part
	for _, r := range p.runs.get(x.runs, int(x.nRuns)) {
		part.Reset()
		p.readSegments(p.segs.get(r.segs, int(r.nSegs)), tr, part, sc)
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
	for i := range segs {
		s := &segs[i]
		if s.maxT < tr.Min {
			continue
		}
		if s.minT >= tr.Max {
			return
		}
		sc.bytes = p.gather(sc.bytes[:0], s.stream, int(s.bytes))
		sc.side = p.gather(sc.side[:0], s.side, int(s.sideBytes))
		appendStream(dst, sc.bytes, int(s.samples), sc.side, tr)
	}
}

// readOpen appends the samples of the open segment in the range to dst.
func (p *bufferShard) readOpen(st *state, x *extra, tr model.TimeRange, dst *model.Samples, sc *scratch) {
	first := st.minT
	if x != nil {
		first = x.openT
	}
	if first >= tr.Max || st.run.LastTime() < tr.Min {
		return
	}
	sc.bytes = p.gatherOpen(sc.bytes[:0], st)
	sc.side = sc.side[:0]
	if st.rich {
		sc.side = p.gather(sc.side, x.side, int(x.sideBytes))
	}
	appendStream(dst, sc.bytes, st.run.Len(), sc.side, tr)
}

// appendStream decodes the n samples of a stream and its side stream and
// appends those in the range to dst.
func appendStream(dst *model.Samples, stream []byte, n int, side []byte, tr model.TimeRange) {
	at := dst.Len()
	var err error
	dst.T, dst.V, err = encoding.DecodeGorilla(dst.T, dst.V, stream, n)
	if err != nil {
		panic(fmt.Sprintf("BUG: stream of %d samples in memory: %v", n, err))
	}
	pad(dst)
	if len(side) > 0 {
		applySide(dst, at, side)
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

// clip takes the samples at and after index at that are not in the range out.
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
