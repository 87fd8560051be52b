package wal

import (
	"errors"
	"fmt"
	"path"
	"slices"
)

// Repair cuts the torn tail off, and what was pre-allocated, and makes everything that Replay gives durable.
// A second call does nothing.
//
// Frames that no later frame names as synced are written again before the sync:
// if the process before had a sync fail, the system may still show bytes that it
// has given up to write, and a further sync alone would succeed and do nothing.
func (r *Recovery) Repair() error {
	if r.repaired {
		return nil
	}
	// From the end to the beginning: should this stop half-way, what is left
	// is still a torn tail.
	for _, s := range slices.Backward(r.segments) {
		if len(s.runs) == 0 && s.cut < 0 {
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

func (r *Recovery) repairSegment(s *scanned) error {
	f, err := r.fs.OpenReadWrite(s.name)
	if err != nil {
		return err
	}
	switch {
	case s.cut >= 0:
		err = f.Truncate(s.cut)
	case s.header && !s.damaged && s.end() < s.size:
		// Nothing is written behind the frames any more: each start would leave a
		// whole pre-allocated segment until the next cut.
		err = f.Truncate(s.end())
	}
	w := &window{file: f, size: s.end()}
	for _, run := range s.runs {
		if err == nil && run.last > r.report.Synced {
			err = rewrite(w, run, seedOf(s.id), r.report.Synced)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// rewrite writes the frames of a run that are above the synced LSN where they
// are already.
func rewrite(w *window, run run, seed uint32, synced uint64) error {
	for at := run.off; at < run.end; {
		f, size, ok, err := readFrame(w, at, seed)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("offset %d: %w", at, errChanged)
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
