package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/compaction"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/datadir"
	"tsdb/storage/head"
	"tsdb/storage/log"
	"tsdb/storage/namestats"
)

// DB is an open database: a facade over its parts. All methods are safe for
// concurrent use. doc.go has the order of all locks.
type DB struct {
	*env
	tenants tenantTable
	lock    *dirLock // LOCK

	cache    *block.Cache
	manifest *manifest.Manifest
	set      *blockset.Set
	head     *head.Head
	wal      log.Log

	views     *views
	catalog   *catalog
	space     *space
	writer    *writer
	compactor *compactor
	roller    *roller
	relief    *reliever
	flusher   *flusher
	snapshots *snapshots
	past      *past // nil = no history is kept
	churn     churnCache
	load      writeLoad // by writers, for imports
	queried   *namestats.Tracker
	counts    *dayCounts

	report       RecoveryReport
	collectors   []prometheus.Collector
	rejectionLog rejectionLog
	owners       owners
	closed       sync.Once
}

// Errors of Open that a data directory causes before it is opened.
var (
	ErrInUse   = datadir.ErrInUse   // another process has it
	ErrLogLost = datadir.ErrLogLost // see LogLossError
	ErrStrict  = datadir.ErrStrict  // with Options.Strict: it is damaged
)

// LogLossError is the error of Open on a log that has lost samples. It is an
// ErrLogLost.
type LogLossError = datadir.LogLossError

// ErrManifestDamaged is returned by Open when no copy of the MANIFEST can be
// taken. Repair may bring it back.
var ErrManifestDamaged = errors.New("the MANIFEST is damaged")

// ErrRestoring is returned by Open for a directory whose restore was interrupted.
var ErrRestoring = errors.New("the restore of this directory was interrupted: repeat tsdb restore with the same --to, or remove the directory")

// ErrNewerFormat is returned by Open when a newer version of the program wrote
// the data directory.
var ErrNewerFormat = format.ErrVersion

// timeBounds returns the oldest and the newest time that ingest takes now of every
// series: by retention rules older samples of some may be taken.
func (db *DB) timeBounds(now int64) (lo, hi int64) {
	return oldest(now, db.policy.Load().shortestRaw(), db.views.highestFloor()), newest(now, db.opts.MaxFutureMs)
}

// alive reports whether the series of a ref is still in the head.
func (db *DB) alive(ref model.Ref) bool {
	sh := db.head.Shard(ref.Shard())
	sh.Lock()
	defer sh.Unlock()
	return sh.AliveLocked(ref)
}

func (db *DB) seriesName(ref model.Ref) string {
	_, _, ls, ok := db.head.Labels(ref)
	if !ok {
		return "(a series that has left)"
	}
	return ls.String()
}

// Recovery returns the report of the recovery by Open.
func (db *DB) Recovery() RecoveryReport { return db.report }

// walError wraps errors of the log in those that writers know.
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

// acceptsWrites waits for a full head to be cut, for a bounded time, and returns
// why writes are refused at the moment.
func (db *DB) acceptsWrites(ctx context.Context) error {
	if err := db.wal.Err(); err != nil {
		return walError(err)
	}
	if why := db.space.refusal(); why != "" {
		return fmt.Errorf("%w: %s", ErrBusy, why)
	}
	return db.flusher.awaitRoom(ctx)
}

// apply writes a batch once writes are accepted.
func (db *DB) apply(ctx context.Context, b *Batch, r *Receipt) error {
	if err := db.acceptsWrites(ctx); err != nil {
		return err
	}
	return db.writer.apply(ctx, b, r)
}

// Summary counts the blocks and their bytes.
type Summary struct {
	Blocks int   `json:"blocks"`
	Bytes  int64 `json:"bytes"`
}

// Bounds of the table of queried metrics.
const (
	MaxQueriedNames = namestats.MaxNames
	MaxQueriedBytes = namestats.MaxBytes // of memory
)

// Queried returns the counts of requests by metric, which are kept across restarts.
func (db *DB) Queried() *namestats.Tracker { return db.queried }

// Flush cuts the head and returns when its samples are in a durable block.
func (db *DB) Flush(ctx context.Context) (Summary, error) {
	if err := db.flusher.cut(ctx); err != nil {
		return Summary{}, err
	}
	wake(db.jobs.merged)
	return db.catalog.summary(), nil
}

// Compact brings everything to its final form: it cuts the head, moves the
// retention floor, merges every partition and rolls every day up, today's included.
func (db *DB) Compact(ctx context.Context) (Summary, error) {
	if err := db.flusher.cut(ctx); err != nil {
		return Summary{}, err
	}
	if err := db.compactor.retain(ctx); err != nil {
		return Summary{}, err
	}
	if err := db.compactor.drain(ctx, compaction.PlanFinal); err != nil {
		return Summary{}, err
	}
	if db.roller.needed() {
		if err := db.roller.drain(ctx); err != nil {
			return Summary{}, err
		}
	}
	// Samples may have waited for a merge or their rollups, also for those of a tier
	// that has been turned off.
	if err := db.compactor.retain(ctx); err != nil {
		return Summary{}, err
	}
	return db.catalog.summary(), nil
}

// CleanTombstones carries out all deletions at once: it cuts the head, so that they are
// recorded, rewrites the blocks that they concern, and erases from rollups.
func (db *DB) CleanTombstones(ctx context.Context) (Summary, error) {
	if db.catalog.tombstones.any() {
		if err := db.flusher.cut(ctx); err != nil {
			return Summary{}, err
		}
	}
	if err := db.compactor.drain(ctx, compaction.PlanErase); err != nil {
		return Summary{}, err
	}
	db.compactor.dropTombstones(ctx)
	if len(db.manifest.State().Tombstones) > 0 && db.roller.needed() {
		if err := db.roller.drain(ctx); err != nil {
			return Summary{}, err
		}
	}
	db.catalog.sweep(ctx)
	return db.catalog.summary(), nil
}

// Retain moves the retention floor to where it belongs now.
func (db *DB) Retain(ctx context.Context) error { return db.compactor.retain(ctx) }

// DropCaches empties the block cache.
func (db *DB) DropCaches() { db.cache.Clear() }

// Close stops the background work, cuts the head unless ctx ends, and closes
// everything. Samples that were not cut are in the log. Only Release of views may
// be called meanwhile; a second Close does nothing.
func (db *DB) Close(ctx context.Context) error {
	var err error
	db.closed.Do(func() {
		db.stopJobs()
		_ = db.saveQueried(context.WithoutCancel(ctx)) // logged by its job
		if ctx.Err() == nil {
			if cutErr := db.guarded("cut", func() error { return db.flusher.cut(ctx) }); cutErr != nil {
				db.log.Warn("head not cut, its samples are in the log", "err", cutErr)
			}
		}
		err = db.closeFiles()
	})
	return err
}

func (db *DB) closeFiles() error {
	if db.views != nil {
		db.views.close()
	}
	errs := []error{}
	if db.wal != nil {
		if err := db.wal.Close(); err != nil && !errors.Is(err, log.ErrPoisoned) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, db.past.close())
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
	if db.lock != nil {
		errs = append(errs, db.lock.file.Close())
	}
	return errors.Join(errs...)
}
