package wal

import (
	"encoding/binary"
	"fmt"

	"tsdb/internal/vfs"
)

// run is frames that lie together and whose LSNs rise by one.
type run struct {
	off, end    int64
	gen         uint64
	first, last uint64 // LSNs
	frames      uint64
	synced      uint64 // highest synced LSN named
	edit        uint64 // highest manifest edit named
	start       bool   // it begins with a FrameStart
	found       uint64 // last LSN before it, if it begins with a FrameStart
	low         uint64 // highest generation that a FrameRelease says is still needed
	firstMs     int64  // lowest and highest wall time
	lastMs      int64
	data        bool // some of its frames are a client's
}

// scanned is what one segment file holds.
type scanned struct {
	name     string
	id       uint64
	size     int64
	header   bool // it is there and names this segment
	recycled bool
	runs     []run
	cut      int64 // where the torn tail begins, -1 = there is none
	damaged  bool
	// lastByte is the end of the last byte behind the frames that is not zero.
	// In a recycled file it says nothing.
	lastByte int64
	// partial is the LSN in an intact header, right behind the frames, whose
	// payload is not there; 0 = none.
	partial    uint64
	partialEnd int64
	// expected is the end of the frames that the list of segments says were
	// durable, if damage has taken the last of them; otherwise 0.
	expected    int64
	expectedLSN uint64 // of the last of those
}

// end returns the end of the last frame.
func (s *scanned) end() int64 {
	if n := len(s.runs); n > 0 {
		return s.runs[n-1].end
	}
	return segmentHeaderBytes
}

// remains returns how many bytes behind the last frame are certainly neither
// zeros nor stale: what a power cut or damage has left of further frames.
func (s *scanned) remains() int64 {
	switch {
	case s.partial != 0:
		return s.partialEnd - s.end()
	case s.header && !s.recycled:
		return s.lastByte - s.end()
	}
	return 0
}

// scanSegment finds all valid frames of a segment. It looks behind damage and
// behind the end of the frames too, up to the end of the file: whether bytes
// that are no frame are an end, a torn tail or damage is decided by what is
// found later, here or in other segments.
func scanSegment(fs vfs.FS, dir string, id uint64) (*scanned, error) {
	name := segmentName(dir, id)
	f, err := fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	defer f.Close()
	s := &scanned{name: name, id: id, cut: -1}
	if s.size, err = f.Size(); err != nil {
		return nil, fmt.Errorf("size of segment %s: %w", name, err)
	}
	w := &window{file: f, size: s.size}
	b, err := w.at(0, segmentHeaderBytes)
	if err != nil {
		return nil, err
	}
	h, ok, err := parseSegmentHeader(b)
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", name, err)
	}
	s.header = ok && h.id == id
	s.recycled = h.recycled
	s.lastByte = segmentHeaderBytes
	err = s.scanFrames(w)
	return s, err
}

func (s *scanned) scanFrames(w *window) error {
	seed := seedOf(s.id)
	at := int64(segmentHeaderBytes)
	for at+frameHeaderBytes <= s.size {
		f, size, ok, err := readFrame(w, at, seed)
		if err != nil {
			return err
		}
		if ok && s.follows(f) {
			if !f.Type.valid() {
				return fmt.Errorf("segment %s@%d: %w: frame of %v", s.name, at, ErrVersion, f.Type)
			}
			s.add(f, at, size)
			at += int64(size)
			continue
		}
		if at == s.end() {
			if err := s.findPartial(w, at, seed); err != nil {
				return err
			}
		}
		if at, err = s.skip(w, at); err != nil {
			return err
		}
	}
	return nil
}

// follows reports whether a frame can stand behind the ones found so far.
func (s *scanned) follows(f Frame) bool {
	n := len(s.runs)
	return n == 0 || f.Generation == s.runs[n-1].gen && f.LSN > s.runs[n-1].last
}

func (s *scanned) add(f Frame, at int64, size int) {
	n := len(s.runs)
	if n == 0 || at != s.runs[n-1].end || f.LSN != s.runs[n-1].last+1 {
		s.runs = append(s.runs, run{off: at, gen: f.Generation, first: f.LSN, firstMs: f.WallMs, lastMs: f.WallMs})
		n++
	}
	r := &s.runs[n-1]
	switch {
	case f.Type == FrameStart && r.frames == 0:
		r.start, r.found = true, binary.LittleEndian.Uint64(f.Payload)
	case f.Type == FrameRelease:
		r.low = max(r.low, binary.LittleEndian.Uint64(f.Payload))
	}
	r.end, r.last = at+int64(size), f.LSN
	r.frames++
	r.firstMs, r.lastMs = min(r.firstMs, f.WallMs), max(r.lastMs, f.WallMs)
	r.data = r.data || !f.Type.internal()
	r.synced, r.edit = max(r.synced, f.Synced), max(r.edit, f.Edit)
	s.lastByte = r.end
	s.partial, s.partialEnd = 0, 0
}

// skip returns the next place where a frame could begin, and notes how far
// there is anything but zeros.
func (s *scanned) skip(w *window, at int64) (int64, error) {
	b, err := w.at(at, frameAlign)
	if err != nil || len(b) < frameAlign {
		return s.size, err
	}
	b = w.rest(at)
	i := 0
	for i+frameAlign <= len(b) && binary.LittleEndian.Uint64(b[i:]) == 0 {
		i += frameAlign
	}
	if i > 0 {
		return at + int64(i), nil
	}
	s.lastByte = max(s.lastByte, at+frameAlign)
	return at + frameAlign, nil
}

// readFrame reads the frame at an offset; ok is false if there is none.
func readFrame(w *window, at int64, seed uint32) (f Frame, size int, ok bool, err error) {
	b, err := w.at(at, frameHeaderBytes)
	if err != nil || len(b) < frameHeaderBytes {
		return f, 0, false, err
	}
	size, ok = plausible(b, seed)
	if !ok || at+int64(size) > w.size {
		return f, 0, false, nil
	}
	if b, err = w.at(at, size); err != nil {
		return f, 0, false, err
	}
	f, ok = parseFrame(b, seed)
	return f, size, ok, nil
}

// findPartial looks for a header right behind the frames, of the next one, whose
// payload is damaged or missing.
func (s *scanned) findPartial(w *window, at int64, seed uint32) error {
	b, err := w.at(at, frameHeaderBytes)
	if err != nil || len(b) < frameHeaderBytes {
		return err
	}
	size, ok := plausible(b, seed)
	lsn := binary.LittleEndian.Uint64(b[offLSN:])
	if ok && (len(s.runs) == 0 || lsn == s.runs[len(s.runs)-1].last+1) {
		s.partial, s.partialEnd = lsn, min(at+int64(size), s.size)
	}
	return nil
}
