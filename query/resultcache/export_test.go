package resultcache

import (
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"

	"tsdb/query/steps"
)

// ReadSpan returns the first and the last time that an expression reads when it
// is evaluated at a time, and whether its answers are kept.
func ReadSpan(text string, at int64, lookback time.Duration) (first, last int64, ok bool, err error) {
	expr, err := parser.NewParser(promqltest.TestParserOpts).ParseExpr(text)
	if err != nil {
		return 0, 0, false, err
	}
	t := time.UnixMilli(at)
	if expr, err = promql.PreprocessExpr(expr, t, t, time.Minute); err != nil {
		return 0, 0, false, err
	}
	r := analyze(expr, lookback.Milliseconds())
	for i := range r.reads {
		tr := r.reads[i].span(steps.Grid{Start: at, Step: 1, N: 1})
		if i == 0 {
			first, last = tr.Min, tr.Max-1
		}
		first, last = min(first, tr.Min), max(last, tr.Max-1)
	}
	return first, last, r.ok, nil
}
