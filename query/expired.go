package query

import (
	"fmt"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"tsdb/internal/model"
	"tsdb/query/tiers"
)

// warnExpired returns the warning of a query on Prometheus' engine, which reads no
// rollups, if it reads samples that have expired and that rollups hold. reason is why
// it runs there.
func (p *Query) warnExpired(reason string) error {
	if p.resolution == tiers.Raw {
		return nil
	}
	first, last := promql.FindMinMaxTime(p.stmt)
	q, err := p.reads.Open(first, last)
	if err != nil || q == nil {
		return err
	}
	view := q.Tiers()
	if q.HasRules() { // the selector whose samples expire first counts
		parser.Inspect(p.stmt.Expr, func(n parser.Node, _ []parser.Node) error {
			if vs, ok := n.(*parser.VectorSelector); ok {
				if of := q.TiersFor(vs.LabelMatchers); of.RawFloor > view.RawFloor {
					view = of
				}
			}
			return nil
		})
	}
	if err := q.Close(); err != nil {
		return err
	}
	at, expired := view.FirstExpired(model.Inclusive(first, last))
	if !expired {
		return nil
	}
	return fmt.Errorf("%w: raw samples up to %s have expired, and queries on Prometheus' engine read no rollups (%s)",
		annotations.PromQLWarning, model.FormatTime(view.ExpiredUntil(at)-1), reason)
}
