package query

import (
	"time"

	"github.com/prometheus/prometheus/promql"
)

// SettleCache waits until what was offered to the cache is in it, or not.
func (e *Engine) SettleCache() { e.answers.items.Wait() }

// ReadSpan returns the first and the last time that an expression reads when it
// is evaluated at a time, as the cache has it, and whether its answers are kept.
func (e *Engine) ReadSpan(text string, at int64) (first, last int64, ok bool, err error) {
	expr, err := e.parser.ParseExpr(text)
	if err != nil {
		return 0, 0, false, err
	}
	t := time.UnixMilli(at)
	if expr, err = promql.PreprocessExpr(expr, t, t, time.Minute); err != nil {
		return 0, 0, false, err
	}
	r := readsOf(expr, e.lookback.Milliseconds())
	for i := range r.reads {
		tr := r.reads[i].span(grid{start: at, step: 1, n: 1})
		if i == 0 {
			first, last = tr.Min, tr.Max-1
		}
		first, last = min(first, tr.Min), max(last, tr.Max-1)
	}
	return first, last, r.ok, nil
}
