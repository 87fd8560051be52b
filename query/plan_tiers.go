package query

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/internal/model"
	"tsdb/query/operators"
	"tsdb/query/source"
	"tsdb/query/steps"
	"tsdb/query/tiers"
	"tsdb/storage"
)

// SelectorPlan reports which tiers a selector of a query reads, and why it reads no
// coarser ones.
type SelectorPlan struct {
	Selector string // as in the query
	Function string // the function of its windows; "" = an instant selector
	Min, Max int64  // times of the samples that it reads, both inclusive, Unix milliseconds; Max < Min = none
	Slices   []SlicePlan

	matchers []*labels.Matcher
	read     storage.TieredRead
}

// SlicePlan is a part of the times of a selector that is read from one tier.
type SlicePlan struct {
	Min, Max int64  // both inclusive, Unix milliseconds
	Tier     string // a name of ParseResolution other than "auto"
	Expired  bool   // samples have expired
	Refused  []RefusedTier
	// MayFail is the number of borders of windows that cut a bucket close to its
	// end. Where that is more than the bucket can answer, it is read as samples.
	MayFail int

	tier tiers.Tier // as it is selected
}

// RefusedTier is a tier that a selector does not read.
type RefusedTier struct {
	Tier   string
	Reason string // one word: see tiers.Reason
	Text   string // for people
}

// Rollup reports whether buckets of some tier are read.
func (p *SelectorPlan) Rollup() bool {
	return slices.ContainsFunc(p.Slices, func(s SlicePlan) bool { return s.Rollup() })
}

// Rollup reports whether the tier is one of buckets.
func (s *SlicePlan) Rollup() bool { return s.tier != tiers.RawTier }

// Main returns the slice that stands for all of them: the longest of the coarsest tier.
func (p *SelectorPlan) Main() *SlicePlan {
	return &p.Slices[slices.IndexFunc(p.Slices, func(s SlicePlan) bool {
		return !slices.ContainsFunc(p.Slices, func(o SlicePlan) bool {
			return o.tier > s.tier || o.tier == s.tier && o.Max-o.Min > s.Max-s.Min
		})
	})]
}

// MayFail returns SlicePlan.MayFail of all slices.
func (p *SelectorPlan) MayFail() (n int) {
	for i := range p.Slices {
		n += p.Slices[i].MayFail
	}
	return n
}

// Cost returns the cost of what the selector reads of a view, from indexes and
// directories alone. Warnings name data that cannot be read.
func (p *SelectorPlan) Cost(ctx context.Context, v *storage.View, tenant uint32) (storage.TieredCost, []error, error) {
	var in storage.TierSlices
	for _, s := range p.Slices {
		in = append(in, storage.TierSlice{From: s.Min, Tier: s.tier})
	}
	return p.cost(ctx, v, tenant, p.Min, p.Max, in, p.read)
}

// Flaws returns the times in which samples of the selector are deleted or damaged.
func (p *SelectorPlan) Flaws(ctx context.Context, v *storage.View, tenant uint32) (storage.Flaws, error) {
	if p.Max < p.Min {
		return storage.Flaws{}, nil
	}
	return v.Flaws(ctx, tenant, model.Inclusive(p.Min, p.Max), p.matchers...)
}

// Changes returns a number that rises when late samples or deletions change what the
// selector reads.
func (p *SelectorPlan) Changes(c *storage.Changes) uint64 {
	if p.Max < p.Min {
		return 0
	}
	return c.Sum(model.Inclusive(p.Min, p.Max), model.MetricsOf(p.matchers))
}

// SliceCost is Cost for one slice. Chunks that lie in several slices count in each.
func (p *SelectorPlan) SliceCost(ctx context.Context, v *storage.View, tenant uint32, s *SlicePlan) (storage.TieredCost, []error, error) {
	read := p.read
	read.ReadsAll = nil // it is of all slices
	return p.cost(ctx, v, tenant, s.Min, s.Max, storage.OneTier(s.tier), read)
}

