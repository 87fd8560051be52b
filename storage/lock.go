package storage

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"tsdb/internal/vfs"
	"tsdb/partition"
)

// The paces of the lock of a data directory.
const (
	lockCheckEvery = 500 * time.Millisecond
	// A second start looks lockNameTries times, lockNameEvery apart, whether the
	// holder of a lock has put its name back.
	lockNameEvery = 100 * time.Millisecond
	lockNameTries = 20
	// lockDoubt is how long a start waits that may have taken the lock from
	// under a running process, so that this one notices and stops.
	lockDoubt = 4 * lockCheckEvery
)

// ErrLockLost is returned by writes after LOCK was removed or replaced, on a
// file system that cannot lock the directory itself: another process may have
// it open by now. Nothing is written any more; the process is to end.
var ErrLockLost = errors.New("the data directory's lock is lost")

// lockWatch is what is known of the lock of an open data directory.
type lockWatch struct {
	lock vfs.Lock
	lost chan struct{} // closed once the lock is lost

	checking sync.Mutex // one check at a time, I/O included
	err      error      // why the lock is lost; set before lost is closed
}

// takeLock locks the data directory.
func (db *DB) takeLock(ctx context.Context) error {
	name := path.Join(db.dir, partition.LockName)
	_, err := db.fs.Stat(path.Join(db.dir, partition.ManifestName))
	if err != nil {
		_, err = db.fs.Stat(path.Join(db.dir, partition.TwinName))
	}
	used := err == nil
	lock, err := db.fs.Lock(name, db.opts.Owner)
	for range lockNameTries { // a running server puts back what somebody has removed
		var locked *vfs.LockedError
		if !errors.As(err, &locked) || locked.Holder != "" {
			break
		}
		if err := db.pause(ctx, lockNameEvery); err != nil {
			return err
		}
		lock, err = db.fs.Lock(name, db.opts.Owner)
	}
	if err != nil {
		return lockError(db.dir, err)
	}
	db.lock.lock = lock
	if lock.Certain() || !used {
		return nil
	}
	db.log.Warn("LOCK was not there and this file system cannot lock directories: waiting, so that a process that still has the directory open stops",
		"wait", lockDoubt)
	if err := db.pause(ctx, lockDoubt); err != nil {
		return err
	}
	if _, err := lock.Check(); err != nil {
		return fmt.Errorf("%s: %w: %w", db.dir, ErrInUse, err)
	}
	return nil
}

func (db *DB) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-db.opts.Clock.After(d):
		return nil
	}
}

// lockError says who holds the lock of dir, if that is why it was not to be had.
func lockError(dir string, err error) error {
	var locked *vfs.LockedError
	switch {
	case errors.As(err, &locked) && locked.Holder != "":
		return fmt.Errorf("%s: %w (%s names %s)", dir, ErrInUse, partition.LockName, locked.Holder)
	case errors.Is(err, vfs.ErrLocked):
		return fmt.Errorf("%s: %w", dir, ErrInUse)
	}
	return fmt.Errorf("lock data directory: %w", err)
}

// lockToRead makes sure that dir is a data directory that no process writes to.
func lockToRead(fs vfs.FS, dir string) (unlock func(), err error) { return lockAs(fs, dir, "") }

// lockAs locks a data directory for a command, which changes it if owner is its
// name.
func lockAs(fs vfs.FS, dir, owner string) (unlock func(), err error) {
	if err := isDataDir(fs, dir); err != nil {
		return nil, err
	}
	l, err := fs.Lock(path.Join(dir, partition.LockName), owner)
	if err != nil {
		return nil, lockError(dir, err)
	}
	return func() { _ = l.Close() }, nil
}

// watchLock looks after the lock until ctx ends.
func (db *DB) watchLock(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-db.opts.Clock.After(lockCheckEvery):
		}
		if err := db.guarded("lock", db.checkLock); errors.Is(err, ErrLockLost) {
			return
		}
	}
}

// checkLock returns an error once another process may have the data directory
// open. From then on log and MANIFEST take nothing.
func (db *DB) checkLock() error {
	w := &db.lock
	w.checking.Lock()
	defer w.checking.Unlock()
	if w.err != nil {
		return w.err
	}
	restored, err := w.lock.Check()
	if restored {
		db.log.Warn("LOCK was removed or replaced and has been put back; the directory itself was locked all the time", "owner", db.opts.Owner)
	}
	if err == nil {
		return nil
	}
	w.err = fmt.Errorf("%w: %w", ErrLockLost, err)
	db.wal.Fail(w.err)
	close(w.lost)
	db.log.Error("another process may have the data directory open: nothing is written any more", "err", w.err)
	return w.err
}

// lockErr returns why the lock is lost, nil if it is not.
func (db *DB) lockErr() error {
	select {
	case <-db.lock.lost:
		return db.lock.err // which does not change any more
	default:
		return nil
	}
}

// Failed returns a channel that is closed when the process has to end, because
// another one may have the data directory open: Health says why.
func (db *DB) Failed() <-chan struct{} { return db.lock.lost }
