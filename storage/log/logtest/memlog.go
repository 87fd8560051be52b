package logtest

import (
	"context"
	"errors"
	"fmt"

	"tsdb/internal/model"
	"tsdb/storage/log"
)

// errStopped is why a log fails whose store has been scanned again.
var errStopped = errors.New("another process has opened the log")

// memLog is the log.Log of a Mem. Its fields are guarded by the store's lock, except
// for deletes.
type memLog struct {
	log.NoFiles

	store   *Mem
	deletes chan struct{} // holds one token: one ReserveDelete at a time

	gen, lsn  uint64
	edit      uint64
	used      bool        // a client has appended a frame in the running generation
	pending   []log.Frame // not durable yet
	bytes     int64       // of all frames
	genBytes  int64       // of those appended in the running generation
	reserved  int64
	forDelete int64 // bytes left of the reservation of the delete in progress
	failing   error // passed to Fail
	err       error // why the log is poisoned
	closed    bool
}

func (l *memLog) MaxPayload() int { return log.MaxPayload }
func (l *memLog) MaxReserve() int { return maxReserve }

func (l *memLog) Reserve(_ context.Context, n int) error {
	m := l.store
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := l.reservableLocked(n); err != nil {
		return err
	}
	if m.limit > 0 && l.bytes+l.reserved+int64(n) > m.limit {
		return fmt.Errorf("reserve %d bytes, %d of %d are used: %w", n, l.bytes+l.reserved, m.limit, log.ErrNoSpace)
	}
	l.reserved += int64(n)
	return nil
}

// reservableLocked returns why n bytes can never be reserved.
func (l *memLog) reservableLocked(n int) error {
	if err := l.stateLocked(); err != nil {
		return err
	}
	if n < 0 || n > maxReserve {
		return fmt.Errorf("reserve %d bytes, at most %d: %w", n, maxReserve, log.ErrTooLarge)
	}
	return nil
}

func (l *memLog) Unreserve(n int) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if int64(n) > l.reserved {
		panic(fmt.Sprintf("BUG: release of %d bytes, %d reserved", n, l.reserved))
	}
	l.reserved -= int64(n)
}

func (l *memLog) ReserveDelete(ctx context.Context, n int) (done func(), err error) {
	select {
	case l.deletes <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if err := l.reservableLocked(n); err != nil {
		<-l.deletes
		return nil, err
	}
	l.forDelete = int64(n)
	return func() {
		l.store.mu.Lock()
		l.forDelete = 0
		l.store.mu.Unlock()
		<-l.deletes
	}, nil
}

func (l *memLog) Append(shard int, tenant uint32, t log.FrameType, payload []byte) uint64 {
	if uint(shard) >= model.Shards || !t.Valid() || t.Internal() || len(payload) > l.MaxPayload() {
		panic(fmt.Sprintf("BUG: append of %v, shard %d, %d bytes", t, shard, len(payload)))
	}
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	from := &l.reserved
	if t.OfDeletion() {
		from = &l.forDelete
	}
	size := int64(log.FrameBytes(len(payload)))
	if *from < size {
		panic(fmt.Sprintf("BUG: append of %d bytes, %d reserved", size, *from))
	}
	*from -= size
	l.used = true
	return l.appendLocked(log.Frame{Type: t, Shard: shard, Tenant: tenant, Payload: append([]byte(nil), payload...)})
}

func (l *memLog) appendLocked(f log.Frame) uint64 {
	l.lsn++
	f.LSN, f.Generation = l.lsn, l.gen
	if l.err == nil {
		l.pending = append(l.pending, f)
		l.bytes += frameBytes(f)
		l.genBytes += frameBytes(f)
	}
	return l.lsn
}

func (l *memLog) LastLSN() uint64 {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	return l.lsn
}

// Wait makes everything appended durable.
func (l *memLog) Wait(_ context.Context, lsn uint64) error {
	m := l.store
	m.mu.Lock()
	defer m.mu.Unlock()
	if lsn > l.lsn {
		panic(fmt.Sprintf("BUG: wait for LSN %d, the last is %d", lsn, l.lsn))
	}
	if m.owner == l && lsn <= m.highest.LSN {
		return nil
	}
	if err := l.stateLocked(); err != nil {
		return err
	}
	return l.syncLocked()
}

// syncLocked moves the pending frames to the store. A failure poisons the log.
func (l *memLog) syncLocked() error {
	m := l.store
	switch {
	case m.owner != l:
		l.err = errStopped
	case l.failing != nil:
		l.err = l.failing
	case m.syncErr != nil:
		l.err = m.syncErr
	}
	if l.err != nil {
		l.pending = nil
		return l.stateLocked()
	}
	if len(l.pending) > 0 {
		m.edit = max(m.edit, l.edit)
	}
	m.frames = append(m.frames, l.pending...)
	l.pending = nil
	m.highest.LSN, m.highest.Generation = l.lsn, l.gen
	return nil
}

// stateLocked returns the error of a poisoned or closed log, nil otherwise.
func (l *memLog) stateLocked() error {
	switch {
	case l.err != nil:
		return fmt.Errorf("%w: %w", log.ErrPoisoned, l.err)
	case l.closed:
		return log.ErrClosed
	}
	return nil
}

func (l *memLog) Generation() uint64 {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	return l.gen
}

func (l *memLog) GenerationEmpty() bool {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	return !l.used
}

func (l *memLog) PrepareRotate(context.Context) error {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	return l.stateLocked()
}

func (l *memLog) Rotate() (gen, lastLSN uint64, err error) { return l.rotate(1) }

func (l *memLog) RotateReserve() (reserved, gen uint64, err error) {
	gen, _, err = l.rotate(2)
	return gen - 1, gen, err
}

func (l *memLog) rotate(step uint64) (gen, lastLSN uint64, err error) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if err := l.stateLocked(); err != nil {
		return 0, 0, err
	}
	lastLSN = l.lsn
	l.gen += step
	l.used, l.genBytes = false, 0
	l.appendLocked(log.Frame{Type: log.FrameStart})
	return l.gen, lastLSN, nil
}

func (l *memLog) NoteEdit(edit uint64) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	l.edit = max(l.edit, edit)
}

func (l *memLog) Release(belowGen, edit uint64) error {
	m := l.store
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := l.stateLocked(); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	l.edit = max(l.edit, edit)
	if err := l.syncLocked(); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	m.edit, m.low = l.edit, max(m.low, belowGen)
	kept := m.frames[:0:0]
	for _, f := range m.frames {
		if f.Generation < m.low {
			l.bytes -= frameBytes(f)
			continue
		}
		kept = append(kept, f)
	}
	m.frames = kept
	return nil
}

func (l *memLog) Bytes() (total, activeGen int64) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	return l.bytes, l.genBytes
}

func (l *memLog) BytesFrom(gen uint64) (n int64) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	for _, frames := range [][]log.Frame{l.store.frames, l.pending} {
		for _, f := range frames {
			if f.Generation >= gen {
				n += frameBytes(f)
			}
		}
	}
	return n
}

func (l *memLog) Err() error {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if l.err == nil {
		return nil
	}
	return l.stateLocked()
}

func (l *memLog) Fail(err error) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if l.failing == nil {
		l.failing = err
	}
	if l.err == nil {
		l.err = l.failing
		l.pending = nil
	}
}

func (l *memLog) Close() error {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if l.closed {
		return nil
	}
	err := l.stateLocked()
	if err == nil {
		err = l.syncLocked()
	}
	l.closed = true
	return err
}
