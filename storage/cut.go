package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/panics"
	"tsdb/partition"
	"tsdb/storage/head"
)

// headSizes are what decides when the head is cut.
type headSizes struct {
	walBytes        int64 // of the log since the low end of the active head
	headBytes       int64 // of samples in memory
	tableGrowth     int64 // bytes by which the tables of series grew since the last cut began
	samples, series uint64
	age             time.Duration
}

// tableGrowthPart is the part of the tables' growth that counts as memory of the
// head: a cut frees the tables of idle series only, so many new series are a
// reason to cut, but a first scrape of a million is not.
const tableGrowthPart = 4

// cutReason returns why the head is due to be cut, "" if it is not. It is a pure
// decision. Bytes of the log and of memory always count, even without samples:
// exemplars, metadata and deletions fill the log too. Age counts sooner when the
// series are dense, because then the columns are worth it.
func cutReason(o *Options, h headSizes) string {
	const dense = 60 // samples a live series
	switch {
	case h.walBytes >= o.CutWALBytes:
		return "log"
	case h.headBytes+h.tableGrowth/tableGrowthPart >= o.CutHeadBytes:
		return "memory"
	case h.samples == 0:
		return ""
	case h.age >= 4*o.CutAge:
		return "age"
	case h.age >= o.CutAge && h.samples >= dense*h.series:
		return "age"
	}
	return ""
}

// cut turns the head into one L0 block: it begins a new generation, writes what
// the generations before hold, makes the block visible and the log shorter in
// one edit. One cut runs at a time; without samples it does nothing. A cut that
// failed left its frozen head, which is written first.
func (db *DB) cut(ctx context.Context) error {
	db.cutMu.Lock()
	defer db.cutMu.Unlock()
	return db.runCutLocked(ctx, db.cutLocked)
}

// runCutLocked takes a step of the job that cuts.
func (db *DB) runCutLocked(ctx context.Context, step func(context.Context) error) error {
	err := db.jobs.cut.Run(ctx, step)
	if err != nil && ctx.Err() == nil {
		db.metrics.cutErrors.Inc()
	}
	return err
}

// cutIfDue cuts the head if it should be cut now, and reports whether it tried.
// While another cut runs it does nothing: what that one leaves is looked at next
// time.
func (db *DB) cutIfDue(ctx context.Context) (tried bool, err error) {
	if !db.cutMu.TryLock() {
		return false, nil
	}
	defer db.cutMu.Unlock()
	reason := db.cutDueLocked(ctx)
	if reason == "" {
		return false, nil
	}
	db.log.Debug("cutting the head", "reason", reason)
	step := db.cutLocked
	if db.frozen() != nil {
		step = db.finishLocked // the active head is not due for that
	}
	return true, db.runCutLocked(ctx, step)
}

// cutDueLocked returns why the head should be cut now, "" if it should not. The
// caller holds cutMu, so that no cut is under way: a frozen head is one whose cut
// failed.
func (db *DB) cutDueLocked(ctx context.Context) string {
	if db.frozen() != nil {
		return "the last one failed"
	}
	st := db.activeBuffer().Stats()
	why := cutReason(&db.opts, headSizes{
		walBytes: db.activeLogBytes(), headBytes: st.Bytes, tableGrowth: db.head.Stats().Bytes - db.tablesAtCut,
		samples: uint64(st.Samples), series: uint64(st.Series), age: db.activeAge(),
	})
	if why == "" && db.nextRelief(ctx) == reliefCut {
		why = "space"
	}
	return why
}

// activeLogBytes returns the bytes of the log that the cut of the active head
// will free: those of earlier generations too, if they were replayed into it.
func (db *DB) activeLogBytes() int64 {
	db.gate.RLock()
	low := db.active.low
	db.gate.RUnlock()
	return db.wal.BytesFrom(low)
}

func (db *DB) cutLocked(ctx context.Context) error {
	if err := db.finishLocked(ctx); err != nil {
		return err
	}
	if db.activeBuffer().Stats().Series == 0 && db.activeLogBytes() < db.opts.CutWALBytes {
		return nil
	}
	db.tablesAtCut = db.head.Stats().Bytes
	if err := db.freeze(ctx); err != nil {
		return fmt.Errorf("freeze the head: %w", err)
	}
	return db.finishLocked(ctx)
}

