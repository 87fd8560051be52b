package prom

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/storage"
)

// pastServer serves a database with a history.
type pastServer struct {
	*server
	clock *vfs.ManualClock
	fs    *vfs.Mem
	opts  storage.Options
}

func newPastServer(t *testing.T, keep time.Duration) *pastServer {
	t.Helper()
	s := &pastServer{clock: vfs.NewManualClock(tieredStart.Add(3*24*time.Hour + 12*time.Hour)), fs: vfs.NewMem()}
	s.opts = storage.Options{
		Clock: s.clock, Seed: 1, ReserveBytes: 4096, HistoryKeep: keep, TierRetentionMs: map[block.Tier]int64{block.Minute: 0, block.Hour: 0},
	}
	db := s.open(t)
	engine := query.New(query.Options{CacheBytes: 1 << 20})
	t.Cleanup(engine.Close)
	s.server = newServer(t, Options{
		DB: func() (*storage.DB, error) { return s.db, nil }, Clock: s.clock, Rollups: []string{"1m", "1h"},
		Engine: engine,
	})
	s.db = db
	t.Cleanup(func() {
		if err := s.db.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func (s *pastServer) open(t *testing.T) *storage.DB {
	t.Helper()
	doctortest.Opened(t, s.fs, "data")
	db, err := storage.Open(t.Context(), s.fs, "data", s.opts)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (s *pastServer) restart(t *testing.T) {
	t.Helper()
	if err := s.db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	s.db = s.open(t)
}

// write writes a value at every minute of [from, to).
func (s *pastServer) write(t *testing.T, name string, from, to time.Time, v float64) {
	t.Helper()
	b := s.db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(model.Hash{Lo: uint64(len(name))}, labels.FromStrings("__name__", name, "job", "j"))
	if err != nil {
		t.Fatal(err)
	}
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		b.Float(ref, at.UnixMilli(), 0, v)
	}
	if _, err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// cut takes a mark, and returns a time that is answered by it.
func (s *pastServer) cut(t *testing.T) time.Time {
	t.Helper()
	if _, err := s.db.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := s.clock.Now()
	s.clock.Advance(time.Hour)
	return at
}

// answerOf returns data and infos of an answer as text.
func answerOf(t *testing.T, r reply) (data string, infos []string) {
	t.Helper()
	var e struct {
		Status string
		Data   json.RawMessage
		Infos  []string
	}
	if err := json.Unmarshal([]byte(r.body), &e); err != nil || e.Status != "success" {
		t.Fatalf("got %d %s: %v", r.status, clip(r.body), err)
	}
	return string(e.Data), e.Infos
}

func asOf(at time.Time) string { return at.Format(time.RFC3339Nano) }

// What a dashboard showed before a backfill and a delete: the same as then, over restarts,
// merges and rollups, until a purge.
func TestWhatADashboardShowedBeforeABackfillAndADelete(t *testing.T) {
	s := newPastServer(t, 7*24*time.Hour)
	now := s.clock.Now()
	s.write(t, "up", now.Add(-60*time.Hour), now.Add(-30*time.Hour), 1)
	s.write(t, "up", now.Add(-24*time.Hour), now, 1)
	s.write(t, "other", now.Add(-60*time.Hour), now, 3)
	panels := func(params ...string) (all []string) {
		for _, q := range []string{`up`, `sum_over_time(up[6h])`, `avg_over_time(up[1h])`, `count by (job) ({job="j"})`} {
			for _, send := range []func(testing.TB, string, ...string) reply{s.get, s.post} {
				data, _ := answerOf(t, send(t, "/query_range", append([]string{"query", q, "start", fmt.Sprint(now.Add(-60 * time.Hour).Unix()), "end", fmt.Sprint(now.Unix()), "step", "3600"}, params...)...))
				all = append(all, data)
			}
		}
		data, _ := answerOf(t, s.get(t, "/query", append([]string{"query", `sum(count_over_time(up[3d]))`, "time", fmt.Sprint(now.Unix())}, params...)...))
		return append(all, data)
	}
	before := panels()
	mark := s.cut(t)

	s.write(t, "up", now.Add(-30*time.Hour), now.Add(-24*time.Hour), 1) // the backfill
	s.cut(t)
	backfilled := panels()
	s.post(t, "/admin/tsdb/delete_series", "match[]", `{job="j"}`, "start", fmt.Sprint(now.Add(-50*time.Hour).Unix()), "end", fmt.Sprint(now.Add(-10*time.Hour).Unix()))
	s.cut(t)
	deleted := panels()
	if slices.Equal(before, backfilled) || slices.Equal(backfilled, deleted) {
		t.Fatal("the panels show no difference")
	}
	for _, change := range []struct {
		name string
		do   func()
	}{
		{"at once", func() {}},
		{"after merges and rollups", func() {
			if _, err := s.db.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
		{"after a restart", func() { s.restart(t) }},
		{"after three days and another restart", func() {
			s.clock.Advance(72 * time.Hour)
			if _, err := s.db.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.restart(t)
		}},
	} {
		change.do()
		if got := panels("as_of", asOf(mark)); !slices.Equal(got, before) {
			t.Errorf("%s: before the backfill the panels were\n%v, are now\n%v", change.name, before, got)
		}
		if got := panels("as_of", fmt.Sprintf("%d.5", mark.Add(time.Hour).Unix())); !slices.Equal(got, backfilled) {
			t.Errorf("%s: after the backfill the panels were\n%v, are now\n%v", change.name, backfilled, got)
		}
		if got := panels(); !slices.Equal(got, deleted) {
			t.Errorf("%s: the present shows\n%v, want\n%v", change.name, got, deleted)
		}
	}
	_, infos := answerOf(t, s.get(t, "/query", "query", "up", "time", fmt.Sprint(now.Unix()), "as_of", asOf(mark.Add(10*time.Minute))))
	if len(infos) != 1 || !strings.Contains(infos[0], "as of the mark of 2026-03-05T12:00:00.000Z") {
		t.Errorf("infos %q", infos)
	}

	r := s.post(t, "/admin/tsdb/delete_series", "match[]", `up`, "purge", "true")
	if r.status != http.StatusNoContent {
		t.Fatalf("purge: %d %s", r.status, r.body)
	}
	for _, when := range []string{"at once", "after a restart"} {
		for _, at := range []time.Time{mark, mark.Add(time.Hour), mark.Add(2 * time.Hour)} {
			if data, _ := answerOf(t, s.get(t, "/query", "query", `count_over_time(up[30d])`, "as_of", asOf(at))); !strings.Contains(data, `"result":[]`) {
				t.Errorf("%s: purged samples are shown: %s", when, data)
			}
			if data, _ := answerOf(t, s.get(t, "/query", "query", `other`, "time", fmt.Sprint(now.Add(-time.Hour).Unix()), "as_of", asOf(at))); !strings.Contains(data, `"3"`) {
				t.Errorf("%s: other series: %s", when, data)
			}
		}
		s.restart(t)
	}
}

// Where samples have expired, marks answer from the rollups of then, and a purge hides the
// buckets too. Retention that comes later does not change what a mark shows.
func TestAsOfWhereSamplesHaveExpired(t *testing.T) {
	s := newPastServer(t, 7*24*time.Hour)
	now := s.clock.Now()
	s.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 0} // no samples stand in
	s.restart(t)
	s.opts.RetentionMs = 2 * model.DayMs
	compact := func() {
		t.Helper()
		if _, err := s.db.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.write(t, "up", now.Add(-80*time.Hour), now, 1)
	s.write(t, "other", now.Add(-80*time.Hour), now, 1)
	whole := s.cut(t) // with all samples
	compact()
	s.restart(t) // with retention
	compact()
	s.write(t, "up", now, now.Add(time.Minute), 1)
	expired := s.cut(t) // with hours instead of the oldest samples
	ask := func(at time.Time, name, resolution string) (data string, ok bool) {
		r := s.get(t, "/query", "query", fmt.Sprintf("count_over_time(%s[3d])", name), "time", fmt.Sprint(now.Truncate(time.Hour).Unix()), "as_of", asOf(at), "resolution", resolution)
		if r.status != http.StatusOK {
			return r.body, false
		}
		data, _ = answerOf(t, r)
		return data, true
	}
	const samples, more = `"4319"`, `"4320"` // of three days; the last one came after the first mark
	count := map[time.Time]string{whole: samples, expired: more}
	for range 2 {
		for _, at := range []time.Time{whole, expired} {
			if data, ok := ask(at, "up", "auto"); !ok || !strings.Contains(data, count[at]) {
				t.Errorf("at %s: %s", at, data)
			}
		}
		if data, _ := ask(whole, "up", "raw"); !strings.Contains(data, samples) {
			t.Errorf("samples of before the retention: %s", data)
		}
		if data, ok := ask(expired, "up", "raw"); ok && strings.Contains(data, more) {
			t.Errorf("expired samples are there: %s", data)
		}
		s.clock.Advance(48 * time.Hour)
		compact()
		s.restart(t)
	}
	if r := s.post(t, "/admin/tsdb/delete_series", "match[]", "up", "purge", "true"); r.status >= 300 {
		t.Fatalf("purge: %d %s", r.status, r.body)
	}
	for _, at := range []time.Time{whole, expired} {
		if data, ok := ask(at, "up", "auto"); !ok || !strings.Contains(data, `"result":[]`) {
			t.Errorf("after the purge at %s: %s", at, data)
		}
		if data, ok := ask(at, "other", "auto"); !ok || !strings.Contains(data, samples) {
			t.Errorf("another series at %s: %s", at, data)
		}
	}
}

// Series, labels and exemplars know moments; what does not refuses them.
func TestWhereAsOfIsPossible(t *testing.T) {
	s := newPastServer(t, 24*time.Hour)
	now := s.clock.Now()
	s.write(t, "old", now.Add(-time.Hour), now, 1)
	mark := s.cut(t)
	s.write(t, "newer", now.Add(-time.Hour), now, 1)
	for _, c := range []struct {
		path   string
		params []string
		old    string
	}{
		{"/series", []string{"match[]", `{job="j"}`}, `[{"__name__":"old","job":"j"}]`},
		{"/label/__name__/values", nil, `["old"]`},
		{"/labels", nil, `["__name__","job"]`},
		{"/query_exemplars", []string{"query", "old", "start", "0", "end", "1"}, `[]`},
	} {
		data, infos := answerOf(t, s.get(t, c.path, append(c.params, "as_of", asOf(mark))...))
		if data != c.old || len(infos) != 1 {
			t.Errorf("%s: %s, infos %q", c.path, data, infos)
		}
	}
	s.get(t, "/explain", "query", "old", "as_of", asOf(mark)).want(t, 400, "bad_data", "as_of is possible for")
	s.get(t, "/status/storage", "as_of", asOf(mark)).want(t, 400, "bad_data", "as_of is possible for")
	s.post(t, "/admin/tsdb/delete_series", "match[]", "old", "as_of", asOf(mark)).want(t, 400, "bad_data", "as_of is possible for")
	for _, path := range []string{"/federate?match[]=old&as_of=1", "/api/v1/export?match[]=old&as_of=1"} {
		r, err := http.NewRequest(http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.do(t, r); got.status != 400 || !strings.Contains(got.body, "as_of is possible for") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// A moment that no mark has is refused, with the oldest mark and the setting.
func TestAsOfRefusals(t *testing.T) {
	s := newPastServer(t, 24*time.Hour)
	now := s.clock.Now()
	s.get(t, "/query", "query", "1", "as_of", asOf(now)).want(t, 400, "bad_data", "none has been taken yet, each cut takes one (--history.keep=1d)")
	s.write(t, "up", now.Add(-time.Hour), now, 1)
	s.cut(t)
	s.get(t, "/query", "query", "1", "as_of", asOf(now.Add(-time.Second))).want(t, 400, "bad_data", "the oldest is of 2026-03-05T12:00:00.000Z (--history.keep=1d)")
	s.get(t, "/query_range", "query", "1", "start", "0", "end", "1", "step", "1", "as_of", "yesterday").want(t, 400, "bad_data", `invalid parameter "as_of"`)
	s.post(t, "/admin/tsdb/delete_series", "match[]", "up", "purge", "perhaps").want(t, 400, "bad_data", `invalid parameter "purge"`)

	off := newPastServer(t, 0)
	off.get(t, "/query", "query", "1", "as_of", "0").want(t, 400, "bad_data", "no history is kept (--history.keep=0)")
	if r := off.post(t, "/admin/tsdb/delete_series", "match[]", "up", "purge", "true"); r.status != http.StatusNoContent {
		t.Errorf("a purge without history: %d %s", r.status, r.body)
	}
}
