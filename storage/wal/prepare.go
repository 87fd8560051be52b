package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"tsdb/internal/panics"
	"tsdb/storage/log"
)

// prepareLoop keeps segments ready so that neither a commit nor a rotation
// ever waits for one to be made. A failure, such as a full disk, is no failure
// of the log: nothing was promised yet. It tries again until it succeeds.
func (l *Log) prepareLoop() {
	for {
		l.mu.Lock()
		work := l.mu.err == nil && l.mu.budget.wanted() > len(l.mu.spares)
		failed := l.mu.prepErr
		l.mu.Unlock()
		if !work {
			select {
			case <-l.stop:
				return
			case <-l.prepare:
			}
			continue
		}
		err := l.prepareOne()
		if err == nil {
			if failed != nil {
				l.o.Logger.Info("segments can be prepared again")
			}
			continue
		}
		if failed == nil {
			l.o.Logger.Warn("no segment prepared, will be tried again", "err", err, "after", prepareRetry)
		}
		select {
		case <-l.stop:
			return
		case <-l.released:
		case <-l.o.Clock.After(prepareRetry):
		}
	}
}

// prepareOne makes one segment, of a released file if there is one.
func (l *Log) prepareOne() error {
	m := &l.mu
	m.Lock()
	if len(m.pool) == 0 && !l.mayCreateLocked() {
		m.prepErr = errShort
		l.spaceChangedLocked()
		m.Unlock()
		return errShort
	}
	m.segment++
	id := m.segment
	old := ""
	if n := len(m.pool); n > 0 {
		old, m.pool = m.pool[n-1], m.pool[:n-1]
	}
	m.Unlock()
	s, err := l.makeSegment(old, id)
	m.Lock()
	defer m.Unlock()
	m.prepErr = err
	if err == nil {
		m.spares = append(m.spares, s)
		m.budget.spares = len(m.spares)
		wake(l.kick) // it may be the first one, which frames wait for
	}
	l.spaceChangedLocked()
	return err
}

// makeSegment makes a segment of the file old, or of a new one if old is empty.
func (l *Log) makeSegment(old string, id uint64) (s *segment, err error) {
	defer panics.Catch(&err)
	if old != "" {
		return reuseSegment(l.fs, l.dir, old, id)
	}
	return createSegment(l.fs, l.dir, id, l.o.SegmentBytes)
}

// PrepareRotate returns when a rotation can take place at once. It waits at
// most as long as Reserve and fails with the same errors.
func (l *Log) PrepareRotate(ctx context.Context) error {
	return l.await(ctx, func() (bool, error) {
		if l.mu.budget.spares > 0 && !l.mu.budget.rotating {
			return true, nil
		}
		if l.mu.prepErr == nil || l.mu.budget.rotating {
			return false, log.ErrBusy
		}
		return false, l.noSpaceLocked()
	})
}

// Rotate ends the running generation. It returns the number of the new one and
// the LSN of the last frame of the old one: the caller keeps Append out while
// it runs, so that this LSN splits the log. It does no I/O and does not wait:
// without a PrepareRotate before it may fail with ErrBusy.
func (l *Log) Rotate() (gen, lastLSN uint64, err error) {
	m := &l.mu
	m.Lock()
	defer m.Unlock()
	if err := l.stateLocked(); err != nil {
		return 0, 0, err
	}
	if m.budget.spares == 0 || m.budget.rotating {
		return 0, 0, fmt.Errorf("rotate: %w", log.ErrBusy)
	}
	lastLSN = m.lsn
	gen = l.generation.Add(1)
	m.genBytes, m.genData = 0, false
	m.budget.rotating = true
	// The frame takes the flusher to the next segment and makes the number of
	// the generation durable even if nothing follows.
	l.appendOwnLocked(log.FrameStart, binary.LittleEndian.AppendUint64(nil, lastLSN), true)
	wake(l.kick)
	return gen, lastLSN, nil
}

// Release says that generations below belowGen are no longer needed, since the
// manifest edit with the given number, which is durable. It syncs a mark that
// names the edit, so that a manifest that ends before it is recognised as
// damaged, and then gives the files of those generations to new segments or
// removes them. A file that can be neither keeps none of the others. After an
// error it can be called again.
func (l *Log) Release(belowGen, edit uint64) error {
	l.release.Lock()
	defer l.release.Unlock()
	l.NoteEdit(edit)
	if err := l.releaseMark(belowGen); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	m := &l.mu
	m.Lock()
	var free, keep []closedSegment
	for _, s := range m.closed {
		if s.gen < belowGen {
			free = append(free, s)
		} else {
			keep = append(keep, s)
		}
	}
	m.closed = keep
	pooled, poolLimit := len(m.pool), l.poolLimitLocked()
	m.Unlock()
	if len(free) == 0 {
		return nil
	}
	l.listing.drop(free)
	var pool []string
	var left []closedSegment
	var errs []error
	for _, seg := range free {
		name, err := l.letGo(seg, pooled+len(pool) < poolLimit)
		switch {
		case err != nil:
			left = append(left, seg)
			errs = append(errs, err)
		case name != "":
			pool = append(pool, name)
		}
	}
	if len(left) < len(free) {
		if err := l.fs.SyncDir(l.dir); err != nil {
			errs = append(errs, err)
			pool = nil // their names may not last; the next start finds the files
		}
	}
	err := errors.Join(errs...)
	m.Lock()
	m.closed = append(left, m.closed...)
	m.pool = append(m.pool, pool...)
	if len(left) < len(free) {
		m.prepErr = nil // it is worth to wait now
	}
	m.Unlock()
	wake(l.released)
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}

