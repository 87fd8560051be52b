package wal

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// Extent is a run of frames of one segment whose LSNs rise by one.
type Extent struct {
	Segment, Generation uint64
	First, Last         uint64 // LSNs
	// Prev is the LSN of the frame before First in the log; it is First − 1 except
	// after a start, which leaves LSNs out. 0 = none is known.
	Prev            uint64
	FirstMs, LastMs int64 // lowest and highest wall time, Unix milliseconds
	Offset, Bytes   int64 // in the file
	File            string
}

// Extents returns the frames of the log by rising LSN, and those of released segments
// that are kept.
func (r *Recovery) Extents() ([]Extent, error) {
	var all []Extent
	add := func(s *scannedSegment) {
		for i := range s.extents {
			x := &s.extents[i]
			prev := x.first - 1
			if x.start {
				prev = min(prev, x.found)
			}
			all = append(all, Extent{
				Segment: s.id, Generation: x.gen, First: x.first, Last: x.last, Prev: prev,
				FirstMs: x.firstMs, LastMs: x.lastMs, Offset: x.off, Bytes: x.end - x.off, File: s.name,
			})
		}
	}
	kept, err := listKept(r.fs, r.dir)
	if err != nil {
		return nil, fmt.Errorf("scan log: %w", err)
	}
	for _, k := range kept {
		if slices.ContainsFunc(r.segments, func(s *scannedSegment) bool { return s.id == k.id }) {
			continue
		}
		s, err := scanFile(r.fs, path.Join(r.dir, k.name), k.id)
		if err != nil {
			return nil, fmt.Errorf("scan log: %w", err)
		}
		add(s)
	}
	for _, s := range r.segments {
		add(s)
	}
	slices.SortFunc(all, func(a, b Extent) int { return cmp.Compare(a.First, b.First) })
	return all, nil
}

// ReadFrames calls fn with the bytes of the frames of an extent whose LSNs are above
// after and at most last, a few at a time, whole frames in each call. The bytes are valid until fn
// returns.
func (r *Recovery) ReadFrames(x Extent, after, last uint64, fn func(frames []byte) error) error {
	f, err := r.fs.Open(x.File)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	defer f.Close()
	w := &fileReader{file: f, size: x.Offset + x.Bytes}
	var batch []byte
	for at := x.Offset; at < x.Offset+x.Bytes; {
		frame, size, ok, err := readFrame(w, at, seedOf(x.Segment))
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("read segment %s@%d: %w", x.File, at, errFrameChanged)
		}
		if frame.LSN > after && frame.LSN <= last {
			b, err := w.at(at, size)
			if err != nil {
				return err
			}
			if batch = append(batch, b...); len(batch) >= fileReaderBytes {
				if err := fn(batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
		at += int64(size)
	}
	if len(batch) == 0 {
		return nil
	}
	return fn(batch)
}

// EachFrame calls fn with each frame of b, which are those of a segment. A frame that
// is damaged or cut off is log.ErrCorrupt.
func EachFrame(b []byte, segment uint64, fn func(f log.Frame) error) error {
	seed := seedOf(segment)
	for len(b) > 0 {
		if len(b) < frameHeaderBytes {
			return log.Corruptf("%d bytes after the last frame", len(b))
		}
		size, ok := plausible(b, seed)
		if !ok || size > len(b) {
			return log.Corruptf("header of a frame")
		}
		f, ok := parseFrame(b[:size], seed)
		if !ok {
			return log.Corruptf("checksum of a frame")
		}
		if err := fn(f); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// Builder writes a log from frames that a backup has archived, in the order of
// their LSNs. It is not safe for concurrent use.
type Builder struct {
	fs   vfs.FS
	dir  string
	edit uint64
	seg  *segment
	buf  []byte
	list segmentList
	last uint64
}

// NewBuilder returns a builder of a log in the directory dir, which has no segment. The frames
// will name no edit of the MANIFEST above the one given.
func NewBuilder(fs vfs.FS, dir string, edit uint64) *Builder {
	return &Builder{fs: fs, dir: dir, edit: edit}
}

// Add adds a frame of a segment. A frame that released others is replaced by an empty
// one: the log has all frames that its MANIFEST needs.
func (b *Builder) Add(id uint64, f log.Frame) error {
	if f.LSN <= b.last || b.seg != nil && (id < b.seg.id || id == b.seg.id && f.Generation != b.seg.gen) {
		return log.Corruptf("frame with LSN %d of segment %d and generation %d after LSN %d", f.LSN, id, f.Generation, b.last)
	}
	if b.seg == nil || b.seg.id != id {
		if err := b.next(id); err != nil {
			return err
		}
	}
	b.last = f.LSN
	if f.Type == log.FrameRelease {
		f.Type, f.Payload = log.FrameMark, nil
	}
	at, size := len(b.buf), log.FrameBytes(len(f.Payload))
	b.buf = append(b.buf, make([]byte, size)...)
	putFrame(b.buf[at:], f)
	sealFrame(b.buf[at:], b.seg.seed, f.Synced, min(f.Edit, b.edit), f.WallMs)
	b.seg.gen = f.Generation
	b.seg.noteFrame(f.Type, f.LSN, f.WallMs)
	if len(b.buf) >= fileReaderBytes {
		return b.write()
	}
	return nil
}

func (b *Builder) write() error {
	if _, err := b.seg.file.WriteAt(b.buf, b.seg.end); err != nil {
		return fmt.Errorf("write segment %s@%d: %w", b.seg.file.Name(), b.seg.end, err)
	}
	b.seg.end += int64(len(b.buf))
	b.buf = b.buf[:0]
	return nil
}

// next ends the current segment and begins the one with an id.
func (b *Builder) next(id uint64) error {
	if err := b.end(); err != nil {
		return err
	}
	f, err := b.fs.Create(segmentName(b.dir, id))
	if err != nil {
		return fmt.Errorf("create segment: %w", err)
	}
	b.seg = newSegment(id, f)
	if _, err := f.WriteAt(segmentHeader{id: id}.append(nil), 0); err != nil {
		return fmt.Errorf("write segment %s: %w", f.Name(), err)
	}
	return nil
}

// end makes the current segment durable.
func (b *Builder) end() error {
	if b.seg == nil {
		return nil
	}
	s := b.seg
	err := b.write()
	if err == nil {
		err = s.file.Sync()
	}
	if closeErr := s.file.Close(); err == nil {
		err = closeErr
	}
	b.seg = nil
	if err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	if s.data {
		b.list.put(s.listed())
	}
	return nil
}

// Finish makes the log durable and writes the list of its segments.
func (b *Builder) Finish(listName string) error {
	if err := b.end(); err != nil {
		return err
	}
	if err := b.fs.SyncDir(b.dir); err != nil {
		return err
	}
	b.list.synced = b.last
	return writeSegmentList(b.fs, listName, &b.list)
}

// Abort closes the file that is being written.
func (b *Builder) Abort() {
	if b.seg != nil {
		_ = b.seg.file.Close()
		b.seg = nil
	}
}
