package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"tsdb/internal/model"
	"tsdb/internal/panics"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
	"tsdb/rollup"
)

// roller makes the rollups: it executes what rollup.Plan finds, one step at a time,
// beside the merges of the compactor.
//
// Lock order: mu, then those of catalog.
type roller struct {
	*env
	catalog *catalog
	space   *space
	tiers   []block.Tier // that are made, finest first
	// pause is called between the series of a step, as that of a merge.
	pause func(ctx context.Context) error
	// forget drops the deletions that nothing needs any more.
	forget func(ctx context.Context)
	// retain moves the retention floors.
	retain func(ctx context.Context) error

	// mu is held for a whole step, I/O included: one step at a time.
	mu sync.Mutex
	// tried are the days with samples that could not be read in this process, and
	// skipped the blocks whose reading panicked.
	tried   map[manifest.CoverKey]bool
	skipped map[string]bool
	// overtaken counts the steps in a row whose edit was refused.
	overtaken int

	progress rollProgress
}

// overtakenMax bounds the steps in a row that are planned again at once because an edit
// came between. More are a failure, which waits before it is tried again.
const overtakenMax = 3

func newRoller(e *env, c *catalog, s *space) *roller {
	return &roller{
		env: e, catalog: c, space: s, tiers: slices.Sorted(maps.Keys(e.policy.Load().TierMs)),
		tried: map[manifest.CoverKey]bool{}, skipped: map[string]bool{},
	}
}

// needed reports whether rollups are made, or there are some of tiers that are off:
// deletions apply to those too.
func (r *roller) needed() bool {
	return len(r.tiers) > 0 || len(r.catalog.manifest.State().Coverage) > 0
}

// planOptions returns the facts for a plan that begins at a version of the blocks.
func (r *roller) planOptions(ctx context.Context, v *blockset.Version) rollup.PlanOptions {
	bad := map[string]bool{}
	for _, e := range v.Entries() {
		if e.Err() != nil {
			bad[e.Name] = true
		}
	}
	return rollup.PlanOptions{
		NowMs: r.now(), Tiers: r.tiers,
		Quarantined: func(name string) bool { return bad[name] },
		Concerns:    v.Concerns(ctx), InDay: rollup.InDay(ctx, v), Hidden: v.Expired(ctx),
	}
}

// addFreeBytes sets the free space that rollups may use: what writes need is not for
// rollups, which can wait, unless samples could leave once they are there.
func (r *roller) addFreeBytes(o *rollup.PlanOptions) error {
	free, err := r.fs.FreeBytes(r.dir)
	o.FreeBytes = free - min(free, uint64(max(r.space.needed(), 0)))
	if ms := r.policy.Load().longestRaw(); ms > 0 {
		o.Expired, o.ExpiredBytes = compaction.RetentionTarget(o.NowMs, ms), free
	}
	if floor := r.bound.rawFloor(); floor > o.Expired {
		o.Expired, o.ExpiredBytes = floor, free
	}
	return err
}

// retry returns a function for rollup.PlanOptions.Retry: a day whose samples could not
// all be read is read again once in each process, if all of its blocks are there.
func (r *roller) retry(v *blockset.Version) func(*manifest.Coverage) bool {
	return func(c *manifest.Coverage) bool {
		return !r.tried[c.CoverKey] && !slices.ContainsFunc(v.Raw(), func(e *blockset.Entry) bool {
			return e.Level == block.L2 && e.Partition == c.Day && e.Err() != nil
		})
	}
}

// rollNext does the step that is planned next. It reports whether there was one.
func (r *roller) rollNext(ctx context.Context, force bool) (worked bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err = r.jobs.rollup.Run(ctx, func(ctx context.Context) (err error) {
		worked, err = r.rollLocked(ctx, force)
		return err
	})
	return worked, err
}

