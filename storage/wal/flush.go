package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"tsdb/internal/panics"
	"tsdb/storage/log"
)

// writer writes frames to segments. It belongs to the goroutine that holds Log.flushSem, to
// Open before flushLoop starts and to Close after it has ended.
type writer struct {
	log      *Log
	current  *segment   // nil before the first frame
	unsynced []*segment // written since their last sync, the oldest first

	base     uint64 // LSN the log started above
	found    uint64 // last LSN of the log that Open found, ≤ base; all up to it are durable
	written  uint64 // LSNs up to this one have been written
	named    uint64 // highest synced LSN recorded in a frame of the log
	lastData uint64 // LSN of the last frame that is not a mark

	lastFlush time.Time        // of frames
	syncDue   <-chan time.Time // of flushLoop, nil = none
	idleDue   <-chan time.Time // of flushLoop, nil = none
}

// flushLoop flushes for goroutines that could not do so themselves because a flush was
// running, for those that do not wait, and when a timer is due. Frames appended while a
// flush is running share the next one.
func (l *Log) flushLoop() {
	w := &l.writer
	var syncDue, idleDue <-chan time.Time
	for {
		select {
		case <-l.stop:
			return
		case <-l.kick:
			l.flushSem <- struct{}{}
			w.flush(false)
		case <-syncDue:
			l.flushSem <- struct{}{}
			w.syncDue = nil
			w.flush(true)
		case <-idleDue:
			l.flushSem <- struct{}{}
			w.idleDue = nil
			if l.o.Clock.Now().Sub(w.lastFlush) >= idleMarkAfter {
				w.mark()
			}
		}
		sync, idle := w.unarmed()
		if sync {
			w.syncDue = l.o.Clock.After(l.o.Sync.every)
		}
		if idle {
			w.idleDue = l.o.Clock.After(idleMarkAfter)
		}
		syncDue, idleDue = w.syncDue, w.idleDue
		l.releaseFlush()
	}
}

// unarmed returns which timers of flushLoop are needed and not running.
func (w *writer) unarmed() (sync, idle bool) {
	o := &w.log.o
	sync = w.syncDue == nil && o.Sync.kind == modeInterval && len(w.unsynced) > 0
	idle = w.idleDue == nil && o.Sync.kind != modeOff && w.lastData > w.named
	return sync, idle
}

// flushNow flushes for the caller, which holds flushSem, and releases it. A goroutine that
// waits for its frames writes them itself if it can: handing them to another goroutine
// and being woken by it costs as much as the sync.
func (l *Log) flushNow() {
	l.writer.flush(false)
	sync, idle := l.writer.unarmed()
	l.releaseFlush()
	if sync || idle {
		wake(l.kick)
	}
}

// releaseFlush releases flushSem, and wakes flushLoop if goroutines already wait for a flush.
func (l *Log) releaseFlush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	<-l.flushSem
	if g := l.mu.next; g != nil && g.waiting {
		g.waiting = false // once: without a segment it must wait for the preparer
		wake(l.kick)
	}
}

// flush writes the pending frames, syncs if the mode or the argument requires it,
// and wakes the waiters. A failure poisons the log. The caller holds flushSem.
func (w *writer) flush(sync bool) {
	l := w.log
	m := &l.mu
	m.Lock()
	if err := m.failing; err != nil && m.err == nil {
		m.Unlock()
		l.poison(err)
		return
	}
	if m.err != nil || w.current == nil && len(m.spares) == 0 {
		m.Unlock()
		return
	}
	b, g := m.pending, m.next
	m.pending, m.next = m.idle, newGroup()
	m.current = g
	m.flushing = m.lsn
	last, edit := m.lsn, m.edit
	sync = sync || m.sync || l.o.Sync.kind == modeAlways
	m.sync = false
	m.Unlock()

	err := w.write(&b, edit)
	if err == nil {
		w.written = last
		if sync {
			err = w.sync()
		}
	}
	if err != nil {
		l.poison(err)
		return
	}
	if len(b.chunks) > 0 && l.o.Sync.kind != modeAlways {
		l.acked.Store(last)
	}

	m.Lock()
	if len(b.chunks) > 0 {
		w.lastFlush = l.o.Clock.Now()
	}
	m.budget.release(b.ordinary, false)
	m.budget.release(b.tail, true)
	if w.current != nil {
		m.budget.room, m.budget.tailRoom = w.current.room, w.current.tailRoom
		m.usedBy = w.current.end
		m.budget.rotating = w.current.gen != l.generation.Load()
	}
	m.free = b.recycle(m.free)
	m.idle = b
	m.current = nil
	wanted := m.budget.wanted() > len(m.spares)
	l.spaceChangedLocked()
	m.Unlock()
	g.finish(nil)
	if wanted {
		wake(l.prepare)
	}
}

