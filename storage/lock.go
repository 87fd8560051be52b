package storage

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/storage/datadir"
)

// The paces of the lock of a data directory.
const (
	lockCheckEvery = 500 * time.Millisecond
	// A second start checks lockNameTries times, lockNameEvery apart, whether the
	// holder of the lock has restored its name.
	lockNameEvery = 100 * time.Millisecond
	lockNameTries = 20
	// lockHandover is how long a start waits that may have taken the lock of a
	// running process, so that this one notices and stops.
	lockHandover = 4 * lockCheckEvery
)

// ErrLockLost is returned by writes after LOCK was removed or replaced, on a
// file system that cannot lock the directory itself: another process may have
// it open by now. Nothing is written any more; the process is to end.
var ErrLockLost = errors.New("the data directory's lock is lost")

// dirLock is the lock of an open data directory.
type dirLock struct {
	*env
	file vfs.Lock
	// onLost is called once, before lost is closed: it stops writes.
	onLost func(error)
	lost   chan struct{} // closed once the lock is lost

	// mu is held for a whole check, I/O included: one check at a time.
	mu struct {
		sync.Mutex
		err error // why the lock is lost; set before lost is closed
	}
}

// lockDir locks the data directory of a database that is opened.
func lockDir(ctx context.Context, e *env) (*dirLock, error) {
	name := path.Join(e.dir, format.LockName)
	_, err := e.fs.Stat(path.Join(e.dir, format.ManifestName))
	if err != nil {
		_, err = e.fs.Stat(path.Join(e.dir, format.TwinName))
	}
	used := err == nil
	lock, err := e.fs.Lock(name, e.opts.Owner)
	for range lockNameTries { // a running server restores a LOCK that was removed
		var locked *vfs.LockedError
		if !errors.As(err, &locked) || locked.Holder != "" {
			break
		}
		if err := e.pause(ctx, lockNameEvery); err != nil {
			return nil, err
		}
		lock, err = e.fs.Lock(name, e.opts.Owner)
	}
	if err != nil {
		return nil, datadir.LockError(e.dir, err)
	}
	l := &dirLock{env: e, file: lock, lost: make(chan struct{})}
	if lock.Certain() || !used {
		return l, nil
	}
	e.log.Warn("LOCK was not there and this file system cannot lock directories: waiting, so that a process that still has the directory open stops",
		"wait", lockHandover)
	err = e.pause(ctx, lockHandover)
	if err == nil {
		if _, lost := lock.Check(); lost != nil {
			err = fmt.Errorf("%s: %w: %w", e.dir, datadir.ErrInUse, lost)
		}
	}
	if err != nil {
		_ = lock.Close() // the first error says more
		return nil, err
	}
	return l, nil
}

// pause waits for d.
func (e *env) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.opts.Clock.After(d):
		return nil
	}
}

// watch checks the lock until ctx ends or it is lost.
func (l *dirLock) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.opts.Clock.After(lockCheckEvery):
		}
		if err := l.guarded("lock", l.check); errors.Is(err, ErrLockLost) {
			return
		}
	}
}

// check returns an error once another process may have the data directory open.
// From then on log and MANIFEST take nothing.
func (l *dirLock) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err != nil {
		return l.mu.err
	}
	restored, err := l.file.Check()
	if restored {
		l.log.Warn("LOCK was removed or replaced and has been put back; the directory itself was locked all the time", "owner", l.opts.Owner)
	}
	if err == nil {
		return nil
	}
	l.mu.err = fmt.Errorf("%w: %w", ErrLockLost, err)
	l.onLost(l.mu.err)
	close(l.lost)
	l.log.Error("another process may have the data directory open: nothing is written any more", "err", l.mu.err)
	return l.mu.err
}

// failure returns why the lock is lost, nil if it is not.
func (l *dirLock) failure() error {
	select {
	case <-l.lost:
		return l.mu.err // which does not change any more
	default:
		return nil
	}
}

// Failed returns a channel that is closed when the process has to end, because
// another one may have the data directory open: Health says why.
func (db *DB) Failed() <-chan struct{} { return db.lock.lost }
