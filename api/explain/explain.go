// Package explain estimates the cost of the selectors of a PromQL expression from
// indexes and directories alone, without reading samples. Both HTTP and gRPC
// expose it.
package explain

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/internal/model"
	"tsdb/storage"
)

// Selector is the cost of one selector of an expression. Start and End are the
// range of the samples it needs, both inclusive, in Unix milliseconds.
type Selector struct {
	Selector string
	Start    int64
	End      int64
	storage.Cost
}

// Query returns the cost of the selectors of expr, in the order of the text, if
// expr were evaluated from start to end, in Unix milliseconds. The warnings name
// unreadable blocks.
func Query(ctx context.Context, v *storage.View, tenant uint32, expr parser.Expr, start, end, lookbackMs int64) (all []Selector, warnings []error, err error) {
	if expr, err = evalDurations(expr, start, end); err != nil {
		return nil, nil, err
	}
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		vs, ok := n.(*parser.VectorSelector)
		if !ok || err != nil {
			return nil
		}
		s := Selector{Selector: vs.String()}
		s.Start, s.End = times(vs, path, start, end, lookbackMs)
		var warned []error
		s.Cost, warned, err = v.Explain(ctx, tenant, halfOpen(s.Start, s.End), vs.LabelMatchers...)
		warnings = append(warnings, warned...)
		all = append(all, s)
		return nil
	})
	return all, warnings, err
}

// evalDurations returns the expression with its duration expressions replaced by
// their values.
func evalDurations(expr parser.Expr, start, end int64) (parser.Expr, error) {
	any := false
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			any = any || n.OriginalOffsetExpr != nil
		case *parser.MatrixSelector:
			any = any || n.RangeExpr != nil
		case *parser.SubqueryExpr:
			any = any || n.RangeExpr != nil || n.StepExpr != nil || n.OriginalOffsetExpr != nil
		}
		return nil
	})
	if !any {
		return expr, nil
	}
	return promql.PreprocessExpr(expr, time.UnixMilli(start), time.UnixMilli(end), 0)
}

// times returns the first and last time of the samples that a selector needs.
// path holds its ancestors, the root first.
func times(vs *parser.VectorSelector, path []parser.Node, start, end, lookbackMs int64) (first, last int64) {
	first, last = start, end
	reach := lookbackMs
	for _, n := range path {
		switch n := n.(type) {
		case *parser.SubqueryExpr:
			if at, ok := fixed(n.Timestamp, n.StartOrEnd, start, end); ok {
				first, last = at, at
			}
			first = add(first, -n.OriginalOffset.Milliseconds()-n.Range.Milliseconds())
			last = add(last, -n.OriginalOffset.Milliseconds())
		case *parser.MatrixSelector:
			reach = n.Range.Milliseconds()
		}
	}
	if at, ok := fixed(vs.Timestamp, vs.StartOrEnd, start, end); ok {
		first, last = at, at
	}
	offset := vs.OriginalOffset.Milliseconds()
	// Windows are open on the left.
	return add(first, -offset-reach+1), add(last, -offset)
}

// fixed returns the time of an @ modifier, if there is one.
func fixed(at *int64, preset parser.ItemType, start, end int64) (int64, bool) {
	switch {
	case at != nil:
		return *at, true
	case preset == parser.START:
		return start, true
	case preset == parser.END:
		return end, true
	}
	return 0, false
}

// add returns t + d, saturated at the bounds of int64.
func add(t, d int64) int64 {
	switch sum := t + d; {
	case d < 0 && sum > t:
		return math.MinInt64
	case d > 0 && sum < t:
		return math.MaxInt64
	default:
		return sum
	}
}

func halfOpen(first, last int64) model.TimeRange {
	return model.TimeRange{Min: first, Max: add(last, 1)}
}
