package query

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/internal/model"
	"tsdb/query/operators"
	"tsdb/query/source"
	"tsdb/query/steps"
	"tsdb/query/tiers"
	"tsdb/storage"
)

// SelectorPlan is the tier that a selector of a query reads, and why it reads no
// coarser one.
type SelectorPlan struct {
	Selector string // as in the query
	Function string // the function of its windows; "" = an instant selector
	Min, Max int64  // times of the samples that it reads, both inclusive, Unix milliseconds; Max < Min = none
	Tier     string // a name of ParseResolution other than "auto"
	Refused  []RefusedTier
	// MayFail is the number of borders of windows that cut a bucket close to its
	// end. Where that is more than the bucket can answer, it is read as samples.
	MayFail int

	tier     tiers.Tier
	matchers []*labels.Matcher
}

// Rollup reports whether the tier is one of buckets.
func (p *SelectorPlan) Rollup() bool { return p.tier != tiers.RawTier }

// Cost returns the cost of what the selector reads of a view, from indexes and
// directories alone. Warnings name data that cannot be read.
func (p *SelectorPlan) Cost(ctx context.Context, v *storage.View, tenant uint32) (c storage.TieredCost, warnings []error, err error) {
	if p.Max < p.Min {
		return c, nil, nil
	}
	tr := model.TimeRange{Min: p.Min, Max: model.AddTime(p.Max, 1)}
	if p.Rollup() {
		return v.ExplainTiered(ctx, tenant, tr, p.tier, p.matchers...)
	}
	c.Raw, warnings, err = v.Explain(ctx, tenant, tr, p.matchers...)
	c.Series = c.Raw.Series
	return c, warnings, err
}

// RefusedTier is a tier that a selector does not read.
type RefusedTier struct {
	Tier   string
	Reason string // one word: see tiers.Reason
	Text   string // for people
}

// PlanTiers returns the tiers that the selectors of the query would read from a view,
// in the order in which they are planned. It reads nothing. The resolution of the query
// counts.
//
// Dirty buckets are not known here: they, days without a rollup, and buckets that fail
// are read as samples whatever the plan says. The error is that of a query which reads
// expired samples in the place of which buckets cannot answer.
func (p *Query) PlanTiers(v *storage.View) ([]SelectorPlan, error) {
	view := source.TiersOf(v)
	if p.planErr != nil {
		return p.fallbackTiers(view.Tiers), nil
	}
	var plans []SelectorPlan
	for _, r := range p.tierReads {
		plan := p.planOf(r.selector, &r.read)
		choice, err := tiers.Choose(&r.read, p.resolution, &view)
		if err != nil {
			return nil, err
		}
		plan.tier = choice.Tier
		if plan.MayFail = choice.MayFail; !choice.Check {
			plan.Tier = choice.Tier.String()
		}
		for _, f := range choice.Refused {
			plan.Refused = append(plan.Refused, RefusedTier{f.Tier.String(), string(f.Reason), f.Text})
		}
		plans = append(plans, plan)
	}
	return plans, nil
}

func (p *Query) planOf(e parser.Expr, r *tiers.Read) SelectorPlan {
	tr := r.Range()
	plan := SelectorPlan{Selector: e.String(), Function: r.Function, Min: tr.Min, Max: tr.Max - 1, Tier: tiers.Raw.String()}
	switch e := e.(type) {
	case *parser.MatrixSelector:
		plan.matchers = e.VectorSelector.(*parser.VectorSelector).LabelMatchers
	case *parser.VectorSelector:
		plan.matchers = e.LabelMatchers
	}
	if r.Modified { // it may also read the lookback before and after
		plan.Min, plan.Max = steps.ClampTime(plan.Min-p.settings.lookback), steps.ClampTime(plan.Max+p.settings.lookback)
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
		plan := SelectorPlan{Selector: vs.String(), Tier: tiers.Raw.String(), matchers: vs.LabelMatchers}
		plan.Min, plan.Max = selectorTimes(vs, path, p.stmt)
		for i := len(available) - 1; i >= 0; i-- {
			plan.Refused = append(plan.Refused, RefusedTier{
				Tier: available[i].Tier.String(), Reason: string(tiers.Engine),
				Text: "the query runs on Prometheus' engine, which reads samples (" + reason + ")",
			})
		}
		plans = append(plans, plan)
		return nil
	})
	return plans
}