func (r *roller) rollLocked(ctx context.Context, force bool) (bool, error) {
	assertLocked(&r.mu, "roller.mu")
	if err := r.catalog.manifest.Err(); err != nil {
		return false, err // no block could be published
	}
	v := r.catalog.set.Acquire()
	defer v.Release()
	o := r.planOptions(ctx, v)
	o.Force, o.Retry = force, r.retry(v)
	if err := r.addFreeBytes(&o); err != nil {
		return false, fmt.Errorf("plan a rollup: %w", err)
	}
	step, ok := rollup.Plan(v.State(), o)
	if !ok {
		return false, nil
	}
	began := r.opts.Clock.Now()
	defer r.progress.begin(step, began)()
	tell := r.jobs.rollup.Progress(step.Reason, "series")
	made, err := rollup.Run(ctx, v, step, rollup.Options{
		Yield:      r.pause,
		Progress:   func(done, total uint64) { r.progress.set(done, total); tell(done, total) },
		Skip:       func(name string) bool { return r.skipped[name] },
		OmitResets: slices.Contains(r.tiers, block.Hour), // which has all of them
	})
	if err != nil {
		r.blame(err)
		return false, err
	}
	_, err = r.catalog.editFrom(made.Edit, nil)
	if err != nil {
		r.catalog.set.Discard(made.Names()...)
		if r.overtaken++; r.overtaken <= overtakenMax && errors.Is(err, manifest.ErrEdit) && r.catalog.manifest.State() != v.State() {
			r.log.Info("a rollup was overtaken by an edit and is planned again", "what", step.Reason, "err", err)
			return true, nil
		}
		return false, err
	}
	r.overtaken = 0
	r.published(step, made, r.opts.Clock.Now().Sub(began))
	r.forget(ctx)
	expired := func(day int64) bool { return day < o.Expired }
	if step.Action == rollup.Roll && expired(step.Days[0]) || slices.ContainsFunc(step.Uncover, func(k manifest.CoverKey) bool { return expired(k.Day) }) {
		_ = r.retain(ctx) // the floor may have waited for this; its job notes failures
	}
	return true, nil // the caller sweeps: this function still holds the inputs
}

// published records a step whose edit is durable.
func (r *roller) published(step rollup.Step, made *rollup.Result, took time.Duration) {
	for _, c := range made.Cover {
		if r.tried[c.CoverKey] = len(c.Lost) > 0; !r.tried[c.CoverKey] {
			delete(r.tried, c.CoverKey)
		}
	}
	if len(made.Lost) > 0 {
		r.changes.addDamage()
	}
	for _, lost := range made.Lost {
		r.log.Error("not readable for a rollup; queries over its time warn", "err", lost)
	}
	m := r.metrics
	for _, t := range step.Tiers {
		m.rollupSteps.WithLabelValues(step.Action.String(), t.String()).Inc()
	}
	m.rollupBytes.Add(float64(made.Bytes))
	m.rollupSamples.Add(float64(made.Samples))
	m.rollupSeconds.Add(took.Seconds())
	args := []any{"what", step.Reason, "action", step.Action.String(), "tiers", tierNames(step.Tiers)}
	if len(step.Days) > 0 {
		args = append(args, "from", model.FormatTime(step.Days[0]), "days", len(step.Days))
	}
	r.log.Info("rollup made", append(args, "read_bytes", step.Bytes, "samples", made.Samples, "rows", made.Rows,
		"written_bytes", made.Bytes, "took", took)...)
}

func tierNames(ts []block.Tier) (names []string) {
	for _, t := range ts {
		names = append(names, t.String())
	}
	return names
}

// blame excludes a block that a step could not read: samples in it are lost to
// rollups, and a rollup is made again from its samples.
func (r *roller) blame(err error) {
	var bad *rollup.SourceError
	if !errors.As(err, &bad) {
		return
	}
	var p *panics.Error
	if errors.As(bad.Err, &p) {
		r.skipped[bad.Block] = true
	}
	r.catalog.set.Quarantine(bad.Block, bad.Err)
	r.changes.addDamage()
	r.log.Error("block is quarantined: it is read as far as it can be and rolled up or folded no more", "err", bad)
}

// drain makes rollups until nothing is left to do, today's included, and removes the
// blocks that were replaced.
func (r *roller) drain(ctx context.Context) error {
	for {
		more, err := r.rollNext(ctx, true)
		if err != nil {
			return err
		}
		if !more {
			r.catalog.sweep(ctx)
			return nil
		}
	}
}

// run makes rollups until ctx ends.
func (r *roller) run(ctx context.Context) {
	j := &r.jobs
	for ctx.Err() == nil {
		if j.rollup.Due() {
			if worked, err := r.rollNext(ctx, false); worked && err == nil {
				r.catalog.sweep(ctx)
				continue
			}
		}
		pause := rollEvery
		if o := j.rollup.Outcome(); o.Failures > 0 {
			pause = min(pause, max(o.Next.Sub(r.opts.Clock.Now()), retryMin))
		}
		select {
		case <-ctx.Done():
		case <-j.rolled:
		case <-r.opts.Clock.After(pause):
		}
	}
}
