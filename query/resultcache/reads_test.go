package resultcache_test

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"

	"tsdb/query"
	"tsdb/query/querytest"
	"tsdb/query/resultcache"
)

// What the cache believes that an expression reads is what Prometheus believes.
func TestReadsOfExpressions(t *testing.T) {
	p := parser.NewParser(promqltest.TestParserOpts)
	g := querytest.NewGenerator(7)
	kept := 0
	const n = 5000
	for range n {
		text := g.Expr()
		const at = 9_000_000
		first, last, ok, err := resultcache.ReadSpan(text, at, query.DefaultLookback)
		if err != nil || !ok {
			continue
		}
		kept++
		expr, err := p.ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		if expr, err = promql.PreprocessExpr(expr, time.UnixMilli(at), time.UnixMilli(at), time.Minute); err != nil {
			t.Fatal(err)
		}
		stmt := &parser.EvalStmt{Expr: expr, Start: time.UnixMilli(at), End: time.UnixMilli(at), LookbackDelta: query.DefaultLookback}
		if wantFirst, wantLast := promql.FindMinMaxTime(stmt); first != wantFirst || last != wantLast {
			t.Errorf("%s at %d: reads %d to %d, want %d to %d", text, at, first, last, wantFirst, wantLast)
		}
	}
	t.Logf("%d of %d answers are kept", kept, n)
	if kept < n/2 {
		t.Errorf("only %d of %d answers are kept", kept, n)
	}
}

// Which answers are kept.
func TestAnswersThatCanBePutTogether(t *testing.T) {
	f := func(text string, want bool) {
		t.Helper()
		if _, _, ok, err := resultcache.ReadSpan(text, 1000, query.DefaultLookback); err != nil || ok != want {
			t.Errorf("%s: kept %v, %v", text, ok, err)
		}
	}
	f("up", true)
	f("sum by (job) (rate(x_total[5m] offset -1m))", true)
	f("x @ 100 + x", true)
	f("max_over_time(sum(rate(x[5m]))[1h:1m] offset 1h)", true)
	f("topk(3, x)", true)
	f("time() - x", true)
	f("x @ start()", false)
	f("x @ end()", false)
	f("sum_over_time(x[5m] @ end())", false)
	f("avg_over_time((x)[5m:1m] @ start())", false)
	f("rate(x[step()])", false)
	f("rate(x[5m] offset (range()))", false)
	f("topk(scalar(x), x)", false)
	f("limit_ratio(scalar(x), x)", false)
	f("quantile(scalar(x), x)", true)
	f("sort(x)", false)
	f("sum(sort_desc(x))", false)
	// Two series may become one: of those in the storage, that is seen.
	f(`rate({job="a"}[5m])`, true)
	f(`rate({__name__=~"a|b"}[5m])`, true)
	f(`max_over_time(rate({__name__=~"a|b"}[5m])[5m:])`, false)
	f(`last_over_time({__name__=~"a|b"}[5m])`, true)
	f(`absent_over_time({__name__=~"a|b"}[5m])`, true)
	f("rate((a or b)[5m:])", false)
	f(`rate(label_replace(a, "__name__", "$1", "x", "(.*)")[5m:])`, false)
	f(`max_over_time(sum by (__name__) ({job="a"})[5m:])`, false)
	f(`max_over_time(sum by (job) ({job="a"})[5m:])`, true)
	f("max_over_time((a > fill(0) b)[5m:])", false)
	f("max_over_time((a > b)[5m:])", true)
	// The order of series is not that of a part.
	f("sum(sum by (x) (a))", false)
	f("sum(sum(a))", true)
	f("max(count_values(\"v\", a))", false)
	f("limitk(2, sum by (x) (a))", false)
	f("topk(2, sum by (x) (a))", true) // unless some are equal
	f("count(sum by (x) (a))", true)
	f("avg(topk(2, a))", false)
	f("sum(a or b)", false)
	f("sum(a and on(x) b)", true)
	f("sum(a * b)", true)
	f("sum(a * on(x) b)", false)
	f("sum by (x) (a * on(y) group_left(x) b)", true)
	f("sum(histogram_quantile(0.9, a))", false)
	f("histogram_quantile(0.9, sum by (le) (rate(a[5m])))", true)
	f("sum by (x) (a) / sum by (x) (b)", true)
	f("sum(label_replace(a, \"x\", \"y\", \"z\", \".*\"))", false)
	f("sum(abs({x=\"y\"}))", false)
	f("sum(max_over_time(sum by (x) (a)[5m:]))", false)
}
