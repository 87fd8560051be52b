package prom

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/storage"
)

// countOf returns the number of samples that a selector has in all.
func (s *server) countOf(t *testing.T, selector string, end time.Time) int {
	t.Helper()
	var data struct {
		Result []struct{ Value [2]any }
	}
	s.get(t, "/query", "query", fmt.Sprintf("sum(count_over_time(%s[1y]))", selector), "time", fmt.Sprint(end.Unix())).data(t, &data)
	if len(data.Result) == 0 {
		return 0
	}
	n := 0
	fmt.Sscan(data.Result[0].Value[1].(string), &n)
	return n
}

// The range is inclusive and exact to the millisecond, selectors are a union, and the
// defaults are all times. Answers are those of Prometheus.
func TestDeleteSeries(t *testing.T) {
	s := newTieredServer(t)
	end := tieredStart.Add(4 * 24 * time.Hour)
	first := tieredStart.UnixMilli() + 15_000
	total := s.countOf(t, `c_total`, end)
	text := func(ms int64) string { return fmt.Sprintf("%d.%03d", ms/1000, ms%1000) }
	gone := func(r reply, n int) {
		t.Helper()
		if r.status != http.StatusNoContent || r.body != "" {
			t.Errorf("got %d %q", r.status, r.body)
		}
		total -= n
		if got := s.countOf(t, `c_total`, end); got != total {
			t.Errorf("%d samples, want %d", got, total)
		}
	}
	del := "/admin/tsdb/delete_series"
	var e storage.DeleteEstimate
	s.post(t, del, "match[]", `c_total{i="1"}`, "start", text(first), "end", text(first+30_000), "dry_run", "true").data(t, &e)
	if e.Series != 1 || e.Samples < 1 || e.Samples > 10 || e.Expired || len(e.Tiers) < 2 || e.Tiers[0].Tier != "raw" {
		t.Errorf("estimate %+v", e)
	}
	if got := s.countOf(t, `c_total`, end); got != total {
		t.Errorf("an estimate deletes: %d samples, want %d", got, total)
	}
	gone(s.post(t, del, "match[]", `c_total{i="1"}`, "start", text(first), "end", text(first+30_000)), 3)
	gone(s.send(t, http.MethodPut, del, []string{"match[]", `c_total{i="1"}`, "start", text(first + 30_001), "end", text(first + 44_999)}), 0)
	gone(s.send(t, http.MethodPut, del, []string{"match[]", `c_total{i="1"}`, "start", text(first + 45_000), "end", text(first + 45_000)}), 1)
	gone(s.post(t, del, "match[]", `c_total{i="0"}`, "match[]", `c_total{i="1"}`, "end", text(first+45_000)), 4)
	c, err := api.NewClient(api.Config{Address: s.URL, Client: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if err := v1.NewAPI(c).DeleteSeries(ctx, []string{`c_total{i="0"}`}, time.UnixMilli(first), end); err != nil {
		t.Error(err)
	}
	total = s.countOf(t, `c_total{i="1"}`, end)
	gone(s.post(t, del, "match[]", `c_total{i="1"}`), total)
	if err := v1.NewAPI(c).CleanTombstones(ctx); err != nil {
		t.Error(err)
	}
	st, err := s.db.Status()
	if err != nil || st.Deletions.Live != 0 || st.Samples != 0 {
		t.Errorf("deletions %+v, %d samples, %v", st.Deletions, st.Samples, err)
	}

	for _, c := range []struct {
		params []string
		part   string
	}{
		{nil, "no match[] parameter provided"},
		{[]string{"match[]", `{i=~".*"}`}, "match[]"},
		{[]string{"match[]", "c_total", "start", "x"}, "start"},
		{[]string{"match[]", "c_total", "start", "10", "end", "9"}, "end timestamp must not be before start time"},
		{[]string{"match[]", "c_total", "dry_run", "maybe"}, "dry_run"},
		{strings.Fields(strings.Repeat("match[] c_total ", 300)), "at most 256"},
	} {
		s.post(t, del, c.params...).want(t, 400, "bad_data", c.part)
	}
	if r := s.get(t, del, "match[]", "c_total"); r.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", r.status)
	}
}

// Where samples have expired, whole buckets of rollups are removed, and the answer says
// so in a form that clients of Prometheus take.
func TestDeleteSeriesOfRollupsWarns(t *testing.T) {
	clock := vfs.NewManualClock(tieredStart.Add(24 * time.Hour))
	db, err := storage.Open(ctx, doctortest.NewMem(t), "data", storage.Options{
		Clock: clock, Seed: 1, ReserveBytes: 4096, RetentionMs: 2 * model.DayMs, TierRetentionMs: map[block.Tier]int64{block.Hour: 0},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	s := newServer(t, Options{DB: func() (*storage.DB, error) { return db, nil }, Clock: clock, Rollups: []string{"1h"}, Engine: query.New(query.Options{})})
	s.db = db
	writeTiered(t, db, tieredStart.UnixMilli()+15_000, clock.Now().UnixMilli())
	if _, err := db.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	clock.Advance(5 * 24 * time.Hour)
	if _, err := db.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	rows := func() int {
		n := 0
		for h := range 24 {
			var data struct{ Result []any }
			s.get(t, "/query", "query", `count_over_time(c_total{i="1"}[1h])`, "time", fmt.Sprint(tieredStart.Add(time.Duration(h+1)*time.Hour).Unix())).data(t, &data)
			n += len(data.Result)
		}
		return n
	}
	if n := rows(); n != 24 {
		t.Fatalf("%d hours are left", n)
	}
	r := s.post(t, "/admin/tsdb/delete_series", "match[]", `c_total{i="1"}`,
		"start", fmt.Sprint(tieredStart.Unix()+1800), "end", fmt.Sprint(tieredStart.Unix()+4000))
	var e storage.DeleteEstimate
	r.data(t, &e)
	if !e.Expired || e.Samples != 0 || !strings.Contains(r.body, ErrExpiredDeleted.Error()) {
		t.Errorf("answer %s", r.body)
	}
	if n := rows(); n != 22 {
		t.Errorf("%d hours are left, want 22", n)
	}
	c, err := api.NewClient(api.Config{Address: s.URL, Client: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if err := v1.NewAPI(c).DeleteSeries(ctx, []string{`c_total{i="1"}`}, tieredStart, tieredStart.Add(24*time.Hour)); err != nil {
		t.Error(err)
	}
	if n := rows(); n != 0 {
		t.Errorf("%d hours are left, want none", n)
	}
	// The rows are erased from their blocks, too.
	if err := v1.NewAPI(c).CleanTombstones(ctx); err != nil {
		t.Error(err)
	}
	if st, err := db.Status(); err != nil || st.Deletions.Live != 0 {
		t.Errorf("deletions %+v, %v", st.Deletions, err)
	}
	if n := rows(); n != 0 {
		t.Errorf("%d hours after the tombstones were cleaned, want none", n)
	}
}
