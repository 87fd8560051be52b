package blockset

import (
	"context"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// Of a day below the retention floor of samples only those remain that stand in for
// buckets of a rollup: the raw blocks of the day stay listed, and whatever else they
// hold is deleted, as if by a tombstone. So each series has its own floor for a day,
// and nothing is copied.

// maxKept bounds the joins of raw and rollup blocks that an entry caches.
const maxKept = 16

// standIns are the series of a rollup block for which samples stand in, by the start
// of the day.
type standIns map[int64]*roaring.Bitmap

// Deletions returns what is deleted of a block of v, resolved to its series: by the
// tombstones, and by retention. It returns nil for nothing. Of a rollup it does not
// return tombstones: the coverage of each day reports which were applied.
func (v *Version) Deletions(ctx context.Context, e *Entry, ts []manifest.Tombstone) (*block.Deletions, error) {
	if e.block == nil {
		return nil, nil
	}
	var parts []block.Deletion
	if e.Tier == block.Raw {
		var err error
		if parts, err = e.deletions(ctx, ts); err != nil {
			return nil, err
		}
	}
	hidden, err := v.hidden(ctx, e)
	if err != nil {
		return nil, err
	}
	return block.NewDeletions(append(parts, hidden...)), nil
}

// RowDeletions returns what is deleted of the rows of a rollup block of v, resolved to its
// series: what Deletions does, and by the tombstones that its days have not applied every
// bucket that they touch. ts may be newer than v.
func (v *Version) RowDeletions(ctx context.Context, e *Entry, ts []manifest.Tombstone) (*block.Deletions, error) {
	if e.block == nil {
		return nil, nil
	}
	parts, err := v.hidden(ctx, e)
	if err != nil {
		return nil, err
	}
	parts = slices.Clone(parts)
	for _, c := range v.state.CoverageIn(e.Tier, e.Name, e.Span()) {
		for i := range ts {
			t := &ts[i]
			tr := t.Range.Intersect(c.Range())
			if t.ID <= c.Tombstone || tr.Empty() {
				continue
			}
			series, err := e.Matches(ctx, t)
			if err != nil {
				return nil, err
			}
			tr.Max = bucketEnd(tr.Max-1, e.Tier.Ms()) + 1
			parts = append(parts, block.Deletion{Series: series, Range: tr})
		}
	}
	return block.NewDeletions(parts), nil
}

// bucketEnd returns the end of the bucket that holds a time.
func bucketEnd(t, resolution int64) int64 {
	if in := (t%resolution + resolution) % resolution; in > 0 {
		return t + resolution - in
	}
	return t
}

// expired returns what the retention floor deletes of a raw block that is open, nil
// if nothing of what State.Kept keeps. An L0 has no samples that stand in: the floor
// waits until those of a day are merged.
func (v *Version) expired(ctx context.Context, e *Entry) (*block.Deletion, error) {
	floor := v.state.Floor
	if e.MinTime >= floor || v.kept.Min >= floor { // readers clip at kept
		return nil, nil
	}
	series := roaring.New()
	series.AddRange(0, e.Series)
	r := e.Info.TimeRange()
	r.Max = min(r.Max, floor)
	if e.Level != block.L0 {
		kept, all, err := v.standing(ctx, e, nil)
		if err != nil || all {
			return nil, err
		}
		series.AndNot(kept)
	}
	if series.IsEmpty() {
		return nil, nil
	}
	return &block.Deletion{Series: series, Range: r}, nil
}

// standing returns the series of an L1 or L2 whose samples stand in for buckets of its
// day, in tiers that count; all reports that those of every series do, or that it cannot
// be known.
func (v *Version) standing(ctx context.Context, e *Entry, counts func(tier block.Tier) bool) (series *roaring.Bitmap, all bool, err error) {
	series = roaring.New()
	for _, tier := range block.Rollups {
		c, covered := v.state.CoverageOf(tier, e.Partition)
		switch {
		case !covered, counts != nil && !counts(tier):
			continue
		case c.StandIn:
			return nil, true, nil
		case c.Block == "", tier >= block.Hour:
			continue
		}
		r := find(v.Rollups(), c.Block)
		if r == nil || r.Err() != nil {
			return nil, true, nil
		}
		found, err := e.standingIn(ctx, r)
		if block.IsLost(err) {
			return nil, true, nil
		} else if err != nil {
			return nil, false, err
		}
		series.Or(found)
	}
	return series, false, nil
}

// standingIn returns the series of an L1 or L2 whose samples stand in for buckets of
// its day in the rollup block r. The caller must not change the bitmap.
func (e *Entry) standingIn(ctx context.Context, r *Entry) (*roaring.Bitmap, error) {
	e.resolved.Lock()
	series := e.resolved.kept[r.Name]
	e.resolved.Unlock()
	if series != nil {
		return series, nil
	}
	days, err := r.standIns(ctx)
	if err != nil {
		return nil, err
	}
	if series, err = e.join(ctx, r, days[e.Partition]); err != nil {
		return nil, fmt.Errorf("find series of %s in %s: %w", r.Name, e.Name, err)
	}
	e.resolved.Lock()
	defer e.resolved.Unlock()
	if e.resolved.kept == nil || len(e.resolved.kept) >= maxKept {
		e.resolved.kept = map[string]*roaring.Bitmap{}
	}
	e.resolved.kept[r.Name] = series
	return series, nil
}

// joinCheck is the number of series between checks whether the context is done.
const joinCheck = 1 << 16

// join returns the series of e that have the identities of some series of r.
func (e *Entry) join(ctx context.Context, r *Entry, of *roaring.Bitmap) (*roaring.Bitmap, error) {
	found := roaring.New()
	if of == nil || of.IsEmpty() {
		return found, nil
	}
	wanted := make(map[model.Identity]struct{}, of.GetCardinality())
	for it := of.Iterator(); it.HasNext(); {
		ord := it.Next()
		if err := ctx.Err(); err != nil && ord%joinCheck == 0 {
			return nil, err
		}
		id, err := r.block.ID(ord)
		if err != nil {
			return nil, err
		}
		wanted[id] = struct{}{}
	}
	for ord := range uint32(e.Series) {
		if err := ctx.Err(); err != nil && ord%joinCheck == 0 {
			return nil, err
		}
		id, err := e.block.ID(ord)
		if err != nil {
			return nil, err
		}
		if _, ok := wanted[id]; ok {
			found.Add(ord)
		}
	}
	found.RunOptimize()
	return found, nil
}

// standIns returns those of a rollup block, which must be open. Its directory is read
// once.
func (e *Entry) standIns(ctx context.Context) (standIns, error) {
	e.resolved.Lock()
	days := e.resolved.standIns
	e.resolved.Unlock()
	if days != nil {
		return days, nil
	}
	days = standIns{}
	it := e.block.Iterate()
	for it.Next() {
		if err := ctx.Err(); err != nil && it.Ordinal()%joinCheck == 0 {
			return nil, err
		}
		chunks, err := it.Chunks()
		if err != nil {
			return nil, err
		}
		for _, c := range chunks {
			if c.Kind != block.KindStandIn {
				continue
			}
			for day := e.Tier.PartitionRange(c.MinTime); day.Min <= c.MaxTime; day = e.Tier.PartitionRange(day.Max) {
				if days[day.Min] == nil {
					days[day.Min] = roaring.New()
				}
				days[day.Min].Add(it.Ordinal())
			}
		}
	}
	if err := it.Err(); err != nil {
		return nil, err
	}
	for _, series := range days {
		series.RunOptimize()
	}
	e.resolved.Lock()
	defer e.resolved.Unlock()
	e.resolved.standIns = days
	return days, nil
}

// StandsIn returns a function for compaction.RetentionOptions. It reports whether
// samples of the day stand in for buckets of the coverage, and true if that cannot be
// read.
func (v *Version) StandsIn(ctx context.Context) func(c *manifest.Coverage) bool {
	return func(c *manifest.Coverage) bool {
		if c.StandIn || c.Block == "" || c.Tier >= block.Hour {
			return c.StandIn
		}
		e := find(v.Rollups(), c.Block)
		if e == nil || e.Err() != nil {
			return true
		}
		days, err := e.standIns(ctx)
		return err != nil || days[c.Day] != nil
	}
}
