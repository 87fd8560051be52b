package source

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/query/admission"
	"tsdb/query/tiers"
	"tsdb/storage"
)

// Tiers returns the tiers that the querier's view can read.
func (q *Querier) Tiers() tiers.View { return TiersOf(q.view) }

// TiersOf returns the tiers that a view can read.
func TiersOf(v *storage.View) tiers.View {
	can := tiers.View{RawFloor: v.RawFloor()}
	for _, c := range v.Tiers() {
		can.Tiers = append(can.Tiers, tiers.Available{Tier: c.Tier, Covered: c.Times, Kept: c.Kept})
	}
	return can
}

// HasRules reports whether TiersFor depends on the selector.
func (q *Querier) HasRules() bool { return q.view.HasRules() }

// TiersFor returns the tiers that the querier's view can read for a selector.
func (q *Querier) TiersFor(ms []*labels.Matcher) tiers.View { return TiersFor(q.view, ms) }

// TiersFor returns the tiers that a view can read for a selector. Where retention rules
// let rows of some of its series expire in one tier, and another one that covers the day
// has those and all that the former has, only the latter is read. Rows that have expired
// in every tier keep no other series from being read.
func TiersFor(v *storage.View, ms []*labels.Matcher) tiers.View {
	can := TiersOf(v)
	if !v.HasRules() {
		return can
	}
	can.RawFloor = v.FloorFor(ms, block.Raw)
	names := make([]block.Tier, len(can.Tiers))
	for i, a := range can.Tiers {
		names[i] = a.Tier
	}
	floors := v.RuleFloors(ms, names)
	// lacks returns the times at which a tier lacks series that another one has.
	lacks := func(tier, other int) (times []model.TimeRange) {
		for _, of := range floors {
			if tr := (model.TimeRange{Min: of[other], Max: of[tier]}); !tr.Empty() {
				times = append(without(times, tr), tr)
			}
		}
		return times
	}
	all := slices.Clone(can.Tiers)
	for i := range can.Tiers {
		a := &can.Tiers[i]
		for j := range all {
			better := lacks(i, j)
			for _, both := range lacks(j, i) {
				better = without(better, both)
			}
			for _, tr := range common(better, all[j].Kept) {
				a.Covered, a.Kept = without(a.Covered, tr), without(a.Kept, tr)
			}
		}
	}
	for i := range can.Tiers {
		for j := range i {
			both := common(can.Tiers[i].Kept, can.Tiers[j].Kept)
			can.Split = append(can.Split, common(both, common(lacks(i, j), lacks(j, i)))...)
		}
	}
	return can
}

// common returns the times that are in a range of both lists, in no order.
func common(as, bs []model.TimeRange) (both []model.TimeRange) {
	for _, a := range as {
		for _, b := range bs {
			if tr := a.Intersect(b); !tr.Empty() {
				both = append(both, tr)
			}
		}
	}
	return both
}

// without returns ranges without a part.
func without(rs []model.TimeRange, part model.TimeRange) (kept []model.TimeRange) {
	for _, r := range rs {
		for _, k := range []model.TimeRange{{Min: r.Min, Max: min(r.Max, part.Min)}, {Min: max(r.Min, part.Max), Max: r.Max}} {
			if !k.Empty() {
				kept = append(kept, k)
			}
		}
	}
	return kept
}

// TierSlicesOf returns the slices in which a read selects series.
func TierSlicesOf(c *tiers.Choice) storage.TierSlices {
	in := make(storage.TierSlices, len(c.Slices))
	for i, s := range c.Slices {
		in[i] = storage.TierSlice{From: s.Times.Min, Tier: s.Tier}
	}
	return in
}

// TieredSet is the series of a selection that are read from tiers: their buckets, and
// samples where these have none. It is safe for concurrent use.
type TieredSet struct {
	ctx     context.Context
	ended   atomic.Bool // ctx has ended; cheaper to load than ctx.Err
	unwatch func() bool
	set     *storage.TieredSet
}

// SelectTiered returns the series that may have samples in scope, for reading tiers.
func (q *Querier) SelectTiered(ctx context.Context, scope model.TimeRange, in storage.TierSlices, ms []*labels.Matcher) (*TieredSet, error) {
	return q.selectTiered(ctx, scope, in, ms, q.mem)
}

// SelectTieredAgain is SelectTiered for series that the query will select again. They
// are not counted.
func (q *Querier) SelectTieredAgain(ctx context.Context, scope model.TimeRange, in storage.TierSlices, ms []*labels.Matcher) (*TieredSet, error) {
	return q.selectTiered(ctx, scope, in, ms, nil)
}

func (q *Querier) selectTiered(ctx context.Context, scope model.TimeRange, in storage.TierSlices, ms []*labels.Matcher, mem *admission.Tracker) (*TieredSet, error) {
	began := time.Now()
	set, err := q.view.SelectTiered(ctx, q.tenant, scope, in, ms...)
	took := time.Since(began)
	if err != nil {
		return nil, WrapError(err)
	}
	if err := mem.CountSeries(set.Len(), func(i int) labels.Labels { return set.At(i).Labels }); err != nil {
		return nil, err
	}
	s := &TieredSet{ctx: ctx, set: set}
	s.unwatch = context.AfterFunc(ctx, func() { s.ended.Store(true) })
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.selecting += took
	q.mu.tiered = append(q.mu.tiered, s)
	return s, nil
}

// Len returns the number of series.
func (s *TieredSet) Len() int { return s.set.Len() }

// RawFloor returns the time before which the samples of series i have expired.
func (s *TieredSet) RawFloor(i int) int64 { return s.set.At(i).RawFloor() }

// Labels returns the labels of series i.
func (s *TieredSet) Labels(i int) labels.Labels { return s.set.At(i).Labels }

// Warnings returns the damage found so far.
func (s *TieredSet) Warnings() annotations.Annotations { return annotate(s.set.Warnings()) }

// Buckets appends the buckets of series i whose ends are in the range to dst, and
// returns the ranges of the others, which must be read as samples, appended to gaps:
// see storage.TieredReader.
func (r *Reader) Buckets(s *TieredSet, i int, ends model.TimeRange, need model.BucketColumns, dst *model.Buckets, gaps []model.TimeRange) ([]model.TimeRange, error) {
	if s.ended.Load() {
		return gaps, s.ctx.Err()
	}
	gaps, err := r.tiered.Buckets(s.ctx, s.set.At(i), ends, need, dst, gaps)
	return gaps, WrapError(err)
}

// BucketSamples appends the samples of series i in the range to dst.
func (r *Reader) BucketSamples(s *TieredSet, i int, tr model.TimeRange, dst *model.ColumnSet) error {
	if s.ended.Load() {
		return s.ctx.Err()
	}
	return WrapError(r.tiered.Samples(s.ctx, s.set.At(i), tr, dst))
}