// write puts the frames of a batch into segments.
func (w *writer) write(b *batch, edit uint64) (err error) {
	defer panics.Catch(&err)
	synced := w.log.durable.Load()
	if synced == w.base {
		synced = w.found // nothing after found and up to base ever became durable
	}
	wall := w.log.o.Clock.Now().UnixMilli()
	for _, chunk := range b.chunks {
		from := 0
		for at := 0; at < len(chunk); {
			frame := chunk[at:]
			size := log.FrameBytes(payloadLength(frame))
			frame = frame[:size]
			gen := binary.LittleEndian.Uint64(frame[offGeneration:])
			tail := frame[offShard]&tailFlag != 0
			if w.current == nil || !w.current.fits(int64(size), gen, tail) {
				if err := w.writeFrames(chunk[from:at]); err != nil {
					return err
				}
				from = at
				if err := w.nextSegment(); err != nil {
					return err
				}
			}
			w.current.place(int64(size), gen, tail)
			t, lsn := log.FrameType(frame[offType]), binary.LittleEndian.Uint64(frame[offLSN:])
			if t != log.FrameMark { // marks need no mark after them
				w.lastData = lsn
			}
			w.current.noteFrame(t, lsn, wall)
			sealFrame(frame, w.current.seed, synced, edit, wall)
			w.named = max(w.named, synced)
			at += size
		}
		if err := w.writeFrames(chunk[from:]); err != nil {
			return err
		}
	}
	return nil
}

// writeFrames appends consecutive frames to the current segment.
func (w *writer) writeFrames(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	s := w.current
	if _, err := s.file.WriteAt(b, s.end); err != nil {
		return fmt.Errorf("write segment %s@%d: %w", s.file.Name(), s.end, err)
	}
	s.end += int64(len(b))
	if n := len(w.unsynced); n == 0 || w.unsynced[n-1] != s {
		w.unsynced = append(w.unsynced, s)
	}
	return nil
}

// nextSegment switches to the next spare segment. The budget guarantees one.
func (w *writer) nextSegment() error {
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.mu.spares) == 0 {
		return errors.New("BUG: no segment prepared for frames that were reserved")
	}
	if s := w.current; s != nil {
		if len(w.unsynced) == 0 {
			_ = s.file.Close()    // as in sync
			l.listing.writeSoon() // its last sync was not known to be the last
		}
		l.mu.closed = append(l.mu.closed, closedSegment{id: s.id, gen: s.gen, bytes: s.end, size: l.o.SegmentBytes, lastLSN: s.written.lastLSN})
	}
	s := l.mu.spares[0]
	l.mu.spares = append(l.mu.spares[:0], l.mu.spares[1:]...)
	s.room, s.tailRoom = l.mu.budget.usable, l.mu.budget.tail
	l.mu.budget.spares = len(l.mu.spares)
	l.mu.budget.room, l.mu.budget.tailRoom = s.room, s.tailRoom
	l.mu.usedBy = s.end
	w.current = s
	return nil
}

// sync makes all written frames durable. Segments are synced in order,
// because an LSN is durable only when all segments before its own are.
func (w *writer) sync() (err error) {
	defer panics.Catch(&err)
	var synced []*segment
	for len(w.unsynced) > 0 {
		s := w.unsynced[0]
		if err := s.file.Sync(); err != nil {
			return fmt.Errorf("sync segment %s: %w", s.file.Name(), err)
		}
		w.unsynced = w.unsynced[1:]
		synced = append(synced, s)
		if s != w.current {
			// All its frames are durable, so a failed close loses nothing.
			_ = s.file.Close()
		}
	}
	w.unsynced = nil
	w.log.durable.Store(w.written)
	w.log.acked.Store(w.written)
	for _, s := range synced {
		if s.data {
			w.log.listing.durable(s.listed(), w.written, s != w.current)
		}
	}
	return nil
}

// mark records the synced LSN in an empty frame if no frame has recorded it
// yet. Without the mark, damage to the last commit before a pause would look like
// a torn tail.
func (w *writer) mark() {
	l := w.log
	if w.lastData <= w.named || l.durable.Load() < w.lastData {
		return
	}
	l.mu.Lock()
	ok := false
	if l.mu.err == nil {
		_, ok = l.appendOwnLocked(log.FrameMark, nil, false)
	}
	l.mu.Unlock()
	if ok {
		w.flush(false)
	}
}

// poison ends writing for good: memory is ahead of the files, and after a
// failed sync the success of a second one proves nothing.
func (l *Log) poison(err error) {
	m := &l.mu
	m.Lock()
	m.err = err
	err = l.stateLocked()
	if m.current != nil {
		m.current.finish(err)
	}
	m.next.finish(err)
	m.current, m.next = nil, nil
	m.pending, m.idle, m.free = batch{}, batch{}, nil
	l.spaceChangedLocked()
	m.Unlock()
	l.o.Logger.Error("log poisoned, nothing is written until a restart", "err", err)
}

// close writes the remaining frames and closes the files.
func (w *writer) close() error {
	w.flush(true)
	w.mark()
	w.flush(true)
	var err error
	for _, s := range w.unsynced {
		if s != w.current {
			err = errors.Join(err, s.file.Close())
		}
	}
	if w.current != nil {
		err = errors.Join(err, w.current.file.Close())
	}
	return err
}
