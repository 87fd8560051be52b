package prom

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"tsdb/api/limiter"
	"tsdb/query"
	"tsdb/storage"
)

// tsdbStatus is the answer of status/tsdb.
type tsdbStatus struct {
	TotalSeries, TotalLabelValuePairs int
	HeadStats                         struct{ NumSeries, NumLabelPairs, ChunkCount, MinTime, MaxTime int64 }

	SeriesCountByMetricName, LabelValueCountByLabelName, MemoryInBytesByLabelName []tableRow
	SeriesCountByLabelName, SeriesCountByLabelValuePair                           []tableRow
	SeriesCountByFocusLabelValue                                                  []tableRow
}

func rowsOf(rows []tableRow) map[string]uint64 {
	all := map[string]uint64{}
	for _, r := range rows {
		all[r.Name] = r.Value
	}
	return all
}

func TestStatusTSDBOfADayASelectorAndALabel(t *testing.T) {
	s := newTieredServer(t)
	var st tsdbStatus
	s.get(t, "/status/tsdb", "date", "2026-03-03", "match[]", `{i="1"}`, "focusLabel", "i").data(t, &st)
	day := tieredStart.AddDate(0, 0, 1).UnixMilli()
	if st.TotalSeries != 1 || st.TotalLabelValuePairs != 2 || st.HeadStats.MinTime <= day || st.HeadStats.MaxTime > day+24*3600*1000 {
		t.Errorf("one series of a day: %+v", st)
	}
	if rowsOf(st.SeriesCountByMetricName)["c_total"] != 1 || rowsOf(st.SeriesCountByLabelName)["i"] != 1 ||
		rowsOf(st.SeriesCountByLabelValuePair)["i=1"] != 1 || rowsOf(st.LabelValueCountByLabelName)["__name__"] != 1 {
		t.Errorf("tables: %+v", st)
	}
	if f := st.SeriesCountByFocusLabelValue; len(f) != 1 || f[0] != (tableRow{"1", 1}) {
		t.Errorf("values of the focus label: %v", f)
	}
	st = tsdbStatus{}
	s.get(t, "/status/tsdb", "topN", "1").data(t, &st)
	if st.TotalSeries != 2 || len(st.SeriesCountByLabelName) != 1 || len(st.SeriesCountByLabelValuePair) != 1 || st.SeriesCountByFocusLabelValue != nil {
		t.Errorf("one row each: %+v", st)
	}
	st = tsdbStatus{}
	s.get(t, "/status/tsdb", "date", "2026-02-01").data(t, &st)
	if st.TotalSeries != 0 || len(st.SeriesCountByMetricName) != 0 {
		t.Errorf("a day without samples: %+v", st)
	}
	for _, c := range []struct{ name, value, part string }{
		{"date", "yesterday", "date must be a day"},
		{"topN", "0", "topN must be a positive number"},
		{"topN", "10001", "topN must not exceed 10000"},
		{"limit", "x", "limit must be a positive number"},
		{"match[]", "{", "match[]"},
		{"match[]", `{x=""}`, "non-empty matcher"},
	} {
		s.get(t, "/status/tsdb", c.name, c.value).want(t, 400, "bad_data", c.part)
	}
	// Its memory is that of the queries.
	small := newServer(t, Options{Engine: query.New(query.Options{MaxBytes: 100}), DB: func() (*storage.DB, error) { return s.db, nil }})
	small.get(t, "/status/tsdb").want(t, 422, "execution", "--query.max-bytes")
	down := newServer(t, Options{DB: func() (*storage.DB, error) { return nil, errors.New("starts") }})
	down.get(t, "/status/tsdb").want(t, 503, "unavailable", "starts")
}

