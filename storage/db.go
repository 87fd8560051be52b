package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition"
	"tsdb/storage/head"
	"tsdb/storage/log"
)

// DB is an open database. All methods are safe for concurrent use.
//
// Lock order: cutMu or mergeMu, editMu, gate, changeMu, a shard's lock,
// stateMu.
type DB struct {
	fs   vfs.FS
	dir  string
	opts Options
	log  *slog.Logger

	lock     lockWatch // LOCK
	manifest *partition.Manifest
	set      *partition.Set
	cache    *partition.Cache
	head     *head.Head
	wal      log.Log
	changes  *Changes
	tenants  tenantTable

	metrics      *metrics
	collectors   []prometheus.Collector
	rejectionLog rejectionLog
	space        space
	twinBehind   atomic.Bool // the second copy of the MANIFEST lacks edits
	report       RecoveryReport

	// gate is the apply gate. Writers hold its read side from a piece's first
	// append to the log to its last append to the head; a cut holds its write
	// side for the moment in which it splits both.
	gate        sync.RWMutex
	active      *memtable // guarded by gate
	tombstones  pendingTombstones
	activeSince time.Time // guarded by gate

	cutMu       sync.Mutex    // one cut at a time
	frozenTable *memtable     // nil if none is being cut; guarded by cutMu
	tablesAtCut int64         // bytes of the head's tables when the last cut began; guarded by cutMu
	cutSignal   chan struct{} // closed when a cut ends; guarded by stateMu

	mergeMu sync.Mutex // one merge at a time
	editMu  sync.Mutex // one edit at a time

	changeMu sync.Mutex // one change of the state at a time
	stateMu  sync.Mutex
	state    *state // nil after Close
	buffers  map[*head.Buffer]int

	jobs   jobs
	closed sync.Once
}

// ErrInUse is returned by Open when another process has the data directory.
var ErrInUse = errors.New("data directory is in use by another process")

// ErrManifestDamaged is returned by Open when no copy of the MANIFEST can be
// taken. Repair may bring it back.
var ErrManifestDamaged = errors.New("the MANIFEST is damaged")

// ErrNewerFormat is returned by Open when a newer version of the program wrote
// the data directory.
var ErrNewerFormat = partition.ErrVersion

func (db *DB) now() int64 { return db.opts.Clock.Now().UnixMilli() }

// floorNow returns the recorded retention floor.
func (db *DB) floorNow() int64 {
	db.stateMu.Lock()
	defer db.stateMu.Unlock()
	if db.state == nil {
		return partition.NoFloor
	}
	return db.state.floor
}

// timeBounds returns the oldest and the newest time that ingest takes now.
func (db *DB) timeBounds() (lo, hi int64) {
	now := db.now()
	return oldest(now, db.opts.RetentionMs, db.floorNow()), newest(now, db.opts.MaxFutureMs)
}

// alive reports whether the series of a ref is still in the head.
func (db *DB) alive(ref model.Ref) bool {
	sh := db.head.Shard(ref.Shard())
	sh.Lock()
	defer sh.Unlock()
	return sh.AliveLocked(ref)
}

// resolve finds or creates a series of a tenant and stores its alias.
func (db *DB) resolve(tenant uint32, a model.Hash, ls labels.Labels) (model.Ref, error) {
	ref, _ := db.head.Resolve(tenant, ls)
	if ref == 0 {
		return 0, rejectf(ReasonLimit, "the head has no room for another series: %s", clip(ls.String()))
	}
	db.head.SetAlias(a, ref)
	return ref, nil
}

func (db *DB) seriesName(ref model.Ref) string {
	_, _, ls, ok := db.head.Labels(ref)
	if !ok {
		return "(a series that has left)"
	}
	return ls.String()
}

// Recovery returns what Open found in the log.
func (db *DB) Recovery() RecoveryReport { return db.report }

// walError gives the log's errors their meaning for writers.
func walError(err error) error {
	switch {
	case errors.Is(err, log.ErrPoisoned):
		return fmt.Errorf("%w: %w", ErrPoisoned, err)
	case errors.Is(err, log.ErrBusy), errors.Is(err, log.ErrNoSpace):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case errors.Is(err, log.ErrClosed):
		return ErrClosed
	}
	return err
}

// edit makes an edit of the manifest durable and publishes the state that
// follows from it, with change applied, in one step.
func (db *DB) edit(e partition.Edit, change func(*state)) (*partition.State, error) {
	db.editMu.Lock()
	defer db.editMu.Unlock()
	e.WallMs = db.now()
	e.HighGen, e.HighLSN = db.wal.Generation(), db.wal.LastLSN()
	next, err := db.set.Publish(e)
	if err != nil && isNoSpace(err) && db.giveReserveUp() {
		next, err = db.set.Publish(e)
	}
	if err != nil {
		return nil, err
	}
	st := next.State()
	db.observeTwin()
	db.wal.NoteEdit(st.Number)
	hidden := model.TimeRange{Max: st.Floor}
	db.change(func(s *state) {
		hidden.Min = s.floor
		s.blocks, s.floor = next, st.Floor
		s.tombstones = db.tombstones.all(st.Tombstones)
		if change != nil {
			change(s)
		}
	})
	db.changes.addRange(hidden, model.AllMetrics)
	return st, nil
}

// DropCaches forgets what was kept of blocks to read them faster.
func (db *DB) DropCaches() { db.cache.Clear() }

// Close stops the background work, gives a cut of the head until ctx ends,
// and closes everything. What was not cut is in the log. Nothing else may be
// called meanwhile but Release of views; a second Close does nothing.
func (db *DB) Close(ctx context.Context) error {
	var err error
	db.closed.Do(func() {
		db.stopJobs()
		if ctx.Err() == nil {
			if cutErr := db.guarded("cut", func() error { return db.cut(ctx) }); cutErr != nil {
				db.log.Warn("head not cut, its samples are in the log", "err", cutErr)
			}
		}
		err = db.closeFiles()
	})
	return err
}

func (db *DB) closeFiles() error {
	db.stateMu.Lock()
	st := db.state
	db.state = nil
	db.stateMu.Unlock()
	if st != nil {
		db.releaseState(st)
	}
	errs := []error{}
	if db.wal != nil {
		if err := db.wal.Close(); err != nil && !errors.Is(err, log.ErrPoisoned) {
			errs = append(errs, err)
		}
	}
	if db.set != nil {
		errs = append(errs, db.set.Close())
	}
	if db.manifest != nil {
		errs = append(errs, db.manifest.Close())
	}
	if db.cache != nil {
		db.cache.Close()
	}
	for _, c := range db.collectors {
		db.opts.Registerer.Unregister(c)
	}
	if db.lock.lock != nil {
		errs = append(errs, db.lock.lock.Close())
	}
	return errors.Join(errs...)
}
