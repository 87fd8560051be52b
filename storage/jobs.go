package storage

import (
	"context"
	"errors"
	"sync"
	"time"

	"tsdb/internal/background"
	"tsdb/internal/panics"
	"tsdb/partition/compaction"
)

// The paces of the background work.
const (
	watchEvery    = 500 * time.Millisecond // space and cut triggers
	mergeEvery    = time.Minute            // and after every cut
	rollEvery     = time.Minute            // and after every merge
	queriedEvery  = 5 * time.Minute        // write the table of queried metrics
	retainEvery   = time.Minute            // cheap while no floor moves
	retryMin      = 100 * time.Millisecond // the shortest pause of maintain
	mergePauseMax = 100 * time.Millisecond // a merge's pause while writers wait
)

var (
	// cutPace is short: writers may wait for a cut, or for space.
	cutPace   = background.Pace{First: time.Second, Max: 4 * time.Second}
	retryPace = background.Pace{First: time.Second, Max: time.Minute}
)

// jobs is the background work of a database. Four goroutines do it: one watches
// space and cuts, one merges and removes what is no longer needed, one makes rollups, one
// counts the series of days.
// All stop when their context ends. Each kind of work is a background.Job, whose
// outcome also the steps done on request go into: an administrator's flush that
// succeeds ends the failure of cuts.
type jobs struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	kick   chan struct{} // cut now
	merged chan struct{} // look for merges now
	rolled chan struct{} // look for days to roll up now

	all        *background.Jobs
	space      *background.Job // measure the free space
	reserve    *background.Job // make the reserve file
	cut        *background.Job // turn the head into a block
	release    *background.Job // give the log segments back that a cut has made superfluous
	merge      *background.Job
	rollup     *background.Job // roll up days, fold what was made
	retain     *background.Job
	sweep      *background.Job // remove files of dropped blocks and of failed edits
	tombstones *background.Job // forget deletions that nothing needs any more
	snapshots  *background.Job // remove temporary snapshots
	queried    *background.Job // write the table of queried metrics
	history    *background.Job // take marks, and drop old ones
	counts     *background.Job // count the series of days
}

func newJobs(o *Options, guard func(job string, step func() error) error) jobs {
	all := background.New(o.Clock, o.Logger, guard)
	return jobs{
		kick: make(chan struct{}, 1), merged: make(chan struct{}, 1), rolled: make(chan struct{}, 1),
		all:        all,
		space:      all.Job("space", cutPace),
		reserve:    all.Job("reserve", retryPace),
		cut:        all.Job("cut", cutPace),
		release:    all.Job("release", retryPace),
		merge:      all.Job("merge", retryPace),
		rollup:     all.Job("rollup", retryPace),
		retain:     all.Job("retain", retryPace),
		sweep:      all.Job("sweep", retryPace),
		tombstones: all.Job("tombstones", retryPace),
		snapshots:  all.Job("snapshots", retryPace),
		queried:    all.Job("queried", retryPace),
		history:    all.Job("history", retryPace),
		counts:     all.Job("cardinality", retryPace),
	}
}

// Job returns a job whose outcome is counted and shown with those of the
// database; it is made if there is none of the name.
func (db *DB) Job(name string, pace background.Pace) *background.Job {
	return db.jobs.all.Job(name, pace)
}

func (db *DB) startJobs() {
	ctx, cancel := context.WithCancel(context.Background())
	db.jobs.cancel = cancel
	db.jobs.wg.Add(2)
	go func() { defer db.jobs.wg.Done(); db.watch(ctx) }()
	go func() { defer db.jobs.wg.Done(); db.maintain(ctx) }()
	db.jobs.wg.Go(func() { db.lock.watch(ctx) })
	db.jobs.wg.Go(func() { db.counts.run(ctx) })
	if db.roller.needed() {
		db.jobs.wg.Go(func() { db.roller.run(ctx) })
	}
}

func (db *DB) stopJobs() {
	if db.jobs.cancel != nil {
		db.jobs.cancel()
		db.jobs.wg.Wait()
	}
}

