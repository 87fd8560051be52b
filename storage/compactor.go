package storage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/compaction"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// compactor merges blocks, moves the retention floor, and drops deletions that
// merges have carried out. What to do is planned by pure functions of partition.
//
// Lock order: mu, then those of catalog.
type compactor struct {
	*env
	catalog *catalog
	past    *past
	// pause is called between the series of a merge. It delays the merge while
	// writers wait.
	pause func(ctx context.Context) error

	waits tombstoneWaits

	// mu is held for a whole merge, I/O included: one merge at a time.
	mu sync.Mutex
}

// eraseWait is how long a deletion that frees little waits for others before blocks are
// rewritten for it.
const eraseWait = 18 * time.Hour

// tombstoneWaits remembers since when recorded deletions wait to be carried out. It is
// safe for concurrent use.
type tombstoneWaits struct {
	mu    sync.Mutex
	since map[uint64]time.Time // by ID; nil until the first call
}

// waited returns a function that reports whether a deletion has waited for eraseWait.
// Those that were recorded by an earlier process have.
func (w *tombstoneWaits) waited(ts []manifest.Tombstone, now time.Time) func(*manifest.Tombstone) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := make(map[uint64]time.Time, len(ts))
	for i := range ts {
		id := ts[i].ID
		at, known := w.since[id]
		if !known && w.since != nil {
			at = now
		}
		since[id] = at
	}
	w.since = since
	return func(t *manifest.Tombstone) bool { return now.Sub(since[t.ID]) >= eraseWait }
}

// retain moves the retention floor to where it belongs now: partitions that lie
// wholly below it leave, and what other blocks have there is hidden at once and
// goes when those are merged.
func (c *compactor) retain(ctx context.Context) error {
	return c.jobs.retain.Run(ctx, c.moveFloor)
}

func (c *compactor) moveFloor(ctx context.Context) error {
	e, ok, err := c.planRetention(ctx)
	if err != nil || !ok {
		return err
	}
	st, err := c.catalog.edit(e, nil)
	if err != nil {
		return fmt.Errorf("retention: %w", err)
	}
	args := []any{"floor", model.FormatTime(st.Floor), "blocks_dropped", len(e.Drop), "days_of_rollups_dropped", len(e.Uncover)}
	for i := range e.RuleLists {
		for j := range e.RuleLists[i].Rules {
			if r := &e.RuleLists[i].Rules[j]; r.Floor(block.Raw) > st.Floor {
				args = append(args, "floor of "+r.String(), model.FormatTime(r.Floor(block.Raw)))
			}
		}
	}
	c.log.Info("retention applied", append(args, c.bound.moved(&e)...)...)
	c.catalog.sweep(ctx)
	return nil
}

func (c *compactor) planRetention(ctx context.Context) (manifest.Edit, bool, error) {
	v := c.catalog.set.Acquire()
	defer v.Release()
	o := compaction.RetentionOptions{
		HeadMin: c.catalog.views.oldestInHead(), Concerns: v.Concerns(ctx), StandsIn: v.StandsIn(ctx),
		Quarantined: func(name string) bool { e := v.Find(name); return e != nil && e.Err() != nil },
	}
	o.RuleHas = func(l *manifest.RuleList, rule int, block string, tr model.TimeRange, gen uint64) bool {
		return v.RuleHas(ctx, l, rule, block, tr, gen)
	}
	o.OldestInHead = func(l *manifest.RuleList, rule int, tr model.TimeRange) int64 {
		return c.oldestInHead(ctx, l, rule, tr)
	}
	o.Hides = func(l *manifest.RuleList) bool { return c.headHides(ctx, l, o.HeadMin) || v.Hides(ctx, l) }
	o.Subsumed = subsumed
	c.policy.Load().targets(c.now(), &o)
	if err := c.boundBytes(ctx, v, &o); err != nil {
		return manifest.Edit{}, false, err
	}
	e, ok := compaction.PlanRetention(v.State(), o)
	return e, ok, nil
}

// headHides reports whether the head may hold samples that a list hides. headMin is the
// time of the oldest sample in the head.
func (c *compactor) headHides(ctx context.Context, l *manifest.RuleList, headMin int64) bool {
	for i := range l.Rules {
		floor := l.Rules[i].Highest()
		if headMin < floor && c.oldestInHead(ctx, l, i, model.TimeRange{Min: math.MinInt64, Max: floor}) < floor {
			return true
		}
	}
	return false
}

// planner decides on the next merge: compaction.PlanMerge or PlanFinal.
type planner func([]compaction.Candidate, compaction.PlanOptions) (compaction.Plan, bool)

// mergeNext does the merge that plan finds next. It reports whether there was
// one. One merge runs at a time.
func (c *compactor) mergeNext(ctx context.Context, plan planner) (worked bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.jobs.merge.Run(ctx, func(ctx context.Context) (err error) {
		worked, err = c.mergeLocked(ctx, plan)
		return err
	})
	if err != nil && ctx.Err() == nil {
		c.metrics.mergeErrors.Inc()
	}
	return worked, err
}