// finishLocked writes the frozen head, if there is one.
func (db *DB) finishLocked(ctx context.Context) error {
	buf := db.frozen()
	if buf == nil {
		return nil
	}
	if err := db.writeFrozen(ctx, db.frozenTable); err != nil {
		return fmt.Errorf("cut of generation %d: %w", buf.Generation(), err)
	}
	return nil
}

// freeze splits log and head: what was appended so far is frozen, what comes
// belongs to the next generation.
func (db *DB) freeze(ctx context.Context) error {
	if db.freezeReplayed() {
		return nil
	}
	if err := db.wal.PrepareRotate(ctx); err != nil {
		return walError(err)
	}
	next := db.head.NewBuffer(0)
	db.gate.Lock()
	defer db.gate.Unlock()
	gen, _, err := db.wal.Rotate()
	if err != nil {
		next.Release()
		return walError(err)
	}
	db.active.high = db.active.buf.Generation()
	db.splitLocked(next, gen)
	return nil
}

// freezeReplayed freezes what was replayed if no writer has used the running
// generation. Log and head are split there already: this needs no room on the
// disk, and the block does not depend on how often the process has started.
func (db *DB) freezeReplayed() bool {
	next := db.head.NewBuffer(0)
	db.gate.Lock()
	defer db.gate.Unlock()
	gen := db.wal.Generation()
	if db.active.low == gen || !db.wal.GenerationEmpty() {
		next.Release()
		return false
	}
	db.active.buf.SetGeneration(db.active.high)
	db.splitLocked(next, gen)
	return true
}

// splitLocked freezes the active memtable and goes on with the next buffer in
// generation gen. The caller holds the gate's write side.
func (db *DB) splitLocked(next *head.Buffer, gen uint64) {
	next.SetGeneration(gen)
	db.active.buf.Freeze()
	db.frozenTable = db.active
	db.active, db.activeSince = &memtable{buf: next, low: gen}, db.opts.Clock.Now()
	db.change(func(s *state) { s.frozen, s.active = s.active, next })
}

// writeFrozen writes the frozen head as a block and publishes it: the block
// comes and the buffer goes in one step.
func (db *DB) writeFrozen(ctx context.Context, table *memtable) error {
	buf := table.buf
	if err := db.manifest.Err(); err != nil {
		return err // no block could be published
	}
	began := db.opts.Clock.Now()
	db.sweep(ctx) // files of an edit that failed need not take space beside the new one
	meta := partition.BlockMeta{Level: partition.L0, MinGen: table.low, MaxGen: table.high, Partition: partition.NoPartition}
	info, err := db.writeHead(ctx, table, meta)
	if err != nil && !errors.Is(err, partition.ErrEmptyBlock) {
		return err
	}
	low := table.high + 1
	edit := partition.Edit{WALLow: &low}
	if err == nil {
		edit.Add = []partition.BlockInfo{info}
	} else if err := db.relogMetadata(ctx, table); err != nil {
		return err // no block holds the metadata: the log has to
	}
	edit.AddTombstones = db.tombstones.upTo(buf.Generation())
	_, err = db.edit(edit, func(s *state) {
		s.frozen = nil
		db.tombstones.recorded(buf.Generation())
		s.tombstones = db.tombstones.all(db.manifest.State().Tombstones)
	})
	if err != nil {
		if len(edit.Add) > 0 {
			db.set.Discard(info.Name)
		}
		return err
	}
	db.frozenTable = nil
	db.signalCut()
	db.metrics.cuts.Inc()
	db.metrics.cutSeconds.Observe(db.opts.Clock.Now().Sub(began).Seconds())
	if len(edit.Add) > 0 {
		db.log.Info("head cut", "block", info.Name, "series", info.Series, "samples", info.Samples, "bytes", info.Size)
	} else {
		db.log.Info("head cut without a block: no samples", "generation", buf.Generation())
	}
	_ = db.jobs.release.Run(ctx, db.releaseLog) // the block is there; its job repeats what failed
	// A series written in the generation just cut stays: it has only begun to be
	// idle.
	if left := db.head.Evict(low - 1); left > 0 {
		db.log.Debug("idle series left the head", "series", left)
	}
	return nil
}

