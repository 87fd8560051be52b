package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"tsdb/internal/panics"
	"tsdb/storage/log"
)

// prepareLoop keeps spare segments ready, so that neither a commit nor a rotation
// waits for one. A failure, for instance on a full disk, does not poison the log,
// since no frame depends on the segment yet: prepareLoop retries.
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

// prepareOne makes one spare segment, from a released file if there is one.
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
		wake(l.kick) // frames may wait for the first segment
	}
	l.spaceChangedLocked()
	return err
}

// makeSegment makes a segment from the file old, or from a new one if old is empty.
func (l *Log) makeSegment(old string, id uint64) (s *segment, err error) {
	defer panics.Catch(&err)
	if old != "" {
		return reuseSegment(l.fs, l.dir, old, id)
	}
	return createSegment(l.fs, l.dir, id, l.o.SegmentBytes)
}

// PrepareRotate returns when a rotation is possible at once. It waits at most as long
// as Reserve and fails with the same errors.
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
func (l *Log) Rotate() (gen, lastLSN uint64, err error) { return l.rotate(1) }

// RotateReserve is Rotate, but leaves out a generation number, which no frame will
// ever have.
func (l *Log) RotateReserve() (reserved, gen uint64, err error) {
	gen, _, err = l.rotate(2)
	return gen - 1, gen, err
}

// rotate ends the running generation; the next one is higher by step.
func (l *Log) rotate(step uint64) (gen, lastLSN uint64, err error) {
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
	gen = l.generation.Add(step)
	m.genBytes, m.genData = 0, false
	m.budget.rotating = true
	// The frame makes the flusher switch to the next segment, and makes the number of
	// the generation durable even if no frame follows.
	l.appendOwnLocked(log.FrameStart, binary.LittleEndian.AppendUint64(nil, lastLSN), true)
	wake(l.kick)
	return gen, lastLSN, nil
}

// Release frees the segments of generations below belowGen, which the durable manifest
// edit with the given number has made superfluous. It first syncs a mark that names the
// edit, so that a manifest that ends before it is recognised as damaged. Then it keeps
// the files for reuse or removes them; a failure on one file does not affect the
// others. After an error it can be called again.
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
	if err := l.expireKept(false); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	if len(free) == 0 {
		return nil
	}
	l.listing.drop(free)
	var pool []string
	var left []closedSegment
	var errs []error
	for _, seg := range free {
		name, err := l.freeSegment(seg, pooled+len(pool) < poolLimit)
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
			pool = nil // their new names may not be durable; the next start finds the files
		}
	}
	err := errors.Join(errs...)
	m.Lock()
	m.closed = append(left, m.closed...)
	m.pool = append(m.pool, pool...)
	if len(left) < len(free) {
		m.prepErr = nil // waiting makes sense again
	}
	m.Unlock()
	wake(l.released)
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}

// poolMax bounds the released files kept for reuse, badMax the damaged segments kept
// for inspection.
const (
	poolMax = 2
	badMax  = 4
)

// freeSegment renames or removes a segment whose frames are not needed. If the file
// can be reused, it returns the new name.
func (l *Log) freeSegment(s closedSegment, pool bool) (name string, err error) {
	old := segmentName(l.dir, s.id)
	if s.damaged {
		return "", l.keepBad(s.id)
	}
	info, err := l.fs.Stat(old)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // removed by another program
	}
	if err != nil {
		return "", err
	}
	if l.o.Keep > 0 && s.bytes > segmentHeaderBytes {
		return "", l.keep(s, info.Links)
	}
	// A file with other links, such as a snapshot's, must not be overwritten.
	if pool && info.Size == l.o.SegmentBytes && info.Links <= 1 {
		name = idString(s.id) + freeSuffix
		return name, l.fs.Rename(old, path.Join(l.dir, name))
	}
	return "", l.fs.Remove(old)
}

// keepBad renames a damaged segment, so that it can be inspected. It keeps at most
// badMax of them.
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

// releaseMark appends a FrameRelease and returns when it is durable, in every mode. All
// frames before it are durable first, so that the mark records every LSN that will be
// missing as synced: recovery does not take them for a torn tail.
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

// syncNow makes all frames appended so far durable, in every mode, if needed returns
// true. needed runs with mu held.
func (l *Log) syncNow(needed func() bool) error {
	m := &l.mu
	m.Lock()
	if err := l.stateLocked(); err != nil || !needed() {
		m.Unlock()
		return err
	}
	if m.usedBy == 0 && len(m.spares) == 0 {
		m.Unlock()
		return log.ErrNoSpace // without a segment the flusher writes nothing
	}
	m.sync = true
	g := m.next
	wake(l.kick)
	m.Unlock()
	<-g.done
	return g.err
}

// leftovers returns the files in the directory that can be reused, those without frames
// and those that were released, and removes surplus ones. A file that cannot be removed
// stays, since it holds no frames that are needed; the next Open tries again.
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
		temp := strings.HasSuffix(n, segmentSuffix+listTempSuffix) // of a repair that a crash ended
		if !temp && (!ok || suffix == badSuffix || suffix == segmentSuffix && used[id]) {
			continue
		}
		info, err := l.fs.Stat(path.Join(l.dir, n))
		if err == nil && !temp && len(pool) < poolMax && info.Size == l.o.SegmentBytes && info.Links <= 1 {
			pool = append(pool, n)
			continue
		}
		if err == nil {
			err = l.fs.Remove(path.Join(l.dir, n))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.o.Logger.Warn("log file without needed frames cannot be removed", "file", n, "err", err)
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