// watch measures free space, makes some when it is short, and cuts the head when
// it is due. A step that fails is counted, logged and repeated by its job.
func (db *DB) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-db.jobs.kick:
		case <-db.opts.Clock.After(watchEvery):
		}
		db.watchOnce(ctx)
	}
}

// watchOnce takes the steps of watch that are due.
func (db *DB) watchOnce(ctx context.Context) {
	if db.jobs.space.Due() {
		_ = db.jobs.space.Run(ctx, db.space.measure)
	}
	if db.jobs.cut.Due() {
		if cut, err := db.flusher.cutIfDue(ctx); cut && err == nil {
			wake(db.jobs.merged)
			if db.space.refusal() != "" {
				_ = db.jobs.space.Run(ctx, db.space.measure) // the sooner writes are taken again
			}
		}
	}
	db.relief.relieve(ctx)
	if db.jobs.reserve.Outcome().Failures > 0 && db.jobs.reserve.Due() && db.space.refusal() == "" {
		_ = db.jobs.reserve.Run(ctx, db.ensureReserve)
	}
}

// maintain merges blocks, applies retention, and removes dropped files and spent
// deletions.
func (db *DB) maintain(ctx context.Context) {
	j := &db.jobs
	var retained, saved time.Time
	for ctx.Err() == nil {
		now := db.opts.Clock.Now()
		if now.Sub(retained) >= retainEvery && j.retain.Due() && db.compactor.retain(ctx) == nil {
			retained = now
		}
		if now.Sub(saved) >= queriedEvery && j.queried.Due() && db.saveQueried(ctx) == nil {
			saved = now
		}
		db.catalog.sweep(ctx)
		if j.snapshots.Due() {
			_ = j.snapshots.Run(ctx, db.snapshots.expire)
		}
		db.past.tidy(ctx, db.writer)
		if j.release.Outcome().Failures > 0 && j.release.Due() {
			_ = j.release.Run(ctx, db.catalog.releaseLog)
		}
		if j.tombstones.Outcome().Failures > 0 && j.tombstones.Due() {
			db.compactor.dropTombstones(ctx)
		}
		if j.merge.Due() {
			if worked, err := db.compactor.mergeNext(ctx, compaction.PlanMerge); worked && err == nil {
				continue
			}
		}
		if j.merge.Due() && db.relief.next(ctx) == reliefMerge {
			if worked, err := db.compactor.mergeNext(ctx, compaction.PlanFinal); worked && err == nil {
				continue
			}
		}
		select {
		case <-ctx.Done():
		case <-j.merged:
		case <-db.opts.Clock.After(db.maintainPause()):
		}
	}
}

// saveQueried writes the table of queried metrics, if it has changed.
func (db *DB) saveQueried(ctx context.Context) error {
	if db.queried == nil { // Open has failed
		return nil
	}
	return db.jobs.queried.Run(ctx, func(context.Context) error { return db.queried.Save(db.fs, db.dir) })
}

// maintainPause returns how long maintain may sleep: until the next look for
// merges, or until one of its jobs that fails is due again.
func (db *DB) maintainPause() time.Duration {
	now, d := db.opts.Clock.Now(), mergeEvery
	for _, job := range []*background.Job{db.jobs.release, db.jobs.merge, db.jobs.retain, db.jobs.sweep, db.jobs.tombstones, db.jobs.snapshots} {
		if o := job.Outcome(); o.Failures > 0 {
			d = min(d, max(o.Next.Sub(now), retryMin))
		}
	}
	return d
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// kickCut wakes the goroutine that cuts.
func (j *jobs) kickCut() { wake(j.kick) }

// guarded runs a step of a background job. A panic of it becomes an error, which
// is counted, logged with its stack, and tried again as any failure is. A panic
// that a merge has already made an error is counted too.
func (e *env) guarded(job string, step func() error) (err error) {
	defer func() {
		var p *panics.Error
		if errors.As(err, &p) {
			e.metrics.panics.WithLabelValues(job).Inc()
			e.log.Error("background job panicked", "job", job, "panic", p.Value, "stack", string(p.Stack))
		}
	}()
	defer panics.Catch(&err)
	return step()
}
