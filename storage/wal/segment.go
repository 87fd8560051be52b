package wal

import (
	"errors"
	"fmt"
	"path"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// segment is a file that frames are written to.
type segment struct {
	id   uint64
	seed uint32
	file vfs.File
	gen  uint64 // of its frames; 0 while it has none
	end  int64  // where the next frame goes

	room, tailRoom int64 // as in budget, for this segment

	written listedSegment // entry of the list once it is durable, except bytes
	data    bool          // it has frames with client data
}

// noteFrame updates the list entry for the frame that is written next.
func (s *segment) noteFrame(t log.FrameType, lsn uint64, wallMs int64) {
	w := &s.written
	if w.firstLSN == 0 {
		w.firstLSN, w.firstMs, w.lastMs = lsn, wallMs, wallMs
	}
	w.lastLSN, w.firstMs, w.lastMs = lsn, min(w.firstMs, wallMs), max(w.lastMs, wallMs)
	s.data = s.data || !t.Internal()
}

// listed returns the segment's entry of the list once all written frames are
// durable.
func (s *segment) listed() listedSegment {
	l := s.written
	l.id, l.gen, l.bytes = s.id, s.gen, s.end
	return l
}

// fits reports whether a frame can go into the segment.
func (s *segment) fits(size int64, gen uint64, tail bool) bool {
	if s.gen != 0 && s.gen != gen {
		return false
	}
	if tail && s.tailRoom >= size {
		return true
	}
	return s.room >= size
}

// place accounts for a frame that fits.
func (s *segment) place(size int64, gen uint64, tail bool) {
	s.gen = gen
	if tail && s.tailRoom >= size {
		s.tailRoom -= size
	} else {
		s.room -= size
	}
}

// fillBytes is the size of the writes that fill a new segment, fillSync the
// interval of their syncs: a large backlog of dirty pages would delay the commits
// of the segment in use.
const (
	fillBytes = 256 << 10
	fillSync  = 4 << 20
)

var zeros [fillBytes]byte

// createSegment makes a segment of zeros, so that commits change no metadata
// and no unwritten extents. It is durable when createSegment returns. On failure
// the file is removed, if possible.
func createSegment(fs vfs.FS, dir string, id uint64, size int64) (s *segment, err error) {
	name := segmentName(dir, id)
	f, err := fs.Create(name)
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), fs.Remove(name))
		}
	}()
	first := make([]byte, 0, min(size, fillBytes))
	first = segmentHeader{id: id}.append(first)
	for off, b := int64(0), first[:cap(first)]; off < size; b = zeros[:min(fillBytes, size-off)] {
		if _, err := f.WriteAt(b, off); err != nil {
			return nil, fmt.Errorf("fill segment %s@%d: %w", name, off, err)
		}
		if off += int64(len(b)); off%fillSync == 0 || off == size {
			if err := f.Sync(); err != nil {
				return nil, fmt.Errorf("sync segment %s: %w", name, err)
			}
		}
	}
	if err := fs.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("sync %s: %w", dir, err)
	}
	return newSegment(id, f), nil
}

// reuseSegment makes a segment of a released file of the right size. On failure the
// file is removed, if possible.
func reuseSegment(fs vfs.FS, dir, old string, id uint64) (s *segment, err error) {
	name := segmentName(dir, id)
	old = path.Join(dir, old)
	if err := fs.Rename(old, name); err != nil {
		return nil, errors.Join(fmt.Errorf("reuse segment: %w", err), fs.Remove(old))
	}
	f, err := fs.OpenReadWrite(name)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reuse segment: %w", err), fs.Remove(name))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), fs.Remove(name))
		}
	}()
	if _, err := f.WriteAt(segmentHeader{id: id, recycled: true}.append(nil), 0); err != nil {
		return nil, fmt.Errorf("write header of segment %s: %w", name, err)
	}
	if err := f.Sync(); err != nil {
		return nil, fmt.Errorf("sync segment %s: %w", name, err)
	}
	if err := fs.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("sync %s: %w", dir, err)
	}
	return newSegment(id, f), nil
}

func newSegment(id uint64, f vfs.File) *segment {
	return &segment{id: id, seed: seedOf(id), file: f, end: segmentHeaderBytes}
}
