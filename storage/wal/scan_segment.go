package wal

import (
	"encoding/binary"
	"fmt"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// extent is a range of a segment with adjacent frames whose LSNs rise by one.
type extent struct {
	off, end    int64
	gen         uint64
	first, last uint64 // LSNs
	frames      uint64
	synced      uint64 // highest synced LSN recorded
	edit        uint64 // highest manifest edit recorded
	start       bool   // it begins with a FrameStart
	found       uint64 // last LSN before it, if it begins with a FrameStart
	low         uint64 // highest generation that a FrameRelease names as the lowest needed
	firstMs     int64  // lowest and highest wall time
	lastMs      int64
	data        bool     // it has frames with client data
	deletions   []uint64 // numbers of its FrameDeletionEnd
}

// scannedSegment describes the contents of one segment file.
type scannedSegment struct {
	name     string
	id       uint64
	size     int64
	header   bool // the header is valid and has this segment's id
	recycled bool
	extents  []extent
	cut      int64 // offset of the torn tail, -1 = none
	damaged  bool
	// lastByte is the end of the last non-zero byte after the frames. It means
	// nothing in a recycled file.
	lastByte int64
	// partial is the LSN of an intact header, right after the frames, whose
	// payload is missing; 0 = none.
	partial    uint64
	partialEnd int64
	// expected is the end of the durable frames according to the list of
	// segments if the last of them is damaged; otherwise 0.
	expected    int64
	expectedLSN uint64 // of the last of those
}

// end returns the end of the last frame.
func (s *scannedSegment) end() int64 {
	if n := len(s.extents); n > 0 {
		return s.extents[n-1].end
	}
	return segmentHeaderBytes
}

// remains returns the number of bytes after the last frame that are certainly
// neither zeros nor stale: the remains of frames after a power cut or damage.
func (s *scannedSegment) remains() int64 {
	switch {
	case s.partial != 0:
		return s.partialEnd - s.end()
	case s.header && !s.recycled:
		return s.lastByte - s.end()
	}
	return 0
}

// scanSegment finds all valid frames of a segment. It continues after damage and
// after the end of the frames, up to the end of the file: whether other bytes are
// the end, a torn tail or damage depends on the frames found later, here or in
// other segments.
func scanSegment(fs vfs.FS, dir string, id uint64) (*scannedSegment, error) {
	return scanFile(fs, segmentName(dir, id), id)
}

// scanFile is scanSegment of a file of any name.
func scanFile(fs vfs.FS, name string, id uint64) (*scannedSegment, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	defer f.Close()
	s := &scannedSegment{name: name, id: id, cut: -1}
	if s.size, err = f.Size(); err != nil {
		return nil, fmt.Errorf("size of segment %s: %w", name, err)
	}
	w := &fileReader{file: f, size: s.size}
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

func (s *scannedSegment) scanFrames(w *fileReader) error {
	seed := seedOf(s.id)
	at := int64(segmentHeaderBytes)
	for at+frameHeaderBytes <= s.size {
		f, size, ok, err := readFrame(w, at, seed)
		if err != nil {
			return err
		}
		if ok && s.follows(f) {
			if !f.Type.Valid() {
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

// follows reports whether a frame can come after the ones found so far.
func (s *scannedSegment) follows(f log.Frame) bool {
	n := len(s.extents)
	return n == 0 || f.Generation == s.extents[n-1].gen && f.LSN > s.extents[n-1].last
}

func (s *scannedSegment) add(f log.Frame, at int64, size int) {
	n := len(s.extents)
	if n == 0 || at != s.extents[n-1].end || f.LSN != s.extents[n-1].last+1 {
		s.extents = append(s.extents, extent{off: at, gen: f.Generation, first: f.LSN, firstMs: f.WallMs, lastMs: f.WallMs})
		n++
	}
	r := &s.extents[n-1]
	switch {
	case f.Type == log.FrameStart && r.frames == 0:
		r.start, r.found = true, binary.LittleEndian.Uint64(f.Payload)
	case f.Type == log.FrameRelease:
		r.low = max(r.low, binary.LittleEndian.Uint64(f.Payload))
	case f.Type == log.FrameDeletionEnd:
		if number, err := log.DecodeDeletionEnd(f.Payload); err == nil { // replay reports the error
			r.deletions = append(r.deletions, number)
		}
	}
	r.end, r.last = at+int64(size), f.LSN
	r.frames++
	r.firstMs, r.lastMs = min(r.firstMs, f.WallMs), max(r.lastMs, f.WallMs)
	r.data = r.data || !f.Type.Internal()
	r.synced, r.edit = max(r.synced, f.Synced), max(r.edit, f.Edit)
	s.lastByte = r.end
	s.partial, s.partialEnd = 0, 0
}

// skip returns the next offset at which a frame could begin, and updates lastByte.
func (s *scannedSegment) skip(w *fileReader, at int64) (int64, error) {
	b, err := w.at(at, frameAlign)
	if err != nil || len(b) < frameAlign {
		return s.size, err
	}
	if n := zeroPrefix(w.rest(at)); n > 0 {
		return at + int64(n), nil
	}
	s.lastByte = max(s.lastByte, at+frameAlign)
	return at + frameAlign, nil
}

// zeroPrefix returns the length of the zeros at the beginning of b, a multiple of
// frameAlign. The race detector does not follow it: most of a segment is zeros,
// and recording that each was read takes most of the time of a start.
//
//go:norace
func zeroPrefix(b []byte) int {
	n := 0
	for n+frameAlign <= len(b) && binary.LittleEndian.Uint64(b[n:]) == 0 {
		n += frameAlign
	}
	return n
}

// readFrame reads the frame at an offset; ok is false if there is no valid frame.
func readFrame(w *fileReader, at int64, seed uint32) (f log.Frame, size int, ok bool, err error) {
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

// findPartial looks for the header of the next frame right after the frames, whose
// payload is damaged or missing.
func (s *scannedSegment) findPartial(w *fileReader, at int64, seed uint32) error {
	b, err := w.at(at, frameHeaderBytes)
	if err != nil || len(b) < frameHeaderBytes {
		return err
	}
	size, ok := plausible(b, seed)
	lsn := binary.LittleEndian.Uint64(b[offLSN:])
	if ok && (len(s.extents) == 0 || lsn == s.extents[len(s.extents)-1].last+1) {
		s.partial, s.partialEnd = lsn, min(at+int64(size), s.size)
	}
	return nil
}
