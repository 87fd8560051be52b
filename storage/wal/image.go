package wal

import (
	"fmt"
	"path"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// image is the log.Image of a Log. While it is held, Release waits, so that no segment
// is removed or reused.
type image struct {
	l        *Log
	pos      log.Pos
	segments []closedSegment // by rising id, the one being written last
}

// Image makes the frames up to an LSN durable and returns them as an image. Until it is
// closed, Release waits.
func (l *Log) Image(lsn uint64) (log.Image, error) {
	l.release.Lock()
	if err := l.syncNow(func() bool { return l.durable.Load() < lsn }); err != nil {
		l.release.Unlock()
		return nil, fmt.Errorf("image of the log: %w", err)
	}
	m := &l.mu
	m.Lock()
	defer m.Unlock()
	i := &image{l: l, pos: log.Pos{LSN: lsn, Generation: l.generation.Load(), Segment: m.segment}}
	i.segments = append(i.segments, m.closed...)
	if s := l.writer.current; s != nil {
		i.segments = append(i.segments, closedSegment{id: s.id, gen: l.generation.Load(), lastLSN: i.pos.LSN + 1})
	}
	return i, nil
}

// Pos implements log.Image.
func (i *image) Pos() log.Pos { return i.pos }

// Close implements log.Image.
func (i *image) Close() {
	if i.l != nil {
		i.l.release.Unlock()
		i.l = nil
	}
}

// CopyTo implements log.Image. Segments that have ended are linked, and no program
// changes a file with two names; the frames of the others are copied.
func (i *image) CopyTo(low uint64, dir, listName string) (written int64, err error) {
	l := segmentList{synced: i.pos.LSN}
	for _, s := range i.segments {
		if s.gen < low {
			continue
		}
		from, to := segmentName(i.l.dir, s.id), segmentName(dir, s.id)
		var n int64
		if s.lastLSN <= i.pos.LSN {
			if n, err = vfs.LinkOrCopy(i.l.fs, from, to); err != nil {
				return written, fmt.Errorf("copy segment: %w", err)
			}
			if e, ok := i.l.listing.entry(s.id); ok {
				l.put(e)
			}
		} else {
			e, data, err := i.copyFrames(s.id, to)
			if err != nil {
				return written, fmt.Errorf("copy segment: %w", err)
			}
			if data {
				l.put(e)
			}
			n = e.bytes
		}
		written += n
	}
	kept, err := listKept(i.l.fs, i.l.dir)
	if err != nil {
		return written, err
	}
	for _, k := range kept {
		n, err := vfs.LinkOrCopy(i.l.fs, path.Join(i.l.dir, k.name), path.Join(dir, k.name))
		if err != nil {
			return written, fmt.Errorf("copy segment: %w", err)
		}
		written += n
	}
	if err := i.l.fs.SyncDir(dir); err != nil {
		return written, err
	}
	return written, writeSegmentList(i.l.fs, listName, &l)
}

// copyFrames copies the frames of a segment up to the position of the image. It
// returns the entry of the copy in the list of segments, and whether it has frames
// with client data.
func (i *image) copyFrames(id uint64, to string) (e listedSegment, data bool, err error) {
	from := segmentName(i.l.dir, id)
	f, err := i.l.fs.Open(from)
	if err != nil {
		return e, false, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return e, false, err
	}
	s := segment{id: id, end: segmentHeaderBytes}
	w := &fileReader{file: f, size: size}
	for {
		f, size, ok, err := readFrame(w, s.end, seedOf(id))
		if err != nil {
			return e, false, err
		}
		if !ok || f.LSN > i.pos.LSN {
			break
		}
		s.gen = f.Generation
		s.noteFrame(f.Type, f.LSN, f.WallMs)
		s.end += int64(size)
	}
	if s.gen == 0 {
		return listedSegment{}, false, nil // all its frames are newer
	}
	return s.listed(), s.data, vfs.Copy(i.l.fs, from, to, s.end)
}

// entry returns the entry of a segment in the list.
func (g *listing) entry(id uint64) (e listedSegment, ok bool) {
	if g == nil {
		return e, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.mu.list.find(id)
	if ok {
		e = g.mu.list.segments[at]
	}
	return e, ok
}

// detach replaces a segment that has other links, such as a snapshot's, by a copy of
// its own, so that it can be changed.
func detach(fs vfs.FS, name string, n int64) error {
	temp := name + listTempSuffix
	if err := vfs.RemoveAll(fs, temp); err != nil {
		return err
	}
	if err := vfs.Copy(fs, name, temp, n); err != nil {
		return err
	}
	if err := fs.Rename(temp, name); err != nil {
		return err
	}
	return fs.SyncDir(path.Dir(name))
}
