package query_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"

	"tsdb/query"
	"tsdb/query/querytest"
)

// exceeds runs a query that exceeds a limit and checks the error.
func exceeds(t *testing.T, e *query.Engine, s *querytest.Storage, expr string, limit query.Limit, says ...string) {
	t.Helper()
	q, err := e.NewRangeQuery(t.Context(), s, nil, expr, time.UnixMilli(600_000), time.UnixMilli(5_940_000), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	res := q.Exec(t.Context())
	var over *query.LimitError
	if !errors.As(res.Err, &over) || over.Limit != limit {
		t.Errorf("%.200s: got %v, want the limit %s", expr, res.Err, limit)
		return
	}
	for _, part := range says {
		if !strings.Contains(res.Err.Error(), part) {
			t.Errorf("%s: %q does not say %q", expr, res.Err, part)
		}
	}
}

// Whatever holds much of 500 series × 90 steps, 360 KB of numbers, is stopped;
// what folds them is not. In the end nothing is held.
func TestMemoryOfAQueryIsLimited(t *testing.T) {
	s := wide(t, 500)
	reg := prometheus.NewRegistry()
	e := query.New(query.Options{MaxBytes: 400_000, Parser: promqltest.TestParserOpts, Registerer: reg})
	for _, expr := range []string{
		"wide", "wide + wide", "wide or wide + 1", "rate(wide[5m])", "sum by (i) (wide)", "avg by (i) (wide)", "topk by (i) (1, wide)",
		"quantile by (i) (0.5, wide)", `count_values("v", wide)`, `label_replace(wide, "le", "$1", "i", "(.*)")`,
		`histogram_quantile(0.9, label_replace(wide, "le", "$1", "i", "(.*)"))`, "wide @ 1000", "max_over_time(wide[1h:1m])", "sort(wide)",
		"sum_over_time(sum(wide)[1000h:1s])", "count_over_time(vector(1)[100000h:1ms])",
	} {
		exceeds(t, e, s, expr, query.LimitBytes, "query would hold ", " in memory, more than the 391 KiB of --query.max-bytes")
	}
	for _, expr := range []string{"sum by (group) (rate(wide[5m]))", "max(abs(wide - 3))", "count(wide)", "topk(2, sum by (group) (wide))", "scalar(wide)"} {
		if res := answer(t, e, s, expr); res.Err != nil || isEmpty(res.Value) {
			t.Errorf("%s: %v", expr, res.Err)
		}
	}
	if got := e.MemoryBytes(); got == 0 {
		t.Error("answers that are not closed hold nothing")
	}
}

// A query holds what its answer takes until it is closed, and then nothing.
func TestMemoryComesBack(t *testing.T) {
	s := wide(t, 200)
	e := query.New(query.Options{MaxBytes: 10 << 20, TotalBytes: 100 << 20, Parser: promqltest.TestParserOpts})
	for _, expr := range []string{
		"wide", "wide + on (i) wide", "wide and wide", "sum(wide)", "avg by (group) (wide)", "stddev(wide)", "topk(3, wide)", "quantile(0.5, wide)",
		`count_values("v", wide)`, `histogram_quantile(0.9, label_replace(wide, "le", "$1", "i", "(.*)"))`, "wide @ 1000", "max_over_time(wide[1h:1m])",
		"scalar(wide)", "vector(1)", "absent(wide)", "info(wide)", "1", `"text"`,
	} {
		for _, instant := range []bool{true, false} {
			var q promql.Query
			var err error
			if instant {
				q, err = e.NewInstantQuery(t.Context(), s, nil, expr, time.UnixMilli(3_000_000))
			} else {
				q, err = e.NewRangeQuery(t.Context(), s, nil, expr, time.UnixMilli(600_000), time.UnixMilli(5_940_000), time.Minute)
			}
			if err != nil {
				continue // no range query of a text
			}
			res := q.Exec(t.Context())
			if res.Err != nil {
				t.Errorf("%s: %v", expr, res.Err)
			}
			if m, ok := res.Value.(promql.Matrix); ok && m.TotalSamples() > 1000 && e.MemoryBytes() < int64(16*m.TotalSamples()) {
				t.Errorf("%s: %d bytes held for %d points", expr, e.MemoryBytes(), m.TotalSamples())
			}
			if got := e.MemoryBytes(); got > 2<<20 {
				t.Errorf("%s: the answer holds %d bytes", expr, got)
			}
			q.Close()
			if got := e.MemoryBytes(); got != 0 {
				t.Errorf("%s: %d bytes held after the end", expr, got)
			}
		}
	}
}

func TestSeriesAndSamplesOfAQueryAreLimited(t *testing.T) {
	s := wide(t, 500)
	e := query.New(query.Options{MaxSeries: 700, MaxRead: 60_000, Parser: promqltest.TestParserOpts})
	exceeds(t, e, s, "sum(wide) + sum(wide)", query.LimitSeries, "query selects 1000 series, more than the 700 of --query.max-series")
	exceeds(t, e, s, "info(sum(wide) + sum(wide))", query.LimitSeries, "selects 1000 series") // on Prometheus' engine
	if res := answer(t, e, s, "sum(wide)"); res.Err != nil {
		t.Error(res.Err)
	}
	e = query.New(query.Options{MaxRead: 60_000})
	exceeds(t, e, s, "sum(wide) + sum(wide)", query.LimitSamplesRead, " samples, more than the 60000 of --query.max-samples-read")
	if res := answer(t, e, s, "sum(wide)"); res.Err != nil {
		t.Error(res.Err)
	}
}

// The error of too many samples is Prometheus', and says how many as well.
func TestTooManySamplesSayHowMany(t *testing.T) {
	s := wide(t, 100)
	res := answer(t, query.New(query.Options{MaxSamples: 2000}), s, "wide")
	if res.Err == nil || !strings.HasPrefix(res.Err.Error(), "query processing would load too many samples into memory in query execution: 20") ||
		!strings.HasSuffix(res.Err.Error(), ", more than the 2000 of --query.max-samples") {
		t.Errorf("got %v", res.Err)
	}
}

// What other queries hold is missing for a big one, not for a small one.
func TestMemoryOfAllQueriesIsLimited(t *testing.T) {
	s := wide(t, 500)
	e := query.New(query.Options{TotalBytes: 2 << 20})
	var open []promql.Query
	defer func() {
		for _, q := range open {
			q.Close()
		}
	}()
	for len(open) < 10 {
		q, err := e.NewRangeQuery(t.Context(), s, nil, "wide", time.UnixMilli(600_000), time.UnixMilli(5_940_000), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, q)
		res := q.Exec(t.Context())
		if res.Err == nil {
			continue
		}
		var over *query.LimitError
		if !errors.As(res.Err, &over) || over.Limit != query.LimitTotalBytes || !errors.Is(res.Err, query.ErrOverloaded) {
			t.Errorf("got %v", res.Err)
		}
		if len(open) < 2 {
			t.Errorf("answer %d of 0.8 MB exceeds 2 MB: %v", len(open), res.Err)
		}
		q.Close()
		if res := answer(t, e, s, "count(wide)"); res.Err != nil {
			t.Errorf("a small query: %v", res.Err)
		}
		return
	}
	t.Error("10 answers of 0.8 MB were held at a time")
}
