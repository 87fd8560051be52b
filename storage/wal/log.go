package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// Timeouts of the log, all measured by its clock.
const (
	reserveWait   = time.Second            // for buffer or disk space, before ErrBusy
	prepareRetry  = 200 * time.Millisecond // between attempts to make a segment
	idleMarkAfter = time.Second            // without a commit before the synced LSN is recorded
)

// Log is a log open for appending. Its methods are safe for concurrent use,
// except that Rotate must not run concurrently with Append, and no method with Close.
//
// Lock order: the caller's locks (gate, shard), Log.release, Log.flushSem, Log.mu. None is
// taken while mu is held, except flushSem without waiting, and mu is never held over I/O.
type Log struct {
	fs      vfs.FS
	dir     string
	o       Options
	writer  writer
	listing *listing

	acked      atomic.Uint64 // Wait returns for LSNs up to this one
	durable    atomic.Uint64 // LSNs up to this one are on disk
	generation atomic.Uint64

	flushSem chan struct{} // a semaphore of one, held by the goroutine that flushes
	release  sync.Mutex    // one Release at a time
	deletes  chan struct{} // holds one token: one ReserveDelete at a time

	kick    chan struct{} // wakes the flusher
	prepare chan struct{} // wakes the preparer
	stop    chan struct{} // ends both

	released chan struct{} // makes the preparer retry at once
	done     sync.WaitGroup

	mu struct {
		sync.Mutex
		budget   budget
		reserved int64 // bytes of budget.outstanding not yet appended
		del      deleteGrant

		lsn      uint64 // of the last frame appended
		flushing uint64 // LSNs up to this one have left pending
		edit     uint64 // last durable manifest edit
		pending  batch
		idle     batch // empty, for the next exchange
		free     [][]byte
		next     *group // waiters for frames in pending
		current  *group // waiters for frames being written
		sync     bool   // the next flush syncs, whatever the mode

		spares   []*segment // prepared, in the order of their ids
		pool     []string   // files to make spares of
		closed   []closedSegment
		kept     []keptSegment // released, and kept for backups
		usedBy   int64         // bytes in the segment being written, 0 = no segment yet
		genBytes int64         // bytes appended in the running generation
		genData  bool          // some of them are a client's
		short    bool          // free space is short, see SetShort
		segment  uint64
		prepErr  error         // why the last attempt to make a spare failed; nil once one succeeded
		space    chan struct{} // closed when more may fit; nil while nothing waits
		failing  error         // the error passed to Fail, about to become the cause
		err      error         // the cause of ErrPoisoned
		closing  bool
	}
}

// closedSegment is a segment with frames to which none will be added.
type closedSegment struct {
	id, gen uint64
	bytes   int64  // up to the end of its last frame
	size    int64  // of the file
	lastLSN uint64 // of its last frame
	damaged bool
}

