// Package explain estimates the cost of the selectors of a query from indexes and
// directories alone, without reading samples or buckets, and says which tier each
// selector reads, and why no coarser one. Both HTTP and gRPC expose it.
package explain

import (
	"context"

	"tsdb/internal/model"
	"tsdb/query"
	"tsdb/storage"
)

// Selector is the cost of one selector of a query: a bound of what it reads.
type Selector struct {
	query.SelectorPlan
	Cost
	Slices []Slice // by time, at most maxRanges

	// Days are those of a tier other than raw, by where their answer comes from.
	// RolledUp are the times of those that are answered from buckets, at most
	// maxRanges of them; all else is read as samples.
	Days     Days
	RolledUp []model.TimeRange
	// NewerSeries have samples or deletions on rolled-up days that came after the
	// rollup, StandInSeries samples that stand in for buckets. Both are read as
	// samples there.
	NewerSeries, StandInSeries uint64

	storage.Flaws
}

// Slice is the cost of a part of the times of a selector that is read from one tier.
type Slice struct {
	query.SlicePlan
	Cost // chunks that lie in several slices count in each
}

// Cost is a bound of what is read.
type Cost struct {
	Series  uint64 // selected
	Blocks  uint64 // with series of the selection
	Chunks  uint64 // of blocks
	Samples uint64 // that are read as such
	Buckets uint64 // that are read of tiers
	Bytes   uint64 // compressed, on disk and in memory
}

func costOf(c *storage.TieredCost) Cost {
	return Cost{
		Series: c.Series, Blocks: c.Raw.Blocks + c.Buckets.Blocks, Chunks: c.Raw.Chunks + c.Buckets.Chunks,
		Samples: c.Raw.Samples, Buckets: c.Buckets.Samples, Bytes: c.Raw.Bytes + c.Buckets.Bytes,
	}
}

// Days are numbers of days.
type Days struct {
	RolledUp uint64 // answered from buckets
	Pending  uint64 // with samples, but not rolled up
	StandIn  uint64 // on which samples stand in for all buckets
}

// RefusedError is returned for a query that would not run.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

// maxRanges bounds the ranges and slices of a selector.
const maxRanges = 100

// DefaultStep returns the step of a range query that is explained without one, in
// milliseconds: as Prometheus' page divides a range.
func DefaultStep(startMs, endMs int64) int64 {
	const points = 250
	return max((endMs-startMs)/points/1000, 1) * 1000
}

// Query returns the costs of the selectors of a query that was not executed. The
// warnings name unreadable blocks.
func Query(ctx context.Context, v *storage.View, tenant uint32, q *query.Query) (all []Selector, warnings []error, err error) {
	plans, err := q.PlanTiers(v)
	if err != nil {
		return nil, nil, &RefusedError{err}
	}
	for i := range plans {
		c, warned, err := plans[i].Cost(ctx, v, tenant)
		if err != nil {
			return nil, nil, err
		}
		warnings = append(warnings, warned...)
		s := Selector{
			SelectorPlan: plans[i], Cost: costOf(&c),
			Days:        Days{RolledUp: c.CoveredDays, Pending: c.UncoveredDays, StandIn: c.StandInDays},
			RolledUp:    c.Covered[:min(len(c.Covered), maxRanges)],
			NewerSeries: c.NewerSeries, StandInSeries: c.StandInSeries,
		}
		if s.Flaws, err = plans[i].Flaws(ctx, v, tenant); err != nil {
			return nil, nil, err
		}
		if s.Slices, err = slicesOf(ctx, v, tenant, &plans[i], s.Cost); err != nil {
			return nil, nil, err
		}
		all = append(all, s)
	}
	return all, warnings, nil
}

// slicesOf returns the costs of the slices of a selector.
func slicesOf(ctx context.Context, v *storage.View, tenant uint32, plan *query.SelectorPlan, total Cost) ([]Slice, error) {
	if len(plan.Slices) == 1 {
		return []Slice{{plan.Slices[0], total}}, nil
	}
	var all []Slice
	for i := range plan.Slices[:min(len(plan.Slices), maxRanges)] {
		c, _, err := plan.SliceCost(ctx, v, tenant, &plan.Slices[i]) // the total has the warnings
		if err != nil {
			return nil, err
		}
		all = append(all, Slice{plan.Slices[i], costOf(&c)})
	}
	return all, nil
}
