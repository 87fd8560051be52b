package rpc

import (
	"context"
	"errors"
	"time"

	"tsdb/api/asof"
	"tsdb/api/explain"
	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
	"tsdb/query"
)

// Explain returns the cost of a query without reading samples.
func (s *Service) Explain(ctx context.Context, r *tsdbv1.ExplainRequest) (*tsdbv1.ExplainResponse, error) {
	db, err := s.opts.DB()
	if err != nil {
		return nil, statusOf(err, false)
	}
	q, err := s.explained(ctx, query.NewQueryable(db, model.DefaultTenant), r)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	view, release, err := s.view(ctx)
	if err != nil {
		return nil, statusOf(err, false)
	}
	defer release()
	charge := s.opts.Engine.Charge()
	defer charge.Close()
	charge.View(view)
	selectors, warnings, err := explain.Query(ctx, view, model.DefaultTenant, q)
	if err != nil {
		var refused *explain.RefusedError
		return nil, statusOf(err, errors.As(err, &refused))
	}
	answer := &tsdbv1.ExplainResponse{}
	for _, x := range selectors {
		answer.Selectors = append(answer.Selectors, costOf(&x))
	}
	for _, w := range warnings[:min(len(warnings), maxAnnotations)] {
		answer.Warnings = append(answer.Warnings, w.Error())
	}
	answer.Warnings = valid(answer.Warnings)
	return answer, nil
}

// explained prepares the query of a request.
func (s *Service) explained(ctx context.Context, from *query.Queryable, r *tsdbv1.ExplainRequest) (*query.Query, error) {
	now := s.opts.Clock.Now().UnixMilli()
	start, end := orElse(r.StartMs, now), orElse(r.EndMs, now)
	for name, at := range map[string]int64{"start_ms": start, "end_ms": end} {
		if err := checkTime(name, at); err != nil {
			return nil, err
		}
	}
	if r.Options != nil && r.Options.AsOfMs != nil {
		return nil, invalid(asof.ErrPresentOnly)
	}
	opts, err := s.queryOpts(r.Options)
	if err != nil {
		return nil, err
	}
	if end < start {
		return nil, invalid(errors.New("end_ms must not be before start_ms"))
	}
	var q *query.Query
	if start == end {
		q, err = s.opts.Engine.Instant(ctx, from, opts, r.Query, time.UnixMilli(end))
	} else {
		step := orElse(r.StepMs, explain.DefaultStep(start, end))
		if err := s.checkSteps(start, end, step); err != nil {
			return nil, err
		}
		q, err = s.opts.Engine.Range(ctx, from, opts, r.Query, time.UnixMilli(start), time.UnixMilli(end), time.Duration(step)*time.Millisecond)
	}
	if err != nil {
		return nil, invalid(err)
	}
	return q, nil
}

// costOf returns the message of a selector's cost.
func costOf(x *explain.Selector) *tsdbv1.SelectorCost {
	main := x.Main()
	c := &tsdbv1.SelectorCost{
		Selector: x.Selector, StartMs: x.Min, EndMs: x.Max, Tier: main.Tier, Refused: refusedTiers(main.Refused),
		Series: x.Series, Blocks: x.Blocks, Chunks: x.Chunks, Samples: x.Samples, Buckets: x.Buckets, Bytes: x.Bytes,
		RolledUpDays: x.Days.RolledUp, PendingDays: x.Days.Pending, StandInDays: x.Days.StandIn,
		NewerSeries: x.NewerSeries, StandInSeries: x.StandInSeries, CutBorders: uint64(x.MayFail()),
	}
	for _, r := range x.RolledUp {
		c.RolledUp = append(c.RolledUp, &tsdbv1.TimeRange{StartMs: r.Min, EndMs: r.Max})
	}
	for _, s := range x.Slices {
		c.Slices = append(c.Slices, &tsdbv1.TierSlice{
			StartMs: s.Min, EndMs: s.Max, Tier: s.Tier, Expired: s.Expired, Refused: refusedTiers(s.Refused), CutBorders: uint64(s.MayFail),
			Series: s.Series, Blocks: s.Blocks, Chunks: s.Chunks, Samples: s.Samples, Buckets: s.Buckets, Bytes: s.Bytes,
		})
	}
	return c
}

func refusedTiers(rs []query.RefusedTier) (all []*tsdbv1.RefusedTier) {
	for _, r := range rs {
		all = append(all, &tsdbv1.RefusedTier{Tier: r.Tier, Reason: r.Reason, Text: r.Text})
	}
	return all
}
