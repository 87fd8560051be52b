package query

import (
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/query/operators"
	"tsdb/query/source"
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
		plan := planOf(r.selector, &r.read)
		choice, err := tiers.Choose(&r.read, p.resolution, &view)
		if err != nil {
			return nil, err
		}
		plan.Tier, plan.MayFail = choice.Tier.String(), choice.MayFail
		for _, f := range choice.Refused {
			plan.Refused = append(plan.Refused, RefusedTier{f.Tier.String(), string(f.Reason), f.Text})
		}
		plans = append(plans, plan)
	}
	return plans, nil
}

func planOf(e parser.Expr, r *tiers.Read) SelectorPlan {
	tr := r.Range()
	return SelectorPlan{Selector: e.String(), Function: r.Function, Min: tr.Min, Max: tr.Max - 1, Tier: tiers.Raw.String()}
}

// fallbackTiers is PlanTiers for a query on Prometheus' engine, which reads samples.
func (p *Query) fallbackTiers(available []tiers.Available) []SelectorPlan {
	reason, _ := operators.IsUncovered(p.planErr)
	var plans []SelectorPlan
	parser.Inspect(p.stmt.Expr, func(n parser.Node, _ []parser.Node) error {
		vs, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		plan := SelectorPlan{Selector: vs.String(), Min: 0, Max: -1, Tier: tiers.Raw.String()}
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
