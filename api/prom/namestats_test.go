package prom

import (
	"encoding/json"
	"testing"

	"tsdb/query"
	"tsdb/storage"
)

// Each selector of a query counts once: its metric, or those that it matches in the times
// it reads, on both engines.
func TestMetricNamesStats(t *testing.T) {
	tiered := newTieredServer(t)
	s := newServer(t, Options{
		DB:     func() (*storage.DB, error) { return tiered.db, nil },
		Engine: query.New(query.Options{CountName: func(name string) { tiered.db.Queried().Count(name) }}),
	})
	stats := func(params ...string) (v nameStatsView) {
		t.Helper()
		r := s.get(t, "/status/metric_names_stats", params...)
		if err := json.Unmarshal([]byte(r.body), &v); err != nil || r.status != 200 || v.Status != "success" {
			t.Fatalf("%d %s", r.status, r.body)
		}
		return v
	}
	v := stats("le", "0")
	if len(v.Records) != 1 || v.Records[0] != (nameRecord{Name: "c_total"}) || v.Since == 0 || v.Total != 1 {
		t.Errorf("never queried: %+v", v)
	}
	at := tieredStart.AddDate(0, 0, 2).Unix()
	want := uint64(0)
	for _, q := range []struct {
		text string
		adds uint64
	}{
		{"c_total", 1}, {"c_total + c_total", 2}, {`{i="1"}`, 1}, {`{__name__=~"c_.*"}`, 1}, {`sum(rate({i=~".+"}[5m])) / c_total`, 2},
		{`{i="1"} offset 30d`, 0}, // nothing is there
		{"absent(other)", 0}, {"1 + 1", 0},
		{"limitk(1, c_total)", 1}, // on Prometheus' engine
	} {
		for range 2 {
			r := s.get(t, "/query", "query", q.text, "time", jsonText(at))
			if r.status == 200 {
				want += q.adds
			}
		}
		if got := stats("match_pattern", "^c_").Records[0]; got.Requests != want || want > 0 && got.Last == 0 {
			t.Errorf("after %s: %+v, want %d", q.text, got, want)
		}
	}
	s.get(t, "/query", "query", "c_total", "time", jsonText(at), "uncounted", "1")
	for range 3 {
		s.get(t, "/query_range", "query", "sum(c_total)", "start", jsonText(at-3600), "end", jsonText(at), "step", "60")
		want++
	}
	if got := stats("match_pattern", "c_total").Records[0]; got.Requests != want {
		t.Errorf("range queries: %+v, want %d", got, want)
	}
	if v := stats("le", "3"); len(v.Records) != 1 || v.Records[0].Name != "other" || v.Total != 2 {
		t.Errorf("at most three requests: %+v", v)
	}
	if v := stats("limit", "1"); len(v.Records) != 1 {
		t.Errorf("limit 1: %+v", v)
	}
	s.get(t, "/status/metric_names_stats", "match_pattern", "(").want(t, 400, "bad_data", "match_pattern")
	s.get(t, "/status/metric_names_stats", "le", "x").want(t, 400, "bad_data", "le must be a number")
	if r := s.post(t, "/admin/status/metric_names_stats/reset"); r.status != 204 {
		t.Errorf("reset: %d %s", r.status, r.body)
	}
	if v := stats(); len(v.Records) != 1 || v.Records[0].Requests != 0 {
		t.Errorf("after a reset: %+v", v)
	}
}

func jsonText(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
