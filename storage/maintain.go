package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"tsdb/partition"
)

// Retain moves the retention floor to where it belongs now: partitions that
// are too old as a whole leave, what of them lies in other blocks is hidden at
// once and goes when those are merged.
func (db *DB) Retain(ctx context.Context) error {
	return db.jobs.retain.Run(ctx, db.moveFloor)
}

func (db *DB) moveFloor(ctx context.Context) error {
	target := partition.RetentionTarget(db.now(), db.opts.RetentionMs)
	e, ok := partition.PlanRetention(db.manifest.State(), target, 0)
	if !ok {
		return nil
	}
	if _, err := db.edit(e, nil); err != nil {
		return fmt.Errorf("retention: %w", err)
	}
	db.log.Info("retention applied", "floor", stamp(target), "blocks_dropped", len(e.Drop))
	db.sweep(ctx)
	return nil
}

// sweep removes the files of dropped blocks that no view holds any more. What
// cannot be removed is tried again later; nothing else has to wait for it.
func (db *DB) sweep(ctx context.Context) {
	_ = db.jobs.sweep.Run(ctx, func(context.Context) error {
		if err := db.checkLock(); err != nil {
			return err
		}
		_, err := db.set.Sweep(db.opts.Clock.Now(), func(edit uint64) error {
			return walError(db.wal.Release(db.manifest.State().WALLow, edit))
		})
		return err
	})
}

// Summary says how many blocks there are and how long they are.
type Summary struct {
	Blocks int   `json:"blocks"`
	Bytes  int64 `json:"bytes"`
}

func (db *DB) summary() Summary {
	var s Summary
	for _, b := range db.manifest.State().Blocks {
		s.Blocks++
		s.Bytes += b.Size
	}
	return s
}

// Flush cuts the head and returns when its samples are in a durable block.
func (db *DB) Flush(ctx context.Context) (Summary, error) {
	if err := db.cut(ctx); err != nil {
		return Summary{}, err
	}
	wake(db.jobs.merged)
	return db.summary(), nil
}

// Compact brings everything to its final form: it cuts the head and merges
// every partition, today's included.
func (db *DB) Compact(ctx context.Context) (Summary, error) {
	if err := db.cut(ctx); err != nil {
		return Summary{}, err
	}
	if err := db.Retain(ctx); err != nil {
		return Summary{}, err
	}
	for {
		more, err := db.mergeNext(ctx, partition.PlanFinal)
		if err != nil {
			return Summary{}, err
		}
		if !more {
			db.sweep(ctx) // the inputs of the last merge are in no view of ours any more
			return db.summary(), nil
		}
	}
}

// planner decides on the next merge: partition.PlanMerge or PlanFinal.
type planner func([]partition.PlanBlock, partition.PlanOptions) (partition.MergePlan, bool)

// mergeNext does the merge that plan finds next. It reports whether there was
// one. One merge runs at a time.
func (db *DB) mergeNext(ctx context.Context, plan planner) (worked bool, err error) {
	db.mergeMu.Lock()
	defer db.mergeMu.Unlock()
	err = db.jobs.merge.Run(ctx, func(ctx context.Context) (err error) {
		worked, err = db.mergeLocked(ctx, plan)
		return err
	})
	if err != nil && ctx.Err() == nil {
		db.metrics.mergeErrors.Inc()
	}
	return worked, err
}

// planOptions returns the facts for a plan that begins at a version of the blocks.
func (db *DB) planOptions(ctx context.Context, v *partition.Version, free uint64) partition.PlanOptions {
	st := v.State()
	return partition.PlanOptions{
		NowMs: db.now(), FreeBytes: free, WALLow: st.WALLow,
		Tombstones: st.Tombstones, Concerns: v.Concerns(ctx),
	}
}

func (db *DB) mergeLocked(ctx context.Context, plan planner) (bool, error) {
	if err := db.manifest.Err(); err != nil {
		return false, err // no block could be published
	}
	v := db.set.Acquire()
	defer v.Release()
	free, err := db.fs.FreeBytes(db.dir)
	if err != nil {
		return false, fmt.Errorf("plan a merge: %w", err)
	}
	st := v.State()
	next, ok := plan(v.PlanBlocks(nil), db.planOptions(ctx, v, free))
	if !ok {
		return false, nil
	}
	db.sweep(ctx) // files of an edit that failed need not take space beside the new ones
	began := db.opts.Clock.Now()
	// Deletions that no edit has recorded yet are left to later merges: were
	// they applied, and the machine stopped before they are, blocks and log
	// would disagree on what they cover.
	merged, err := partition.Merge(ctx, v, next, st.Tombstones, partition.MergeOptions{Yield: db.yield})
	if err != nil {
		var damage *partition.DamageError
		if errors.As(err, &damage) {
			db.quarantine(next, damage)
		}
		return false, err
	}
	if _, err := db.edit(merged.Edit(db.now()), nil); err != nil {
		db.set.Discard(merged.Names()...)
		return false, err
	}
	if len(merged.Lost) > 0 {
		db.changes.addDamage()
	}
	for _, lost := range merged.Lost {
		db.log.Error("not readable in a merge; damaged chunks keep their place, marked", "err", lost)
	}
	if merged.LeftOut > 0 {
		db.log.Info("samples outside of the times that are kept were left out of a merge", "samples", merged.LeftOut)
	}
	db.metrics.merges.WithLabelValues(next.Level.String()).Inc()
	db.metrics.mergedBytes.Add(float64(merged.Bytes))
	db.log.Info("blocks merged", "what", next.Reason, "level", next.Level.String(), "inputs", len(next.Inputs), "outputs", len(merged.Add),
		"read_bytes", next.Bytes, "written_bytes", merged.Bytes, "took", db.opts.Clock.Now().Sub(began))
	db.dropTombstones(ctx)
	return true, nil // the caller sweeps: this function still holds the inputs
}

// quarantine takes an input that cannot be merged out of further plans.
func (db *DB) quarantine(plan partition.MergePlan, damage *partition.DamageError) {
	for _, name := range plan.Names() {
		if damage.Path == name || strings.HasSuffix(damage.Path, "/"+name) {
			db.set.Quarantine(name, damage)
			db.changes.addDamage()
			db.log.Error("block is quarantined: it is read as far as it can be and merged no more", "err", damage)
		}
	}
}

// dropTombstones forgets the deletions that nothing needs any more.
func (db *DB) dropTombstones(ctx context.Context) {
	_ = db.jobs.tombstones.Run(ctx, func(ctx context.Context) error {
		v := db.set.Acquire()
		defer v.Release()
		spent := partition.SpentTombstones(v.State(), v.Concerns(ctx))
		if len(spent) == 0 {
			return nil
		}
		if _, err := db.edit(partition.Edit{DropTombstones: spent}, nil); err != nil {
			return fmt.Errorf("drop %d spent deletions: %w", len(spent), err)
		}
		return nil
	})
}

// yield lets more urgent work go first: a merge pauses between series while
// writers wait for the head to be cut, for a bounded time, because a full disk
// can keep a cut from ending.
func (db *DB) yield(ctx context.Context) error {
	if done := db.cutDone(); db.headFull() {
		select {
		case <-ctx.Done():
		case <-done:
		case <-db.opts.Clock.After(yieldAtMost):
		}
	}
	return ctx.Err()
}