// Open starts a new segment and a new generation above every number in start
// and in keep, the result of Scan of dir; if keep is nil, Open scans dir itself.
// Open repairs keep if that has not been done; its segments stay until Release.
// When Open returns, all frames of keep are durable. If the disk has no room for a
// segment the log opens nevertheless and accepts frames once there is room.
func Open(fs vfs.FS, dir string, o Options, start log.Pos, keep *Recovery) (*Log, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("open log %s: %w", dir, err)
	}
	l := &Log{
		fs: fs, dir: dir, o: o.withDefaults(),
		flushSem: make(chan struct{}, 1),
		deletes:  make(chan struct{}, 1),
		kick:     make(chan struct{}, 1),
		prepare:  make(chan struct{}, 1),
		stop:     make(chan struct{}),

		released: make(chan struct{}, 1),
	}
	if err := fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if err := fs.SyncDir(path.Dir(dir)); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if keep == nil {
		var err error
		if keep, err = Scan(fs, dir, o); err != nil {
			return nil, err
		}
		if loss := keep.Loss(0); loss != nil {
			return nil, loss
		}
	}
	if err := keep.Repair(); err != nil {
		return nil, err
	}
	high, last := keep.Highest(), keep.report.LastLSN
	start.Generation = max(start.Generation, high.Generation)
	start.LSN = max(start.LSN, high.LSN)
	start.Segment = max(start.Segment, high.Segment)
	l.mu.closed = keep.closed()
	l.mu.edit = keep.report.Edit
	var err error
	if l.mu.pool, err = l.leftovers(); err != nil {
		return nil, err
	}
	if l.mu.kept, err = listKept(fs, dir); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if err := l.expireKept(false); err != nil {
		l.o.Logger.Warn("log files kept for backups cannot be removed", "err", err) // the next release tries again
	}
	l.mu.budget = newBudget(l.o.SegmentBytes, l.o.PendingBytes)
	l.mu.lsn, l.mu.flushing = start.LSN, start.LSN
	l.mu.segment = start.Segment
	l.mu.next = newGroup()
	l.acked.Store(start.LSN)
	l.durable.Store(start.LSN)
	l.writer = writer{log: l, base: start.LSN, found: last}
	l.generation.Store(start.Generation + 1)

	l.listing = newListing(fs, &l.o, keep.listed())
	if err := l.prepareOne(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l.mu.Lock()
	l.appendOwnLocked(log.FrameStart, binary.LittleEndian.AppendUint64(nil, last), true)
	ready := len(l.mu.spares) > 0
	if !ready {
		l.acked.Store(start.LSN + 1) // callers need not wait for the first frame
	}
	l.mu.Unlock()
	l.done.Go(l.flushLoop)
	l.done.Go(l.prepareLoop)
	if l.listing != nil {
		l.done.Go(func() { l.listing.loop(l.stop) })
	}
	if ready {
		if err := l.Wait(context.Background(), start.LSN+1); err != nil {
			return nil, errors.Join(fmt.Errorf("open log: %w", err), l.Close())
		}
	}
	return l, nil
}

// MaxPayload returns the largest payload Append accepts.
func (l *Log) MaxPayload() int { return l.mu.budget.payloadMax() }

// MaxReserve returns the largest number of bytes Reserve can grant at once.
func (l *Log) MaxReserve() int { return int(l.mu.budget.pendingMax) }

// Generation returns the number of the generation that frames are appended to.
func (l *Log) Generation() uint64 { return l.generation.Load() }

// LastLSN returns the LSN of the last frame appended.
func (l *Log) LastLSN() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.lsn
}

// Append adds a frame and returns its LSN. It copies payload, takes the bytes
// from the caller's reservation (for one of a deletion, that of ReserveDelete), never
// blocks and does no I/O. On a poisoned log the frame is discarded and Wait returns
// the error. It panics if the bytes were not reserved.
func (l *Log) Append(shard int, tenant uint32, t log.FrameType, payload []byte) (lsn uint64) {
	if uint(shard) >= model.Shards || !t.Valid() || t.Internal() || len(payload) > l.MaxPayload() {
		panic(fmt.Sprintf("BUG: append of %v, shard %d, %d bytes", t, shard, len(payload)))
	}
	size := int64(log.FrameBytes(len(payload)))
	l.mu.Lock()
	defer l.mu.Unlock()
	tail := false
	if t.OfDeletion() {
		tail = l.mu.del.take(size)
	}
	if !tail {
		if l.mu.reserved < size {
			panic(fmt.Sprintf("BUG: append of %d bytes, %d reserved", size, l.mu.reserved))
		}
		l.mu.reserved -= size
	}
	l.mu.genData = true
	return l.appendLocked(log.Frame{Type: t, Shard: shard, Tenant: tenant, Payload: payload}, size, tail)
}

// appendLocked puts a frame whose bytes are outstanding already into pending.
func (l *Log) appendLocked(f log.Frame, size int64, tail bool) uint64 {
	m := &l.mu
	m.lsn++
	f.LSN, f.Generation = m.lsn, l.generation.Load()
	if m.err != nil {
		m.budget.release(size, tail)
		return m.lsn
	}
	b := m.pending.add(int(size), &m.free)
	putFrame(b, f)
	if tail {
		b[offShard] |= tailFlag
		m.pending.tail += size
	} else {
		m.pending.ordinary += size
	}
	m.genBytes += size
	if m.pending.ordinary >= chunkBytes {
		wake(l.kick) // so that writing overlaps with the caller's further work
	}
	return m.lsn
}

