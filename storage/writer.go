package storage

import (
	"context"
	"sync"
	"time"

	"tsdb/storage/head"
	"tsdb/storage/log"
)

// writer applies batches and deletions to the log and the head, in one order.
//
// Lock order: deleting; gate; then a shard's lock or those of views; then those of the
// log. A request that needs the log to take bytes reserves them before the gate.
type writer struct {
	*env
	head       *head.Head
	wal        log.Log
	views      *views
	tombstones *pendingTombstones
	past       *past // nil = no history is kept

	// gate: appending to log and head takes the read side, for one applyChunk,
	// so that no generation begins between the two; freezing takes the write
	// side, for the moment in which it splits both.
	gate struct {
		sync.RWMutex
		active *memtable
		since  time.Time // when active became so
	}

	// deleting is held for a whole deletion and while a generation ends, so that a
	// deletion lies in one. Writers do not wait for it.
	deleting struct {
		sync.Mutex
		number uint64 // of the last deletion
	}
}

// active returns the memtable that takes writes.
func (w *writer) active() *memtable {
	w.gate.RLock()
	defer w.gate.RUnlock()
	return w.gate.active
}

// age returns for how long the active memtable has taken samples.
func (w *writer) age() time.Duration {
	w.gate.RLock()
	defer w.gate.RUnlock()
	return w.opts.Clock.Now().Sub(w.gate.since)
}

// logBytes returns the bytes of the log that the cut of the active memtable
// frees: those of earlier generations too, if they were replayed into it.
func (w *writer) logBytes() int64 { return w.wal.BytesFrom(w.active().low) }

// position returns the LSN of the last frame, at a moment at which no part of a batch and
// no deletion is being appended.
func (w *writer) position() uint64 {
	w.gate.Lock()
	defer w.gate.Unlock()
	return w.wal.LastLSN()
}

// freeze splits log and head: the active memtable, which takes no more, is
// returned, and a new one takes later samples.
func (w *writer) freeze(ctx context.Context) (*memtable, error) {
	w.deleting.Lock()
	defer w.deleting.Unlock()
	if frozen := w.freezeReplayed(); frozen != nil {
		return frozen, nil
	}
	if err := w.wal.PrepareRotate(ctx); err != nil {
		return nil, walError(err)
	}
	next := w.head.NewBuffer(0)
	w.gate.Lock()
	defer w.gate.Unlock()
	gen, _, err := w.wal.Rotate()
	if err != nil {
		next.Release()
		return nil, walError(err)
	}
	w.gate.active.high = w.gate.active.buf.Generation()
	return w.splitLocked(next, gen), nil
}

// freezeReserving is freeze, and returns the number of a generation between that of
// the frozen memtable and that of the new one, of which there are no frames.
func (w *writer) freezeReserving(ctx context.Context) (frozen *memtable, reserved uint64, err error) {
	w.deleting.Lock()
	defer w.deleting.Unlock()
	if err := w.wal.PrepareRotate(ctx); err != nil {
		return nil, 0, walError(err)
	}
	next := w.head.NewBuffer(0)
	w.gate.Lock()
	defer w.gate.Unlock()
	reserved, gen, err := w.wal.RotateReserve()
	if err != nil {
		next.Release()
		return nil, 0, walError(err)
	}
	w.gate.active.high = w.gate.active.buf.Generation()
	return w.splitLocked(next, gen), reserved, nil
}

// freezeReplayed freezes the replayed samples if no writer has used the running
// generation, and returns nil otherwise. Log and head are split there already:
// this needs no room on the disk, and the block does not depend on how often
// the process has started.
func (w *writer) freezeReplayed() *memtable {
	next := w.head.NewBuffer(0)
	w.gate.Lock()
	defer w.gate.Unlock()
	gen := w.wal.Generation()
	if w.gate.active.low == gen || !w.wal.GenerationEmpty() {
		next.Release()
		return nil
	}
	w.gate.active.buf.SetGeneration(w.gate.active.high)
	return w.splitLocked(next, gen)
}

// splitLocked freezes the active memtable and starts one with the buffer next in
// generation gen. The caller holds the gate's write side.
func (w *writer) splitLocked(next *head.Buffer, gen uint64) *memtable {
	assertLocked(&w.gate.RWMutex, "writer.gate")
	frozen := w.gate.active
	next.SetGeneration(gen)
	frozen.buf.Freeze()
	w.gate.active, w.gate.since = &memtable{buf: next, low: gen}, w.opts.Clock.Now()
	w.views.change(func(s *state) {
		s.frozen, s.active = s.active, next
		w.past.begin(s.blocks)
	})
	return frozen
}
