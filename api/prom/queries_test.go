package prom

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"tsdb/api/prom/promtest"
	"tsdb/api/querylog"
	"tsdb/internal/await"
	"tsdb/query"
)

func TestExplainShowsWhatSelectorsWouldRead(t *testing.T) {
	s := newServer(t, Options{})
	type cost struct{ Series, Blocks, Chunks, Samples, Bytes uint64 }
	type selector struct {
		Selector   string
		Start, End time.Time
		cost
	}
	ask := func(q string, more ...string) (all []selector, total cost) {
		t.Helper()
		var got struct {
			Selectors []selector
			Total     cost
		}
		s.get(t, "/explain", append([]string{"query", q}, more...)...).data(t, &got)
		return got.Selectors, got.Total
	}
	at := fmt.Sprint(promtest.End)
	when := func(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
	one := time.Millisecond
	// A sample at the left end of a window is not in it.
	for _, c := range []struct {
		query       string
		first, last time.Time
	}{
		{"edge", when(promtest.End - 300), when(promtest.End)},
		{"edge offset 10s", when(promtest.End - 310), when(promtest.End - 10)},
		{"rate(edge[1m])", when(promtest.End - 60), when(promtest.End)},
		{"rate(edge[1m] offset -10s)", when(promtest.End - 50), when(promtest.End + 10)},
		{"edge @ 100", when(-200), when(100)},
		{"edge @ start()", when(promtest.End - 300), when(promtest.End)},
		// The steps of a subquery are multiples of its step.
		{"max_over_time(rate(edge[1m])[10m:1m] offset 5s)", when(promtest.End - 60 - 600), when(promtest.End - 60)},
		{"max_over_time(rate(edge[1m] @ 500)[10m:1m])", when(440), when(500)},
		{"max_over_time(edge[10m:1m] @ 5000)", when(4440 - 300), when(4980)},
	} {
		got, _ := ask(c.query, "time", at)
		if len(got) != 1 || !got[0].Start.Equal(c.first.Add(one)) || !got[0].End.Equal(c.last) {
			t.Errorf("%s: %+v, want %v to %v", c.query, got, c.first, c.last)
		}
	}
	got, total := ask("sum(http_requests_total) / count(edge) + 1", "start", fmt.Sprint(promtest.Start), "end", at)
	if len(got) != 2 || got[0].Series != 6 || got[1].Series != 1 || total.Series != 7 || total.Samples < 7*200 || total.Samples > 7*241 || total.Bytes == 0 || total.Chunks != 0 {
		t.Errorf("in memory: %+v %+v", got, total)
	}
	if _, err := s.db.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	got, total = ask("sum(http_requests_total) / count(edge) + 1", "start", fmt.Sprint(promtest.Start), "end", at)
	if len(got) != 2 || total.Series != 7 || total.Samples < 7*230 || total.Chunks < 7 || total.Blocks < 2 {
		t.Errorf("in blocks: %+v %+v", got, total)
	}
	if got, total := ask("1"); len(got) != 0 || total != (cost{}) {
		t.Errorf("no selector: %+v %+v", got, total)
	}
	s.get(t, "/explain", "query", "up{").want(t, 400, "bad_data", "parse error")
	s.get(t, "/explain", "query", "up", "start", "2", "end", "1").want(t, 400, "bad_data", "before start")
	s.get(t, "/explain", "query", "up", "time", "x").want(t, 400, "bad_data", "time")
	s.get(t, "/explain", "query", "up", "start", "1", "end", "2", "step", "0").want(t, 400, "bad_data", "zero or negative")
	s.get(t, "/explain", "query", "up", "start", "1", "end", "1e6", "step", "1").want(t, 400, "bad_data", "11,000 points")
	s.get(t, "/explain", "query", "up", "resolution", "2h").want(t, 400, "bad_data", "unknown resolution")
}

func TestUnknownResolutionsAreRefused(t *testing.T) {
	s := newServer(t, Options{Rollups: []string{"1m", "1h"}})
	for _, path := range []string{"/query", "/query_range", "/explain"} {
		ask := func(resolution string) reply {
			return s.get(t, path, "query", "edge", "start", fmt.Sprint(promtest.Start), "end", fmt.Sprint(promtest.End), "step", "60", "resolution", resolution)
		}
		for _, ok := range []string{"", "auto", "raw", "1m", "1h"} {
			if r := ask(ok); r.status != 200 {
				t.Errorf("%s of %q: %d %s", path, ok, r.status, r.body)
			}
		}
		ask("5m").want(t, 400, "bad_data", `invalid parameter "resolution": unknown resolution "5m", want one of auto, raw, 1m, 1h`)
	}
	form := url.Values{"query": {"edge"}, "resolution": {"day"}}
	r, err := http.NewRequest(http.MethodPost, s.URL+"/api/v1/query", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	s.do(t, r).want(t, 400, "bad_data", "unknown resolution")
}

func TestTopQueriesAreFoundByTheirCosts(t *testing.T) {
	var out bytes.Buffer
	s := newServer(t, Options{Queries: querylog.New(querylog.Options{SlowerThan: time.Nanosecond, Logger: slog.New(slog.NewTextHandler(&out, nil))})})
	end := fmt.Sprint(promtest.End)
	s.get(t, "/query", "query", "edge", "time", end)
	s.get(t, "/query", "query", "edge", "time", end)
	s.get(t, "/query_range", "query", "http_requests_total", "start", fmt.Sprint(promtest.Start), "end", end, "step", "15")
	s.get(t, "/query", "query", "http_requests_total * on (job) http_requests_total", "time", end)
	s.get(t, "/query", "query", "up{") // is none
	type row struct {
		Query                        string
		Count, Errors                uint64
		TotalSeconds, LongestSeconds float64
		SamplesRead                  int64
		Series                       int
		Last                         time.Time
	}
	var got []row
	s.get(t, "/status/top_queries", "by", "frequency", "limit", "1").data(t, &got)
	if len(got) != 1 || got[0].Query != "edge" || got[0].Count != 2 || got[0].TotalSeconds <= 0 || got[0].Series != 1 {
		t.Errorf("by frequency: %+v", got)
	}
	s.get(t, "/status/top_queries", "by", "samples").data(t, &got)
	if len(got) != 3 || got[0].Query != "http_requests_total" || got[0].SamplesRead < 1000 || got[0].Series != 6 {
		t.Errorf("by samples: %+v", got)
	}
	s.get(t, "/status/top_queries").data(t, &got)
	if len(got) != 3 {
		t.Errorf("by duration: %+v", got)
	}
	s.get(t, "/status/top_queries", "by", "x").want(t, 400, "bad_data", `"x" is not one of`)
	if n := strings.Count(out.String(), "slow query"); n != 4 || !strings.Contains(out.String(), "err=") {
		t.Errorf("%d slow queries: %s", n, out.String())
	}
}

func TestActiveQueriesAreThoseUnderWay(t *testing.T) {
	e := query.New(query.Options{MaxConcurrent: 1})
	s := newServer(t, Options{Engine: e})
	type view struct {
		Queries []struct {
			Query, Door, Client string
			Step, Seconds       float64
			Start, End, Since   time.Time
		}
		Waiting int
	}
	var got view
	s.get(t, "/status/active_queries").data(t, &got)
	if len(got.Queries) != 0 || got.Waiting != 0 {
		t.Errorf("idle: %+v", got)
	}
	// Queries that run until their clients disconnect. In the end one has the slot
	// of long queries, one that of short ones, and the third waits.
	const slow = "quantile_over_time(0.5, sum by (job) (rate(http_requests_total[50m]))[50m:10ms])"
	form := url.Values{"query": {slow}, "start": {fmt.Sprint(promtest.End - 600)}, "end": {fmt.Sprint(promtest.End)}, "step": {"0.1"}}
	ctx, leave := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	defer func() {
		leave()
		clients.Wait()
		if err := e.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for range 3 {
		clients.Go(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/query_range?"+form.Encode(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			if resp, err := s.Client().Do(r); err == nil {
				t.Errorf("the answer is there: %s", resp.Status)
				resp.Body.Close()
			}
		})
	}
	await.That(t, "three queries are active, one of them waiting", func() bool {
		got = view{}
		s.get(t, "/status/active_queries").data(t, &got)
		return got.Waiting == 1 && len(got.Queries) == 3
	})
	if got.Queries[0].Query != slow || got.Queries[0].Step != 0.1 || got.Queries[0].Door != "http" ||
		got.Queries[0].Client != "127.0.0.1" || got.Queries[0].End.Unix() != promtest.End {
		t.Errorf("under way: %+v", got)
	}
}

func TestStatsShowTheTimeOfEachStage(t *testing.T) {
	s := newServer(t, Options{})
	ask := func(kind string) (timings map[string]float64) {
		t.Helper()
		var got struct {
			Stats struct {
				Timings map[string]float64
				Samples struct{ SamplesRead, PeakSamples int }
			}
		}
		s.get(t, "/query_range", "query", "sum by (job) (rate(http_requests_total[5m]))", "start", fmt.Sprint(promtest.Start), "end", fmt.Sprint(promtest.End), "step", "15", "stats", kind).data(t, &got)
		if got.Stats.Samples.SamplesRead == 0 || got.Stats.Samples.PeakSamples == 0 {
			t.Errorf("stats=%s: %+v", kind, got)
		}
		return got.Stats.Timings
	}
	parts := []string{"execQueueTime", "queryPreparationTime", "innerEvalTime", "resultSortTime"}
	sum, all := 0.0, ask("all")
	for _, part := range parts {
		took, ok := all[part]
		if !ok {
			t.Errorf("no %s: %v", part, all)
		}
		sum += took
	}
	if all["execTotalTime"] < sum || all["evalTotalTime"] <= 0 || all["resultEncodeTime"] <= 0 {
		t.Errorf("timings %v", all)
	}
	if _, ok := ask("true")["resultEncodeTime"]; ok {
		t.Error("stats=true shows more than Prometheus does")
	}
}

// TestAdministratorsCancelQueries: a query that would run for many seconds ends once its number
// is cancelled, and says why.
func TestAdministratorsCancelQueries(t *testing.T) {
	queries := querylog.New(querylog.Options{})
	s := newServer(t, Options{Queries: queries})
	s.post(t, "/admin/cancel_query").want(t, 400, "bad_data", "id")
	s.post(t, "/admin/cancel_query", "id", "77").want(t, 404, "not_found", "query 77 does not run")
	ended := make(chan reply)
	go func() {
		ended <- s.post(t, "/query", "query", "quantile_over_time(0.5, quantile_over_time(0.5, vector(time())[1h:1s])[200h:1s])")
	}()
	await.That(t, "the query runs", func() bool { return len(queries.Running()) == 1 })
	var running struct {
		Data struct {
			Queries []struct {
				ID uint64 `json:"id"`
			} `json:"queries"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(s.get(t, "/status/active_queries").body), &running); err != nil || len(running.Data.Queries) != 1 {
		t.Fatalf("%v %+v", err, running)
	}
	if got := s.post(t, "/admin/cancel_query", "id", fmt.Sprint(running.Data.Queries[0].ID)); got.status != 204 {
		t.Errorf("%d %s", got.status, got.body)
	}
	(<-ended).want(t, statusClientClosed, "canceled", "an administrator has cancelled the query")
	if n := len(queries.Running()); n != 0 {
		t.Errorf("%d queries run", n)
	}
}
