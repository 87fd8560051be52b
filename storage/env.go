package storage

import (
	"log/slog"
	"sync/atomic"

	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
)

// env holds what all parts of a database use. Only policy and bound change after Open.
type env struct {
	fs      vfs.FS
	dir     string
	objects *objstore.Dir // the blocks of dir
	opts    Options
	log     *slog.Logger
	metrics *metrics
	changes *Changes
	jobs    jobs

	policy atomic.Pointer[policy] // replaced by SetRetention
	bound  sizeBound

	dropped dropMeter
}

// now returns the time of the clock, Unix milliseconds.
func (e *env) now() int64 { return e.opts.Clock.Now().UnixMilli() }

// A tryLocker is a sync.Mutex, or an RWMutex for its write side.
type tryLocker interface {
	TryLock() bool
	Unlock()
}

// assertLocked panics if a lock that the caller has to hold is free.
func assertLocked(l tryLocker, name string) {
	if l.TryLock() {
		l.Unlock()
		panic("BUG: " + name + " is not locked")
	}
}