// poolMax bounds how many released files wait to become segments, badMax how
// many damaged ones are kept.
const (
	poolMax = 2
	badMax  = 4
)

// letGo takes the name away from a segment whose frames are not needed. If the
// file can become a segment again, its new name is returned.
func (l *Log) letGo(s closedSegment, pool bool) (name string, err error) {
	old := segmentName(l.dir, s.id)
	if s.damaged {
		return "", l.keepBad(s.id)
	}
	info, err := l.fs.Stat(old)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // somebody else has removed it
	}
	if err != nil {
		return "", err
	}
	// A file that something else links to is that one's from now on.
	if pool && info.Size == l.o.SegmentBytes && info.Links <= 1 {
		name = idString(s.id) + freeSuffix
		return name, l.fs.Rename(old, path.Join(l.dir, name))
	}
	return "", l.fs.Remove(old)
}

// keepBad puts a damaged segment aside for a human, a few of them at most.
func (l *Log) keepBad(id uint64) error {
	names, err := l.fs.List(l.dir)
	if err != nil {
		return err
	}
	var bad []string
	for _, n := range names {
		if _, suffix, ok := parseName(n); ok && suffix == badSuffix {
			bad = append(bad, n)
		}
	}
	for ; len(bad) >= badMax; bad = bad[1:] {
		if err := l.fs.Remove(path.Join(l.dir, bad[0])); err != nil {
			l.o.Logger.Warn("damaged segment set aside cannot be removed", "file", bad[0], "err", err)
		}
	}
	return l.fs.Rename(segmentName(l.dir, id), path.Join(l.dir, idString(id)+badSuffix))
}

// releaseMark appends the frame that says what is released, and returns when it
// is on disk, in every mode. Everything before it is on disk earlier, so that it
// names all LSNs that will be missing as synced: they are no hole of a torn tail.
func (l *Log) releaseMark(belowGen uint64) error {
	if err := l.syncNow(func() bool { return l.durable.Load() < l.mu.lsn }); err != nil {
		return err
	}
	var space bool
	err := l.syncNow(func() bool {
		_, space = l.appendOwnLocked(log.FrameRelease, binary.LittleEndian.AppendUint64(nil, belowGen), false)
		return space
	})
	if err == nil && !space {
		err = log.ErrNoSpace
	}
	return err
}

// syncNow returns when what was appended so far is on disk, in every mode. It
// does nothing if needed, which runs with mu held, says so.
func (l *Log) syncNow(needed func() bool) error {
	m := &l.mu
	m.Lock()
	if err := l.stateLocked(); err != nil || !needed() {
		m.Unlock()
		return err
	}
	if m.usedBy == 0 && len(m.spares) == 0 {
		m.Unlock()
		return log.ErrNoSpace // there is no segment at all, and so nobody to wait for
	}
	m.sync = true
	g := m.next
	wake(l.kick)
	m.Unlock()
	<-g.done
	return g.err
}

// leftovers finds the files in the directory that Open may use or remove: those
// without frames, and those that were released before. A file that cannot be
// removed stays: it holds nothing, and the next Open tries again.
func (l *Log) leftovers() (pool []string, err error) {
	names, err := l.fs.List(l.dir)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	used := map[uint64]bool{}
	for _, s := range l.mu.closed {
		used[s.id] = true
	}
	removed := false
	for _, n := range names {
		id, suffix, ok := parseName(n)
		if !ok || suffix == badSuffix || suffix == segmentSuffix && used[id] {
			continue
		}
		info, err := l.fs.Stat(path.Join(l.dir, n))
		if err == nil && len(pool) < poolMax && info.Size == l.o.SegmentBytes && info.Links <= 1 {
			pool = append(pool, n)
			continue
		}
		if err == nil {
			err = l.fs.Remove(path.Join(l.dir, n))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.o.Logger.Warn("file of the log that holds nothing cannot be removed", "file", n, "err", err)
			continue
		}
		removed = true
	}
	if removed {
		if err := l.fs.SyncDir(l.dir); err != nil {
			return nil, fmt.Errorf("open log: %w", err)
		}
	}
	return pool, nil
}