func TestStatusOfMetricsAndChurn(t *testing.T) {
	s := newTieredServer(t)
	var sizes storage.MetricSizes
	s.get(t, "/status/metrics", "sort", "name", "match[]", "c_total").data(t, &sizes)
	// Two series, 3 days and 12 hours of 15 s.
	if m := sizes.Metrics; len(m) != 1 || m[0].Name != "c_total" || m[0].Series != 2 || m[0].Samples != 2*20160 || m[0].Bytes == 0 || len(m[0].ByTier) != 2 {
		t.Errorf("metrics: %+v", sizes)
	}
	var report storage.ChurnReport
	s.get(t, "/status/churn", "days", "5").data(t, &report)
	if d := report.Days; len(d) != 5 || d[4].Date != "2026-03-01" || d[4].Series != 0 || d[3].Series != 2 || d[3].New != 2 || d[0].Series != 2 || d[0].New != 0 {
		t.Errorf("churn: %+v", report)
	}
	s.get(t, "/status/metrics", "sort", "size").want(t, 400, "bad_data", "unknown order")
	s.get(t, "/status/metrics", "limit", "-1").want(t, 400, "bad_data", "limit must be a positive number")
	s.get(t, "/status/churn", "days", "0").want(t, 400, "bad_data", "days must be from 1 to 366")
	s.get(t, "/status/churn", "days", "400").want(t, 400, "bad_data", "days must be from 1 to 366")
}

// Counts of days are answered from what is kept, without a slot and with little memory,
// while everything else is refused.
func TestStatusOfDaysWhileOverloaded(t *testing.T) {
	s := newTieredServer(t)
	if err := s.db.CountDays(ctx); err != nil {
		t.Fatal(err)
	}
	slots := limiter.New(1)
	if err := slots.Acquire(ctx); err != nil {
		t.Fatal(err)
	}
	engine := query.New(query.Options{MaxBytes: 64 << 10})
	small := newServer(t, Options{Engine: engine, Status: slots, DB: func() (*storage.DB, error) { return s.db, nil }})
	var c storage.DailyCounts
	small.get(t, "/status/cardinality", "days", "5", "topN", "1").data(t, &c)
	if len(c.Days) != 4 || c.Days[0].Series != 2 || !c.Days[0].Running || len(c.ByMetric) != 1 || c.ByMetric[0].Name != "c_total" || *c.ByMetric[0].Counts[3] != 2 {
		t.Errorf("%+v", c)
	}
	small.get(t, "/status/cardinality", "until", "2026-03-03", "days", "2").data(t, &c)
	if len(c.Days) != 2 || c.Days[0].Date != "2026-03-03" || c.Days[1].New != 2 {
		t.Errorf("%+v", c)
	}
	for _, bad := range [][3]string{
		{"days", "0", "days must be from 1 to 100"}, {"days", "101", "days must be from 1 to 100"}, {"until", "x", "until must be a day"}, {"sort", "name", "must be size or growth"},
	} {
		small.get(t, "/status/cardinality", bad[0], bad[1]).want(t, 400, "bad_data", bad[2])
	}
	tiny := newServer(t, Options{Engine: query.New(query.Options{MaxBytes: 10}), DB: func() (*storage.DB, error) { return s.db, nil }})
	tiny.get(t, "/status/cardinality").want(t, 422, "execution", "--query.max-bytes")
}

// Reads of many indexes have slots of their own, so that they answer while the server is
// overloaded with reads: while these are full they wait, and end with their request.
func TestStatusOfManyIndexesTakesASlot(t *testing.T) {
	reads, slots := limiter.New(1), limiter.New(1)
	s := newServer(t, Options{Reads: reads, Status: slots})
	if err := reads.Acquire(ctx); err != nil { // no read runs any more
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, path := range []string{"/status/storage", "/status/tsdb", "/status/metrics", "/status/churn"} {
		if got := s.get(t, path); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		if err := slots.Acquire(ctx); err != nil {
			t.Fatal(err)
		}
		answer := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(answer, httptest.NewRequestWithContext(ended, http.MethodGet, "/api/v1"+path, nil))
		if answer.Code == http.StatusOK {
			t.Errorf("%s is answered while the limiter is full", path)
		}
		slots.Release()
	}
}
