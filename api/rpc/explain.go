package rpc

import (
	"context"

	"tsdb/api/explain"
	"tsdb/internal/model"
	tsdbv1 "tsdb/proto/tsdb/v1"
)

// Explain returns the cost of a query without reading samples.
func (s *Service) Explain(ctx context.Context, r *tsdbv1.ExplainRequest) (*tsdbv1.ExplainResponse, error) {
	expr, err := s.opts.Engine.Parser().ParseExpr(r.Query)
	if err != nil {
		return nil, invalid(err)
	}
	now := s.opts.Clock.Now().UnixMilli()
	start, end := orElse(r.StartMs, now), orElse(r.EndMs, now)
	view, release, err := s.view(ctx)
	if err != nil {
		return nil, statusOf(err, false)
	}
	defer release()
	charge := s.opts.Engine.Charge()
	defer charge.Close()
	charge.View(view)
	selectors, warnings, err := explain.Query(ctx, view, model.DefaultTenant, expr, start, end, s.opts.Lookback.Milliseconds())
	if err != nil {
		return nil, statusOf(err, false)
	}
	answer := &tsdbv1.ExplainResponse{}
	for _, x := range selectors {
		answer.Selectors = append(answer.Selectors, &tsdbv1.SelectorCost{
			Selector: x.Selector, StartMs: x.Start, EndMs: x.End,
			Series: x.Series, Blocks: x.Blocks, Chunks: x.Chunks, Samples: x.Samples, Bytes: x.Bytes,
		})
	}
	for _, w := range warnings[:min(len(warnings), maxAnnotations)] {
		answer.Warnings = append(answer.Warnings, w.Error())
	}
	answer.Warnings = valid(answer.Warnings)
	return answer, nil
}
