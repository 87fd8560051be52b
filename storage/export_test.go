package storage

import (
	"context"

	"tsdb/partition/block"
	"tsdb/partition/compaction"
)

// Steps of the background work, one at a time, for tests outside of the package. Each
// reports whether there was anything to do.

// MergeStep does the merge that is due, or the next one to the final form.
func (db *DB) MergeStep(ctx context.Context, final bool) (bool, error) {
	if final {
		return db.compactor.mergeNext(ctx, compaction.PlanFinal)
	}
	return db.compactor.mergeNext(ctx, compaction.PlanMerge)
}

// RollStep does the step of rollups that is due; force has it not wait for anything.
func (db *DB) RollStep(ctx context.Context, force bool) (bool, error) {
	return db.roller.rollNext(ctx, force)
}

// WatchStep measures space and cuts the head if that is due.
func (db *DB) WatchStep(ctx context.Context) { db.watchOnce(ctx) }

// Sweep deletes dropped files.
func (db *DB) Sweep(ctx context.Context) { db.catalog.sweep(ctx) }

// TidyHistory drops the marks that are too old, and takes one if that is due.
func (db *DB) TidyHistory(ctx context.Context) { db.past.tidy(ctx, db.writer) }

// GiveUpHistory gives up the oldest marks, as when space is short.
func (db *DB) GiveUpHistory(ctx context.Context) error { return db.past.giveUp(ctx, "a test") }

// CloseUncut closes without a cut, as a killed process leaves it.
func (db *DB) CloseUncut() { closeUncut(db) }

// FloorOfAll returns the floor of a tier of all series.
func (v *View) FloorOfAll(tier block.Tier) int64 { return v.st.blocks.State().TierFloor(tier) }
