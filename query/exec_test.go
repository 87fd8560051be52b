package query_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/query"
	"tsdb/query/querytest"
)

// wide returns a database with n series of 100 samples, one a minute, whose
// sums round differently in every order.
func wide(t testing.TB, n int) *querytest.Storage {
	t.Helper()
	s := querytest.New(t, false)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	app := s.AppenderV2(t.Context())
	for i := range n {
		ls := labels.FromStrings("__name__", "wide", "i", fmt.Sprint(i), "group", fmt.Sprint(i%3))
		for k := range int64(100) {
			if _, err := app.Append(0, ls, 0, k*60_000, 1/float64(1+(i*31+int(k)*17)%997)*float64(i%5-2)*1e9, nil, nil, promstorage.AOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	return s
}

func answer(t *testing.T, e *query.Engine, s *querytest.Storage, expr string) *promql.Result {
	t.Helper()
	q, err := e.NewRangeQuery(t.Context(), s, nil, expr, time.UnixMilli(600_000), time.UnixMilli(5_940_000), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return q.Exec(t.Context())
}

// However many workers there are, sums are added up in the same order.
func TestAnswersDoNotDependOnTheNumberOfWorkers(t *testing.T) {
	s := wide(t, 500)
	for _, expr := range []string{
		"sum(wide)", "avg by (group) (rate(wide[5m]))", "stddev without (i) (wide)", "topk(3, wide)", "wide > 0",
		"sum(label_replace(wide, \"x\", \"$1\", \"i\", \"(.).*\")) by (x)",
	} {
		var want *promql.Result
		for _, workers := range []int{1, 2, 7, 16} {
			e := query.New(query.Options{Cores: workers})
			for range 3 {
				got := answer(t, e, s, expr)
				if want == nil {
					want = got
				}
				if why := differs(question{text: expr}, got, want, 0); why != "" {
					t.Errorf("%s, %d workers: %s", expr, workers, why)
				}
			}
		}
		if isEmpty(want.Value) {
			t.Errorf("%s: no answer", expr)
		}
	}
}

// What is folded does not count as held: only what a query keeps is limited.
func TestFoldsHoldGroupsNotSeries(t *testing.T) {
	s := wide(t, 500) // 50,000 samples, 45,000 points over the range
	reg := prometheus.NewRegistry()
	e := query.New(query.Options{MaxSamples: 2000, Registerer: reg})
	for _, expr := range []string{"sum by (group) (rate(wide[5m]))", "max(abs(wide - 3))", "count(wide)", "topk(2, sum by (group) (wide))", "scalar(wide)"} {
		if res := answer(t, e, s, expr); res.Err != nil || isEmpty(res.Value) {
			t.Errorf("%s: %v", expr, res.Err)
		}
	}
	for _, expr := range []string{"wide", "wide + on(i) wide", "sum by (i) (wide)", "max_over_time(wide[1h])", `label_join(wide, "x", "", "i")`} {
		res := answer(t, e, s, expr)
		if _, ok := res.Err.(promql.ErrTooManySamples); !ok {
			t.Errorf("%s: got %v", expr, res.Err)
		}
	}
	if f := fallbacks(t, reg); len(f) != 0 {
		t.Errorf("queries fell back: %v", f)
	}
}

// A table of columns with hardly a value would take more memory than Prometheus
// needs for the points: such queries are left to its engine.
func TestSparseAnswersAreLeftToPrometheus(t *testing.T) {
	s := wide(t, 50)
	reg := prometheus.NewRegistry()
	e := query.New(query.Options{MaxSamples: 20_000, Registerer: reg})
	expr := `count_values("v", wide)` // 4,500 values, most of them once in 90 steps
	if res := answer(t, e, s, expr); res.Err != nil || isEmpty(res.Value) {
		t.Errorf("got %v", res)
	}
	if f := fallbacks(t, reg); f["sparse"] != 1 {
		t.Errorf("counted %v", f)
	}
}

// Experimental functions run on Prometheus' engine, and are counted.
func TestFallbacksAreCounted(t *testing.T) {
	s := wide(t, 5)
	reg := prometheus.NewRegistry()
	opts := query.Options{Registerer: reg}
	opts.Parser.EnableExperimentalFunctions = true
	e := query.New(opts)
	if res := answer(t, e, s, "info(wide)"); res.Err != nil || isEmpty(res.Value) {
		t.Errorf("got %v", res)
	}
	if f := fallbacks(t, reg); f["info"] != 1 || len(f) != 1 {
		t.Errorf("counted %v", f)
	}
}