// planOptions returns the facts for a plan that begins at a version of the blocks.
func (c *compactor) planOptions(ctx context.Context, v *blockset.Version, free uint64) compaction.PlanOptions {
	st := v.State()
	return compaction.PlanOptions{
		NowMs: c.now(), FreeBytes: free, WALLow: st.WALLow,
		Tombstones: st.Tombstones, Concerns: v.Concerns(ctx), Floor: st.HighestFloor(block.Raw), Expired: v.Expired(ctx),
		Deleted: v.Deleted(ctx), Waited: c.waits.waited(st.Tombstones, c.opts.Clock.Now()),
	}
}

func (c *compactor) mergeLocked(ctx context.Context, plan planner) (bool, error) {
	assertLocked(&c.mu, "compactor.mu")
	if err := c.catalog.manifest.Err(); err != nil {
		return false, err // no block could be published
	}
	v := c.catalog.set.Acquire()
	defer v.Release()
	free, err := c.fs.FreeBytes(c.dir)
	if err != nil {
		return false, fmt.Errorf("plan a merge: %w", err)
	}
	st := v.State()
	next, ok := plan(compaction.Candidates(v, nil), c.planOptions(ctx, v, free))
	if !ok {
		return false, nil
	}
	c.catalog.sweep(ctx) // files of an edit that failed need not take space beside the new ones
	began := c.opts.Clock.Now()
	// Deletions that no edit has recorded yet are left to later merges: were
	// they applied, and the machine stopped before they are, blocks and log
	// would disagree on their range.
	merged, err := compaction.Merge(ctx, v, next, st.Tombstones, compaction.Options{
		Yield: c.pause, Progress: c.jobs.merge.Progress(next.Reason, "series"),
	})
	if err != nil {
		var damage *format.DamageError
		if errors.As(err, &damage) {
			c.quarantine(next, damage)
		}
		return false, err
	}
	if _, err := c.catalog.edit(merged.Edit(c.now()), nil); err != nil {
		c.catalog.set.Discard(merged.Names()...)
		return false, err
	}
	if len(merged.Lost) > 0 {
		c.changes.addDamage()
	}
	for _, lost := range merged.Lost {
		c.log.Error("not readable in a merge; damaged chunks keep their place, marked", "err", lost)
	}
	if merged.LeftOut > 0 {
		c.log.Info("samples outside of the times that are kept were left out of a merge", "samples", merged.LeftOut)
	}
	c.metrics.merges.WithLabelValues(next.Level.String()).Inc()
	c.metrics.mergedBytes.Add(float64(merged.Bytes))
	c.metrics.reclaimedSamples.Add(float64(merged.Deleted))
	c.metrics.overwritten.WithLabelValues(doorMerge).Add(float64(merged.Overwritten))
	c.log.Info("blocks merged", "what", next.Reason, "level", next.Level.String(), "inputs", len(next.Inputs), "outputs", len(merged.Add),
		"read_bytes", next.Bytes, "written_bytes", merged.Bytes, "took", c.opts.Clock.Now().Sub(began))
	c.dropTombstones(ctx)
	wake(c.jobs.rolled)
	return true, nil // the caller sweeps: this function still holds the inputs
}

// quarantine excludes an input that cannot be merged from further plans.
func (c *compactor) quarantine(plan compaction.Plan, damage *format.DamageError) {
	for _, name := range plan.Names() {
		if damage.Path == name || strings.HasSuffix(damage.Path, "/"+name) {
			c.catalog.set.Quarantine(name, damage)
			c.changes.addDamage()
			c.log.Error("block is quarantined: it is read as far as it can be and merged no more", "err", damage)
		}
	}
}

// dropTombstones forgets the deletions that nothing needs any more.
func (c *compactor) dropTombstones(ctx context.Context) {
	_ = c.jobs.tombstones.Run(ctx, func(ctx context.Context) error {
		v := c.catalog.set.Acquire()
		defer v.Release()
		spent := manifest.SpentTombstones(v.State(), v.Concerns(ctx))
		if len(spent) == 0 {
			return nil
		}
		if _, err := c.catalog.edit(manifest.Edit{DropTombstones: spent}, nil); err != nil {
			return fmt.Errorf("drop %d spent deletions: %w", len(spent), err)
		}
		return nil
	})
}

// mergeable returns the bytes that the next merge towards the final form reads,
// 0 if there is none that fits into free.
func (c *compactor) mergeable(ctx context.Context, free uint64) int64 {
	if c.catalog.manifest.Err() != nil {
		return 0
	}
	v := c.catalog.set.Acquire()
	defer v.Release()
	plan, ok := compaction.PlanFinal(compaction.Candidates(v, nil), c.planOptions(ctx, v, free))
	if !ok {
		return 0
	}
	return plan.Bytes
}

// drain merges until plan finds no more, and removes the inputs.
func (c *compactor) drain(ctx context.Context, plan planner) error {
	for {
		more, err := c.mergeNext(ctx, plan)
		if err != nil {
			return err
		}
		if !more {
			c.catalog.sweep(ctx) // the last merge has released its inputs by now
			return nil
		}
	}
}