// releaseLog gives the segments back whose samples are in blocks.
func (db *DB) releaseLog(context.Context) error {
	st := db.manifest.State()
	return walError(db.wal.Release(st.WALLow, st.Number))
}

// frozen returns the head being cut, nil if none is. The caller holds cutMu, or
// looks only whether there is one.
func (db *DB) frozen() *head.Buffer {
	db.stateMu.Lock()
	defer db.stateMu.Unlock()
	if db.state == nil {
		return nil
	}
	return db.state.frozen
}

func (db *DB) activeMemtable() *memtable {
	db.gate.RLock()
	defer db.gate.RUnlock()
	return db.active
}

func (db *DB) activeBuffer() *head.Buffer { return db.activeMemtable().buf }

// activeAge returns for how long the active head has taken samples.
func (db *DB) activeAge() time.Duration {
	db.gate.RLock()
	defer db.gate.RUnlock()
	return db.opts.Clock.Now().Sub(db.activeSince)
}

// awaitCut waits while full reports true: until a cut ends after which it does
// not, or until timeUp, with ErrBusy. ended returns a channel that the next end
// of a cut closes: it is asked before full, or a cut that ends between the two
// would not be noticed.
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
func (db *DB) headFull() bool {
	if db.frozen() == nil {
		return false
	}
	_, walBytes := db.wal.Bytes()
	return db.activeBuffer().Stats().Bytes >= db.opts.CutHeadBytes || walBytes >= db.opts.CutWALBytes
}

// cutDone returns a channel that is closed when a cut ends after this call.
func (db *DB) cutDone() <-chan struct{} {
	db.stateMu.Lock()
	defer db.stateMu.Unlock()
	return db.cutSignal
}

func (db *DB) signalCut() {
	db.stateMu.Lock()
	defer db.stateMu.Unlock()
	close(db.cutSignal)
	db.cutSignal = make(chan struct{})
}

// writeHead streams a memtable's series, in block order, into one block file.
func (db *DB) writeHead(ctx context.Context, table *memtable, meta partition.BlockMeta) (_ partition.BlockInfo, err error) {
	w, err := partition.Create(db.fs, db.dir, meta, partition.WriterOptions{Taken: db.set.Taken})
	if err != nil {
		return partition.BlockInfo{}, err
	}
	defer func() {
		if err != nil {
			w.Abort()
			db.set.Discard(w.Name()) // in case the file could not be removed
		}
	}()
	defer panics.Catch(&err)
	if err := db.writeSeries(ctx, w, table); err != nil {
		return partition.BlockInfo{}, err
	}
	return w.Finish()
}

// writeSeries writes all that the frames of a memtable have brought, also what
// lies below the retention floor: views hide it, retention and merges drop it.
func (db *DB) writeSeries(ctx context.Context, w *partition.Writer, table *memtable) error {
	buf := table.buf
	var samples model.Samples
	var builder labels.ScratchBuilder
	for i, ref := range db.head.Sorted(buf) {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		tenant, id, ls, ok := db.head.LabelsTo(ref, &builder)
		if !ok {
			return fmt.Errorf("BUG: series %d of a live buffer has left the head", ref)
		}
		samples.Reset()
		buf.Samples(ref, model.AllTime, &samples)
		if err := w.Series(tenant, id, ls); err != nil {
			return err
		}
		if err := w.Samples(&samples); err != nil {
			return err
		}
		// A block has no series without samples, so exemplars alone leave with
		// the cut.
		if es := buf.Exemplars(ref); len(es) > 0 && samples.Len() == 0 {
			db.metrics.exemplarsDropped.Add(float64(len(es)))
		} else if len(es) > 0 {
			if err := w.Exemplars(es); err != nil {
				return err
			}
		}
	}
	for k, m := range table.metadata.all() {
		if err := w.Metadata(k.tenant, k.metric, m); err != nil {
			return err
		}
	}
	return nil
}
