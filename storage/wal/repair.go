package wal

import (
	"errors"
	"fmt"
	"path"
	"slices"
)

// Repair truncates segments to their frames, cutting off the torn tail and
// pre-allocated space, and makes all frames that Replay returns durable. A second
// call does nothing.
//
// Frames that no later frame records as synced are rewritten before the sync: after
// a failed sync in the previous process the kernel may still return bytes that it
// will never write, and another sync alone would succeed without effect.
func (r *Recovery) Repair() error {
	if r.repaired {
		return nil
	}
	// From the end to the beginning: if this is interrupted, the rest is still a
	// torn tail.
	for _, s := range slices.Backward(r.segments) {
		if len(s.extents) == 0 && s.cut < 0 {
			continue
		}
		if err := r.repairSegment(s); err != nil {
			return fmt.Errorf("repair segment %s: %w", s.name, err)
		}
	}
	if len(r.segments) > 0 {
		if err := errors.Join(r.fs.SyncDir(r.dir), r.fs.SyncDir(path.Dir(r.dir))); err != nil {
			return fmt.Errorf("repair log: %w", err)
		}
	}
	r.repaired = true
	return nil
}

func (r *Recovery) repairSegment(s *scannedSegment) error {
	info, err := r.fs.Stat(s.name)
	if err != nil {
		return err
	}
	// A file with other links, such as a snapshot's, must not be changed.
	linked := info.Links > 1
	if unsynced := slices.ContainsFunc(s.extents, func(e extent) bool { return e.last > r.report.Synced }); linked && (s.cut >= 0 || unsynced) {
		n := info.Size
		if s.cut >= 0 {
			n = s.cut
		}
		if err := detach(r.fs, s.name, n); err != nil {
			return err
		}
		linked = false
	}
	f, err := r.fs.OpenReadWrite(s.name)
	if err != nil {
		return err
	}
	switch {
	case s.cut >= 0:
		err = f.Truncate(s.cut)
	case s.header && !s.damaged && s.end() < s.size && !linked:
		// The segment gets no more frames. Otherwise each start would leave a fully
		// pre-allocated segment until the next cut.
		err = f.Truncate(s.end())
	}
	w := &fileReader{file: f, size: s.end()}
	for _, ext := range s.extents {
		if err == nil && ext.last > r.report.Synced {
			err = rewrite(w, ext, seedOf(s.id), r.report.Synced)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// rewrite writes the frames of an extent above the synced LSN again, in place.
func rewrite(w *fileReader, ext extent, seed uint32, synced uint64) error {
	for at := ext.off; at < ext.end; {
		f, size, ok, err := readFrame(w, at, seed)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("offset %d: %w", at, errFrameChanged)
		}
		if f.LSN > synced {
			b, err := w.at(at, size)
			if err == nil {
				_, err = w.file.WriteAt(b, at)
			}
			if err != nil {
				return err
			}
		}
		at += int64(size)
	}
	return nil
}
