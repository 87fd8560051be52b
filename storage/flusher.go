package storage

import (
	"context"
	"fmt"
	"sync"
	"time"

	"tsdb/storage/head"
	"tsdb/storage/log"
)

// headWait bounds how long a writer waits for a full head to be cut.
const headWait = time.Second

// flusher turns the head into L0 blocks: it chooses a position of the log,
// freezes the memtable there, and writes it.
//
// Lock order: mu; then those of catalog or of writer. ended is a leaf.
type flusher struct {
	*env
	head    *head.Head
	wal     log.Log
	views   *views
	writer  *writer
	catalog *catalog
	relief  *reliever
	past    *past

	// mu is held for a whole cut, I/O included: one cut at a time.
	mu struct {
		sync.Mutex
		frozen      *memtable // being cut, or left by a cut that failed; nil if none
		tablesAtCut int64     // bytes of the head's tables when the last cut began
		last        lastCut
	}
	ended struct {
		sync.Mutex
		signal chan struct{} // closed when a cut ends
	}
}

// awaitRoom waits for a full head to be cut, for a bounded time.
func (f *flusher) awaitRoom(ctx context.Context) error {
	return awaitCut(ctx, f.headFull, f.cutDone, func() <-chan time.Time {
		f.jobs.kickCut()
		return f.opts.Clock.After(headWait)
	})
}

// makeRoom delays less urgent work, such as a merge, while writers wait for the
// head to be cut. Its bound matters on a full disk, which can keep cuts from
// ending.
func (f *flusher) makeRoom(ctx context.Context) error {
	if done := f.cutDone(); f.headFull() {
		select {
		case <-ctx.Done():
		case <-done:
		case <-f.opts.Clock.After(mergePauseMax):
		}
	}
	return ctx.Err()
}

// cut turns the head into one L0 block: it begins a new generation, writes the
// generations before it, makes the block visible and the log shorter in one
// edit. One cut runs at a time; without samples or deletions it does nothing. The memtable of
// a cut that failed is written first.
func (f *flusher) cut(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.runCutLocked(ctx, f.cutLocked)
}

// runCutLocked takes a step of the job that cuts.
func (f *flusher) runCutLocked(ctx context.Context, step func(context.Context) error) error {
	err := f.jobs.cut.Run(ctx, step)
	if err != nil && ctx.Err() == nil {
		f.metrics.cutErrors.Inc()
	}
	return err
}

// cutIfDue cuts the head if it should be cut now, and reports whether it tried.
// While another cut runs it does nothing.
func (f *flusher) cutIfDue(ctx context.Context) (tried bool, err error) {
	if !f.mu.TryLock() {
		return false, nil
	}
	defer f.mu.Unlock()
	reason := f.cutDueLocked(ctx)
	if reason == "" {
		return false, nil
	}
	f.log.Debug("cutting the head", "reason", reason)
	step := f.cutLocked
	if f.mu.frozen != nil {
		step = f.finishLocked // the active head is not due for that
	}
	return true, f.runCutLocked(ctx, step)
}

// cutDueLocked returns why the head should be cut now, "" if it should not. No
// cut is under way, so a frozen memtable is one whose cut failed. The reason
// decides on the moment and so on a position of the log, never on contents.
func (f *flusher) cutDueLocked(ctx context.Context) string {
	if f.mu.frozen != nil {
		return "the last one failed"
	}
	st := f.writer.active().buf.Stats()
	why := cutReason(&f.opts, headSizes{
		walBytes: f.writer.logBytes(), headBytes: st.Bytes, tableGrowth: f.head.Stats().Bytes - f.mu.tablesAtCut,
		samples: uint64(st.Samples), series: uint64(st.Series), age: f.writer.age(), deletions: f.catalog.tombstones.age(f.opts.Clock.Now()),
	})
	if why == "" && f.relief.next(ctx) == reliefCut {
		why = "space"
	}
	return why
}

func (f *flusher) cutLocked(ctx context.Context) error {
	if err := f.finishLocked(ctx); err != nil {
		return err
	}
	if f.writer.active().buf.Stats().Series == 0 && f.writer.logBytes() < f.opts.CutWALBytes && !f.catalog.tombstones.any() {
		return nil
	}
	f.head.Pack()
	f.mu.tablesAtCut = f.head.Stats().Bytes
	if err := f.freezeLocked(ctx); err != nil {
		return err
	}
	return f.finishLocked(ctx)
}

// freezeLocked freezes the active memtable for the cut.
func (f *flusher) freezeLocked(ctx context.Context) (err error) {
	assertLocked(&f.mu, "flusher.mu")
	if f.mu.frozen, err = f.writer.freeze(ctx); err != nil {
		return fmt.Errorf("freeze the head: %w", err)
	}
	return nil
}

// finishLocked writes the frozen memtable, if there is one.
func (f *flusher) finishLocked(ctx context.Context) error {
	assertLocked(&f.mu, "flusher.mu")
	if f.mu.frozen == nil {
		return nil
	}
	if err := f.writeFrozen(ctx, f.mu.frozen); err != nil {
		return fmt.Errorf("cut of generation %d: %w", f.mu.frozen.high, err)
	}
	return nil
}

// awaitCut waits while full reports true: until a cut ends after which it does
// not, or until timeUp, with ErrBusy. ended returns a channel that the end of the
// next cut closes. It is called before full, so that no end is missed.
func awaitCut(ctx context.Context, full func() bool, ended func() <-chan struct{}, timeUp func() <-chan time.Time) error {
	var late <-chan time.Time
	for {
		done := ended()
		if !full() {
			return nil
		}
		if late == nil {
			late = timeUp()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return fmt.Errorf("%w: the head is full and the one before it is still being written", ErrBusy)
		case <-done:
		}
	}
}

// headFull reports whether writers must wait: the active head is due to be cut
// by its size while the one before it is still being written.
func (f *flusher) headFull() bool {
	if !f.views.isCutting() {
		return false
	}
	_, walBytes := f.wal.Bytes()
	return f.writer.active().buf.Stats().Bytes >= f.opts.CutHeadBytes || walBytes >= f.opts.CutWALBytes
}

// cutDone returns a channel that is closed when a cut ends after this call.
func (f *flusher) cutDone() <-chan struct{} {
	f.ended.Lock()
	defer f.ended.Unlock()
	return f.ended.signal
}

func (f *flusher) signalCut() {
	f.ended.Lock()
	defer f.ended.Unlock()
	close(f.ended.signal)
	f.ended.signal = make(chan struct{})
}
