package storage

import (
	"context"
	"sync"
	"time"

	"tsdb/partition"
)

// The paces of the background work.
const (
	watchEvery   = 500 * time.Millisecond // space and cut triggers
	mergeEvery   = time.Minute            // looked at also after every cut
	retainEvery  = time.Hour
	retryAtFirst = time.Second     // after a failure; doubles
	recutAtMost  = 4 * time.Second // writers may wait for a cut
	retryAtMost  = time.Minute
	yieldAtMost  = 100 * time.Millisecond // a merge's pause while writers wait
)

// jobs are the goroutines of a database: one watches space and cuts, one
// merges and lets old partitions go. Both stop when their context ends.
type jobs struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	kick   chan struct{} // cut now
	merged chan struct{} // look for merges now
}

func (db *DB) startJobs() {
	ctx, cancel := context.WithCancel(context.Background())
	db.jobs.cancel = cancel
	db.jobs.wg.Add(2)
	go func() { defer db.jobs.wg.Done(); db.watch(ctx) }()
	go func() { defer db.jobs.wg.Done(); db.maintain(ctx) }()
	db.jobs.wg.Go(func() { db.watchLock(ctx) })
}

func (db *DB) stopJobs() {
	if db.jobs.cancel != nil {
		db.jobs.cancel()
		db.jobs.wg.Wait()
	}
}

// watch measures free space and cuts the head when it is due.
func (db *DB) watch(ctx context.Context) {
	backoff := backoff{most: recutAtMost}
	for {
		select {
		case <-ctx.Done():
			return
		case <-db.jobs.kick:
		case <-db.opts.Clock.After(watchEvery):
		}
		_ = db.guarded("space", func() error { db.observeSpace(); return nil })
		now := db.opts.Clock.Now()
		if backoff.wait(now) {
			continue
		}
		if reason := db.cutDue(); reason != "" {
			db.log.Debug("cutting the head", "reason", reason)
			if err := db.guarded("cut", func() error { return db.cut(ctx) }); err != nil {
				if ctx.Err() != nil {
					return
				}
				db.metrics.cutErrors.Inc()
				db.log.Error("cut failed, will be tried again", "err", err, "after", backoff.failed(now))
				continue
			}
			backoff.worked()
			wake(db.jobs.merged)
		}
	}
}

// maintain merges blocks and applies retention.
func (db *DB) maintain(ctx context.Context) {
	backoff := backoff{most: retryAtMost}
	var retained time.Time
	for {
		now := db.opts.Clock.Now()
		if now.Sub(retained) >= retainEvery {
			if err := db.guarded("retain", func() error { return db.Retain(ctx) }); err != nil && ctx.Err() == nil {
				db.log.Error("retention failed, will be tried again", "err", err)
			}
			retained = now
		}
		if err := db.guarded("sweep", db.sweep); err != nil {
			db.log.Error("files of dropped blocks not removed, will be tried again", "err", err)
		}
		if !backoff.wait(now) {
			worked := false
			err := db.guarded("merge", func() (err error) {
				worked, err = db.mergeNext(ctx, partition.PlanMerge)
				return err
			})
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				db.metrics.mergeErrors.Inc()
				db.log.Error("merge failed, will be tried again", "err", err, "after", backoff.failed(now))
			default:
				backoff.worked()
				if worked {
					continue
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-db.jobs.merged:
		case <-db.opts.Clock.After(mergeEvery):
		}
	}
}

// backoff spaces repetitions of something that fails.
type backoff struct {
	most  time.Duration
	delay time.Duration
	until time.Time
}

func (b *backoff) wait(now time.Time) bool { return now.Before(b.until) }

func (b *backoff) failed(now time.Time) time.Duration {
	b.delay = min(max(2*b.delay, retryAtFirst), b.most)
	b.until = now.Add(b.delay)
	return b.delay
}

func (b *backoff) worked() { *b = backoff{most: b.most} }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// cutDue returns why the head should be cut now, "" if it should not.
func (db *DB) cutDue() string {
	if db.frozen() != nil {
		return "unfinished"
	}
	st := db.activeBuffer().Stats()
	_, walBytes := db.wal.Bytes()
	return cutReason(&db.opts, walBytes, st.Bytes, uint64(st.Samples), uint64(st.Series), db.activeAge())
}

func (db *DB) kickCut() { wake(db.jobs.kick) }
