package api

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/storage"
)

func TestSelfScrapeWritesWhatPrometheusWould(t *testing.T) {
	db := openDB(t)
	reg := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "c_total", Help: "A counter."})
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "g"}, []string{"l"})
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: []float64{0.5, 1}})
	summary := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s", Objectives: map[float64]float64{0.9: 0.01}})
	reg.MustRegister(counter, gauge, histogram, summary)
	counter.Add(3)
	gauge.WithLabelValues("x").Set(-2)
	gauge.WithLabelValues("").Set(7)
	histogram.Observe(0.7)
	summary.Observe(4)

	s := NewSelfScrape(SelfScrapeOptions{
		DB: func() (*storage.DB, error) { return db, nil }, Gatherer: reg, Interval: time.Second,
		Instance: "localhost:9201",
	})
	now := time.Now().Truncate(time.Second)
	if err := s.Scrape(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	got := read(t, db)
	common := `instance="localhost:9201", job="tsdb"`
	want := map[string]float64{
		`{__name__="c_total", ` + common + `}`:                 3,
		`{__name__="g", ` + common + `, l="x"}`:                -2,
		`{__name__="g", ` + common + `}`:                       7,
		`{__name__="h_bucket", ` + common + `, le="0.5"}`:      0,
		`{__name__="h_bucket", ` + common + `, le="1.0"}`:      1,
		`{__name__="h_bucket", ` + common + `, le="+Inf"}`:     1,
		`{__name__="h_sum", ` + common + `}`:                   0.7,
		`{__name__="h_count", ` + common + `}`:                 1,
		`{__name__="s", ` + common + `, quantile="0.9"}`:       4,
		`{__name__="s_sum", ` + common + `}`:                   4,
		`{__name__="s_count", ` + common + `}`:                 1,
		`{__name__="up", ` + common + `}`:                      1,
		`{__name__="scrape_samples_scraped", ` + common + `}`:  11,
		`{__name__="scrape_duration_seconds", ` + common + `}`: 0,
	}
	for name, v := range want {
		samples, ok := got[name]
		if !ok {
			t.Errorf("no series %s among %v", name, slices.Sorted(maps.Keys(got)))
			continue
		}
		if samples.Len() != 1 || samples.T[0] != now.UnixMilli() || samples.V[0] != v && name[:20] != `{__name__="scrape_du` {
			t.Errorf("%s: %v at %v, want %v at %d", name, samples.V, samples.T, v, now.UnixMilli())
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d series, want %d", len(got), len(want))
	}

	gauge.DeleteLabelValues("x")
	if err := s.Scrape(t.Context(), now.Add(15*time.Second)); err != nil {
		t.Fatal(err)
	}
	gone := read(t, db)[`{__name__="g", `+common+`, l="x"}`]
	if gone.Len() != 2 || !gone.StaleAt(1) {
		t.Errorf("a series that has disappeared has %v", gone)
	}
	if last := s.Last(); last.Err != nil || last.Samples != 10 {
		t.Errorf("last scrape: %+v", last)
	}
}

// read returns all samples by series.
func read(t *testing.T, db *storage.DB) map[string]*model.Samples {
	t.Helper()
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	set, err := v.Select(t.Context(), model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*model.Samples{}
	for i := range set.Len() {
		s := &model.Samples{}
		if err := set.At(i).Samples(t.Context(), model.AllTime, s); err != nil {
			t.Fatal(err)
		}
		all[set.At(i).Labels.String()] = s
	}
	return all
}

// TestSelfScrapeKeepsLabelsOfItsOwnNames: the labels job and instance of a metric
// are kept under other names.
func TestSelfScrapeKeepsLabelsOfItsOwnNames(t *testing.T) {
	db := openDB(t)
	reg := prometheus.NewRegistry()
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "failures_total"}, []string{"job"})
	reg.MustRegister(failures)
	failures.WithLabelValues("cut").Inc()
	s := NewSelfScrape(SelfScrapeOptions{
		DB: func() (*storage.DB, error) { return db, nil }, Gatherer: reg, Interval: time.Second, Instance: "localhost:9201",
	})
	if err := s.Scrape(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	got := read(t, db)
	if _, ok := got[`{__name__="failures_total", exported_job="cut", instance="localhost:9201", job="tsdb"}`]; !ok {
		t.Errorf("series: %v", slices.Sorted(maps.Keys(got)))
	}
}
