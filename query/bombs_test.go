package query_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/query"
	"tsdb/query/querytest"
)

// The number of series of the bombs, and the length of their label in bytes.
const (
	bombSeries = 400
	bombLabel  = 4 << 10
	bombBytes  = bombSeries * bombLabel
)

// bombs returns series of every kind with long labels: bomb and twin are gauges,
// bomb_bucket buckets of classic histograms, bad_bucket such with a bad le, native
// native histograms, same has short labels.
func bombs(t testing.TB) *querytest.Storage {
	t.Helper()
	s := querytest.New(t, false)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	app := s.AppenderV2(t.Context())
	put := func(v float64, h *histogram.FloatHistogram, of ...string) {
		for _, at := range []int64{540_000, 600_000} {
			if _, err := app.Append(0, labels.FromStrings(of...), 0, at, v, nil, h, promstorage.AOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	h := &histogram.FloatHistogram{Count: 5, Sum: 7, PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []float64{2, 3}}
	for i := range bombSeries {
		long := fmt.Sprintf("%0*d", bombLabel, i)
		put(float64(i), nil, "__name__", "bomb", "long", long)
		put(float64(i), nil, "__name__", "twin", "long", long)
		put(float64(i), nil, "__name__", "bomb_bucket", "long", long, "le", "+Inf")
		put(float64(i), nil, "__name__", "bad_bucket", "le", "x"+long)
		put(float64(i)+0.5, h, "__name__", "native", "long", long)
		put(float64(i), nil, "__name__", "short", "i", fmt.Sprint(i))
	}
	put(1, nil, "__name__", "target_info", "job", "a")
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	return s
}

// explode evaluates an expression at one time, or at two, with a limit of memory.
func explode(t *testing.T, s *querytest.Storage, o query.Options, expr string, instant bool) *promql.Result {
	t.Helper()
	o.Parser = promqltest.TestParserOpts
	e := query.New(o)
	var q promql.Query
	var err error
	if instant {
		q, err = e.NewInstantQuery(t.Context(), s, nil, expr, time.UnixMilli(600_000))
	} else {
		q, err = e.NewRangeQuery(t.Context(), s, nil, expr, time.UnixMilli(540_000), time.UnixMilli(600_000), time.Minute)
	}
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	res := q.Exec(t.Context())
	q.Close()
	if n := e.MemoryBytes(); n != 0 {
		t.Errorf("%s: %d bytes held after the end", expr, n)
	}
	return res
}

// Each function and operator that keeps labels is charged for them: how many
// copies of all label sets it holds at least. One is that of the selected series.
func TestCopiesOfLabelsAreCharged(t *testing.T) {
	s := bombs(t)
	for i, c := range []struct {
		expr   string
		copies float64
	}{
		{"count(bomb)", 1},
		{"bomb", 2}, // in the answer
		{"sum by (long) (bomb)", 3},
		{"avg without (x) (bomb)", 3},
		{"group by (long) (bomb)", 3},
		{"stddev by (long) (bomb)", 3},
		{"quantile by (long) (0.5, bomb)", 4},
		{"topk by (long) (1, bomb)", 4},
		{"bottomk(1, bomb)", 2},
		{"limitk(1, bomb)", 2},
		{"limit_ratio(0.001, bomb)", 2},
		{`count_values by (long) ("v", bomb)`, 3},
		{`count_values("v", native)`, 1},
		{"bomb + on (long) twin", 5},
		{"bomb + ignoring (x) group_left twin", 5},
		{"bomb and on (long) twin", 4},
		{"bomb or twin", 5},
		{"bomb unless on (long) twin", 4},
		{"bomb > bool on (long) twin", 5},
		{`label_replace(bomb, "x", "$1", "long", "(.*)")`, 4},
		{`label_join(bomb, "x", ",", "long")`, 4},
		{`count(label_join(bomb, "x", ",", "long", "long"))`, 4},
		{"sort(bomb)", 2},
		{`sort_by_label(bomb, "long")`, 2},
		{"histogram_quantile(0.9, bomb_bucket)", 4},
		{"histogram_quantile(0.9, native)", 3},
		{"histogram_fraction(0, 1, native)", 3},
		{`histogram_quantiles(native, "q", 0.5, 0.9)`, 4},
		{"abs(bomb)", 2},
		{"-bomb", 2},
		{"bomb * 2", 2},
		{"clamp(bomb, 0, 1)", 2},
		{"round(bomb)", 2},
		{"timestamp(bomb)", 2},
		{"day_of_week(bomb)", 2},
		{"histogram_count(native)", 2},
		{"rate(bomb[5m])", 2},
		{"last_over_time(bomb[5m])", 2},
		{"max_over_time(bomb[5m:1m])", 2},
		{"bomb @ 600", 2},
		{"bomb[5m]", 2},
	} {
		if testing.Short() && i%4 != 0 {
			continue
		}
		for _, instant := range []bool{true, false} {
			if !instant && strings.HasSuffix(c.expr, "]") {
				continue
			}
			// A little less than the memory to be charged is too little, much more is enough.
			res := explode(t, s, query.Options{MaxBytes: int64(c.copies*bombBytes) - 1}, c.expr, instant)
			var over *query.LimitError
			if !errors.As(res.Err, &over) || over.Limit != query.LimitBytes {
				t.Errorf("%s, instant %v: with less than %v copies: %v", c.expr, instant, c.copies, res.Err)
			}
			if res := explode(t, s, query.Options{MaxBytes: 12 * bombBytes}, c.expr, instant); res.Err != nil {
				t.Errorf("%s, instant %v: %v", c.expr, instant, res.Err)
			}
		}
	}
}

// Under a small limit of memory no bomb allocates much more than it allows.
func TestBombsStayFlat(t *testing.T) {
	s := bombs(t)
	double := func(of string) string {
		for range 40 {
			of = `label_replace(` + of + `, "i", "$1$1", "i", "(.*)")`
		}
		return of
	}
	wideJoin := func(of string) string {
		return `label_join(` + of + `, "x", ","` + strings.Repeat(`, "long"`, 20_000) + `)`
	}
	many := func(label string) string {
		return `label_replace(bomb, "x", "` + strings.Repeat("y", 8<<10) + `", "long", ".*")`
	}
	for name, c := range map[string]struct {
		expr  string
		limit query.Limit
		says  string
	}{
		"join":          {"count(" + wideJoin("bomb") + ")", query.LimitLabelValue, "--limit.label-value"},
		"double":        {"count(" + double(`short{i="7"}`) + ")", query.LimitLabelValue, "--limit.label-value"},
		"count_values":  {`count_values by (long) ("v", native)`, query.LimitBytes, "--query.max-bytes"},
		"replace":       {"sort(" + many("x") + ")", query.LimitBytes, "--query.max-bytes"},
		"chain of or":   {"bomb" + strings.Repeat(" or twin", 50), query.LimitBytes, "--query.max-bytes"},
		"chain of sums": {"bomb" + strings.Repeat(" + on (long) twin", 50), query.LimitBytes, "--query.max-bytes"},
		"group":         {"sum by (long) (bomb) + on (long) sum by (long) (twin)", query.LimitBytes, "--query.max-bytes"},
		"topk":          {"topk(1e9, bomb)", query.LimitBytes, "--query.max-bytes"},
		"quantiles":     {`histogram_quantiles(native, "q"` + strings.Repeat(", 0.5", 9) + `)`, "", "same labelset"},
		"buckets":       {"histogram_quantile(0.9, bomb_bucket)", query.LimitBytes, "--query.max-bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			res := explode(t, s, query.Options{MaxBytes: 2*bombBytes + bombBytes/2}, c.expr, true)
			runtime.ReadMemStats(&after)
			var over *query.LimitError
			if res.Err == nil || !strings.Contains(res.Err.Error(), c.says) || errors.As(res.Err, &over) && over.Limit != c.limit {
				t.Errorf("got %v, want the limit %q", res.Err, c.limit)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 30*bombBytes {
				t.Errorf("%d MB allocated", n>>20)
			}
		})
	}
}

// A warning a series is no bomb either: some are kept, and it is said that there
// are more.
func TestAnnotationsAreBounded(t *testing.T) {
	s := bombs(t)
	res := explode(t, s, query.Options{}, "histogram_quantile(0.9, bad_bucket)", true)
	warnings, _ := res.Warnings.AsStrings("", 0, 0)
	if len(warnings) < 200 || len(warnings) >= bombSeries {
		t.Errorf("%d warnings of %d series, %v", len(warnings), bombSeries, res.Err)
	}
	if !strings.Contains(strings.Join(warnings, "\n"), "more warnings than are kept") {
		t.Error("nothing says that there are more")
	}
}

// Errors quote the beginning of long texts.
func TestErrorTextsAreClipped(t *testing.T) {
	s := bombs(t)
	res := explode(t, s, query.Options{}, `bomb + ignoring (long) twin`, true)
	if res.Err == nil || len(res.Err.Error()) > 4<<10 || !strings.Contains(res.Err.Error(), "duplicate series") {
		t.Errorf("%.200v", res.Err)
	}
	p := query.New(query.Options{}).Parser()
	for _, text := range []string{strings.Repeat("a", 1<<19) + ` b`, `up{a="` + strings.Repeat("b", 1<<19) + `" "c"}`, "sum(" + strings.Repeat("x", 1<<19) + "[5m])"} {
		if _, err := p.ParseExpr(text); err == nil || len(err.Error()) > 5<<10 {
			t.Errorf("%.30s…: %d bytes", text, len(fmt.Sprint(err)))
		}
		if _, err := p.ParseMetricSelector(text); err == nil || len(err.Error()) > 5<<10 {
			t.Errorf("%.30s… as a selector: %d bytes", text, len(fmt.Sprint(err)))
		}
	}
}

// What our own engine does not cover runs on Prometheus', which neither bounds nor
// charges the labels that it makes: they are judged before.
func TestLabelBombsOnPrometheusEngine(t *testing.T) {
	s := bombs(t)
	double := func(of string) string {
		for range 40 {
			of = `label_replace(` + of + `, "i", "$1$1", "i", "(.*)")`
		}
		return of
	}
	join := func(of, label string, n int) string {
		return `label_join(` + of + `, "x", ","` + strings.Repeat(`, "`+label+`"`, n) + `)`
	}
	for expr, limit := range map[string]query.Limit{
		"info(" + double("short") + ")":                                                     query.LimitLabelValue,
		double("info(short)"):                                                               query.LimitLabelValue,
		"count(info(" + join("bomb", "long", 20_000) + "))":                                 query.LimitLabelValue,
		"info(short) + on (i) " + double(`label_join(short, "i", ",", "i")`):                query.LimitLabelValue,
		`info(label_replace(short, "x", "` + strings.Repeat("y", 17<<10) + `", "i", ".*"))`: query.LimitLabelValue,
		"info(" + join("bomb", "long", 3) + ")":                                             query.LimitBytes,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		res := explode(t, s, query.Options{MaxBytes: 4 * bombBytes}, expr, true)
		runtime.ReadMemStats(&after)
		var over *query.LimitError
		if !errors.As(res.Err, &over) || over.Limit != limit {
			t.Errorf("%.100s: got %v, want the limit %s", expr, res.Err, limit)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 30*bombBytes {
			t.Errorf("%.100s: %d MB allocated", expr, n>>20)
		}
	}
	// Chains that lead to no long label are answered, however long they are.
	chain := "short"
	for i := range 30 {
		chain = fmt.Sprintf(`label_replace(label_join(%s, "j%d", "-", "i", "__name__"), "k", "$1", "j%d", "(.*)")`, chain, i, i)
	}
	if res := explode(t, s, query.Options{MaxBytes: 64 << 20}, "info("+chain+")", true); res.Err != nil {
		t.Error(res.Err)
	}
	// So are queries that move to Prometheus' engine half-way.
	sparse := `label_replace(count_values("v", wide), "v", "` + strings.Repeat("$1", 5000) + `", "v", "(.*)")`
	if res := answer(t, query.New(query.Options{MaxSamples: 20_000}), wide(t, 50), sparse); !isLimit(res.Err, query.LimitLabelValue) {
		t.Errorf("half-way: %v", res.Err)
	}
}

func isLimit(err error, limit query.Limit) bool {
	var over *query.LimitError
	return errors.As(err, &over) && over.Limit == limit
}