// appendOwnLocked appends a frame of the log itself if there is room for it. With
// newSegment, it will be the first in its segment and always fits.
func (l *Log) appendOwnLocked(t log.FrameType, payload []byte, newSegment bool) (lsn uint64, ok bool) {
	b := &l.mu.budget
	size := int64(log.FrameBytes(len(payload)))
	ordinary, _ := b.fits(size)
	tail := newSegment || !ordinary
	switch {
	case !tail:
		b.outstanding += size
	case newSegment || b.fitsTail(size, true):
		b.tailOutstanding += size
	default:
		return 0, false
	}
	return l.appendLocked(log.Frame{Type: t, Payload: payload}, size, tail), true
}

// Wait returns when the frame with the LSN, and so all before it, are durable; in
// the modes interval and off, when they have been written to the operating system.
// It fails with ErrPoisoned if they never will be, and with ctx's error, after
// which their state is unknown. If no flush is running, the caller flushes, which ctx does
// not interrupt.
func (l *Log) Wait(ctx context.Context, lsn uint64) error {
	if l.acked.Load() >= lsn {
		return nil
	}
	m := &l.mu
	m.Lock()
	if lsn > m.lsn {
		defer m.Unlock()
		panic(fmt.Sprintf("BUG: wait for LSN %d, the last is %d", lsn, m.lsn))
	}
	if l.acked.Load() >= lsn {
		m.Unlock()
		return nil
	}
	if err := l.stateLocked(); err != nil {
		m.Unlock()
		return err
	}
	g, mine := m.current, false
	if lsn > m.flushing {
		g = m.next
		select {
		case l.flushSem <- struct{}{}:
			mine = true
		default:
			g.waiting = true // releaseFlush sees to it
		}
	}
	m.Unlock()
	if mine {
		l.flushNow()
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stateLocked returns the error of a poisoned or closing log, nil otherwise.
func (l *Log) stateLocked() error {
	switch {
	case l.mu.err != nil:
		return fmt.Errorf("%w: %w", log.ErrPoisoned, l.mu.err)
	case l.mu.closing:
		return log.ErrClosed
	}
	return nil
}

// Err returns the error that poisoned the log, wrapped in ErrPoisoned, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.err == nil {
		return nil
	}
	return l.stateLocked()
}

// Fail poisons the log, with err as the cause, before the next write: waiters for
// frames that are not yet written get an error.
func (l *Log) Fail(err error) {
	l.listing.close()
	l.mu.Lock()
	if l.mu.failing == nil {
		l.mu.failing = err
	}
	l.mu.Unlock()
	wake(l.kick)
}

// NoteEdit tells the log the number of a manifest edit that has become durable.
// Frames written from now on record it.
func (l *Log) NoteEdit(edit uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.edit = max(l.mu.edit, edit)
}

// List returns the state of the list of segments.
func (l *Log) List() log.ListStatus { return l.listing.status() }

// Bytes returns the bytes of frames in all segments and of those appended in
// the running generation.
func (l *Log) Bytes() (total, activeGen int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	total = l.mu.usedBy + l.mu.pending.ordinary + l.mu.pending.tail
	for _, s := range l.mu.closed {
		total += s.bytes
	}
	return total, l.mu.genBytes
}

// BytesFrom returns the bytes of frames in the segments of generation gen and
// later ones, and of pending frames.
func (l *Log) BytesFrom(gen uint64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	total := l.mu.usedBy + l.mu.pending.ordinary + l.mu.pending.tail
	for _, s := range l.mu.closed {
		if s.gen >= gen {
			total += s.bytes
		}
	}
	return total
}

// Close writes and syncs pending frames, records the synced LSN in a mark, and
// ends the log's goroutines. A poisoned log is closed without writing. No other
// method may run concurrently with it; a second Close does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.mu.closing {
		l.mu.Unlock()
		return nil
	}
	l.mu.closing = true
	l.mu.Unlock()
	close(l.stop)
	l.done.Wait()
	err := l.writer.close()
	_ = l.listing.write() // it logs its errors; an older list claims less
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.mu.spares {
		err = errors.Join(err, s.file.Close())
	}
	l.mu.spares = nil
	if l.mu.err != nil {
		err = errors.Join(l.stateLocked(), err)
	}
	return err
}

// wake puts a signal into a channel of capacity one.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
