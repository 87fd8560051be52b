package query

import (
	"context"
	"time"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// maxCountedNames bounds the metrics that are counted for a selector without a name.
const maxCountedNames = 10_000

// countNames counts the metrics that the selectors of the query ask for. A selector that
// names none, by a value or a list of values, is looked up in the index.
func (p *Query) countNames(ctx context.Context) {
	parser.Inspect(p.stmt.Expr, func(n parser.Node, path []parser.Node) error {
		s, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		for _, m := range s.LabelMatchers {
			if m.Name == prommodel.MetricNameLabel && m.Type == labels.MatchEqual && m.Value != "" {
				p.engine.countName(m.Value)
				return nil
			}
		}
		p.countMatching(ctx, s, path)
		return nil
	})
}

// countMatching counts the metrics that a selector matches in the times that it reads. An
// error costs the counts.
func (p *Query) countMatching(ctx context.Context, s *parser.VectorSelector, path []parser.Node) {
	window := p.stmt.LookbackDelta
	start, end := p.stmt.Start, p.stmt.End
	if s.Timestamp != nil {
		start = time.UnixMilli(*s.Timestamp)
		end = start
	}
	start, end = start.Add(-s.OriginalOffset), end.Add(-s.OriginalOffset)
	for _, n := range path {
		switch n := n.(type) {
		case *parser.MatrixSelector:
			window = n.Range
		case *parser.SubqueryExpr:
			start = start.Add(-n.Range - n.OriginalOffset)
		}
	}
	q, err := p.reads.Open(start.Add(-window).UnixMilli(), end.UnixMilli())
	if err != nil || q == nil {
		return
	}
	defer q.Close()
	names, _, err := q.LabelValues(ctx, prommodel.MetricNameLabel, nil, s.LabelMatchers...)
	if err != nil {
		return
	}
	for _, name := range names[:min(len(names), maxCountedNames)] {
		p.engine.countName(name)
	}
}
