package wal

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"syscall"
)

// errShort is why no segment is made while free space is short.
var errShort = fmt.Errorf("the free space is left to the blocks of cuts: %w", syscall.ENOSPC)

// SetShort tells the log whether free disk space is short. While it is, spare
// segments are made of released files only, so that the block of a cut has all
// the free space there is, and Release keeps no more files than spares are
// wanted. A log without any segment gets its first one nevertheless: without it
// nothing can be released.
func (l *Log) SetShort(short bool) {
	m := &l.mu
	m.Lock()
	changed := m.short != short
	m.short = short
	if !short && errors.Is(m.prepErr, errShort) {
		m.prepErr = nil // waiting makes sense again
	}
	m.Unlock()
	if changed {
		wake(l.prepare)
		wake(l.released)
	}
}

// mayCreateLocked reports whether a segment may be made of a new file.
func (l *Log) mayCreateLocked() bool {
	m := &l.mu
	return !m.short || m.usedBy == 0 && len(m.spares) == 0
}

// poolLimitLocked returns how many released files may wait to become segments.
func (l *Log) poolLimitLocked() int {
	if l.mu.short {
		return min(poolMax, l.missingLocked())
	}
	return poolMax
}

// missingLocked returns the number of spare segments still wanted.
func (l *Log) missingLocked() int { return max(l.mu.budget.wanted()-len(l.mu.spares), 0) }

// surplusLocked returns the number of released files beyond those wanted as spares.
func (l *Log) surplusLocked() int { return max(len(l.mu.pool)-l.missingLocked(), 0) }

// PooledBytes returns the number of bytes that DropPool would free.
func (l *Log) PooledBytes() int64 {
	kept := l.KeptBytes()
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(l.surplusLocked())*l.o.SegmentBytes + kept
}

// DropPool removes the released files beyond those wanted as spares, and those kept
// for backups. A failure on one file does not affect the others.
func (l *Log) DropPool() error {
	l.release.Lock()
	defer l.release.Unlock()
	return errors.Join(l.expireKept(true), l.dropSpares())
}

// dropSpares removes the released files beyond those wanted as spares.
func (l *Log) dropSpares() error {
	m := &l.mu
	m.Lock()
	n := l.surplusLocked()
	drop := slices.Clone(m.pool[:n])
	m.pool = slices.Clone(m.pool[n:])
	m.Unlock()
	if n == 0 {
		return nil
	}
	var left []string
	var errs []error
	for _, name := range drop {
		if err := l.fs.Remove(path.Join(l.dir, name)); err != nil {
			left = append(left, name)
			errs = append(errs, err)
		}
	}
	if len(left) < len(drop) {
		errs = append(errs, l.fs.SyncDir(l.dir))
	}
	m.Lock()
	m.pool = append(left, m.pool...)
	m.Unlock()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove released segments: %w", err)
	}
	return nil
}

// CutFrees returns the number of bytes that the log's files would shrink by if
// everything before a rotation now were released. The current segment is not among them: it
// becomes the spare that the rotation takes.
func (l *Log) CutFrees() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.mu.closed {
		if !s.damaged { // those are put aside
			n += s.size
		}
	}
	return n
}

// GenerationEmpty reports whether no frame of a client has been appended in the
// running generation.
func (l *Log) GenerationEmpty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.mu.genData
}