func (p *SelectorPlan) cost(ctx context.Context, v *storage.View, tenant uint32, first, last int64, in storage.TierSlices, read storage.TieredRead) (c storage.TieredCost, warnings []error, err error) {
	tr := model.TimeRange{Min: first, Max: model.AddTime(last, 1)}
	switch {
	case last < first:
		return c, nil, nil
	case slices.ContainsFunc(in, func(s storage.TierSlice) bool { return s.Tier != tiers.RawTier }):
		return v.ExplainTiered(ctx, tenant, tr, in, read, p.matchers...)
	}
	c.Raw, warnings, err = v.Explain(ctx, tenant, tr, p.matchers...)
	c.Series = c.Raw.Series
	return c, warnings, err
}

// PlanTiers returns the tiers that the selectors of the query would read from a view,
// in the order in which they are planned. It reads nothing. The resolution of the query
// counts.
//
// Dirty buckets are not known here: they and buckets that fail are read as samples
// whatever the plan says. The error is that of a query which reads expired samples in
// the place of which buckets cannot answer.
func (p *Query) PlanTiers(v *storage.View) ([]SelectorPlan, error) {
	view := source.TiersOf(v)
	if p.planErr != nil {
		return p.fallbackTiers(view.Tiers), nil
	}
	var plans []SelectorPlan
	for _, r := range p.tierReads {
		plan := p.planOf(r.selector, &r.read)
		view := view
		if v.HasRules() {
			view = source.TiersFor(v, plan.matchers)
		}
		choice, err := tiers.Choose(&r.read, p.resolution, &view)
		if err != nil {
			return nil, err
		}
		plan.read = operators.CostOf(&r.read, &choice, p.resolution)
		for _, s := range choice.Slices {
			slice := SlicePlan{Min: s.Times.Min, Max: s.Times.Max - 1, Tier: s.Tier.String(), Expired: s.Expired, MayFail: s.MayFail, tier: s.Tier}
			if choice.Check {
				slice.Tier = tiers.Raw.String()
			}
			for _, f := range s.Refused {
				slice.Refused = append(slice.Refused, RefusedTier{f.Tier.String(), string(f.Reason), f.Text})
			}
			plan.Slices = append(plan.Slices, slice)
		}
		if r.read.Modified { // it may also read the lookback before and after
			plan.Min, plan.Max = steps.ClampTime(plan.Min-p.settings.lookback), steps.ClampTime(plan.Max+p.settings.lookback)
			plan.Slices[0].Min, plan.Slices[len(plan.Slices)-1].Max = plan.Min, plan.Max
		}
		plans = append(plans, plan)
	}
	return plans, nil
}

func (p *Query) planOf(e parser.Expr, r *tiers.Read) SelectorPlan {
	tr := r.Range()
	plan := SelectorPlan{Selector: e.String(), Function: r.Function, Min: tr.Min, Max: tr.Max - 1}
	switch e := e.(type) {
	case *parser.MatrixSelector:
		plan.matchers = e.VectorSelector.(*parser.VectorSelector).LabelMatchers
	case *parser.VectorSelector:
		plan.matchers = e.LabelMatchers
	}
	return plan
}

// fallbackTiers is PlanTiers for a query on Prometheus' engine, which reads samples.
func (p *Query) fallbackTiers(available []tiers.Available) []SelectorPlan {
	reason, _ := operators.IsUncovered(p.planErr)
	var plans []SelectorPlan
	parser.Inspect(p.stmt.Expr, func(n parser.Node, path []parser.Node) error {
		vs, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		plan := SelectorPlan{Selector: vs.String(), matchers: vs.LabelMatchers}
		plan.Min, plan.Max = selectorTimes(vs, path, p.stmt)
		slice := SlicePlan{Min: plan.Min, Max: plan.Max, Tier: tiers.Raw.String()}
		for i := len(available) - 1; i >= 0; i-- {
			slice.Refused = append(slice.Refused, RefusedTier{
				Tier: available[i].Tier.String(), Reason: string(tiers.Engine),
				Text: "the query runs on Prometheus' engine, which reads samples (" + reason + ")",
			})
		}
		plan.Slices = []SlicePlan{slice}
		plans = append(plans, plan)
		return nil
	})
	return plans
}
