package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/zeebo/xxh3"

	"tsdb/internal/background"
	"tsdb/internal/model"
	"tsdb/internal/panics"
	"tsdb/storage"
)

// SelfScrapeJob is the label "job" of the server's own metrics.
const SelfScrapeJob = "tsdb"

// maxStaleRefs bounds the attempts to store a scrape while series are evicted
// from the head.
const maxStaleRefs = 3

// SelfScrapeOptions are the options of a SelfScrape; all are required.
type SelfScrapeOptions struct {
	DB       func() (*storage.DB, error)
	Gatherer prometheus.Gatherer
	Interval time.Duration
	Instance string // the label "instance", host:port
}

// SelfScrape writes the server's own metrics into the database, as a scrape by
// Prometheus would: job, instance, up, the scrape's own series, and a stale
// marker where a series has disappeared. Histograms become classic buckets.
type SelfScrape struct {
	opts  SelfScrapeOptions
	batch *storage.Batch
	known map[model.Hash]labels.Labels // series of the last scrape

	mu struct {
		sync.Mutex
		last ScrapeResult
	}
}

// ScrapeResult is the result of a scrape.
type ScrapeResult struct {
	Time     time.Time // zero before the first one
	Duration time.Duration
	Samples  int
	Err      error // of gathering or storing
}

// NewSelfScrape returns a self-scrape; Run starts it.
func NewSelfScrape(o SelfScrapeOptions) *SelfScrape { return &SelfScrape{opts: o} }

// Last returns the result of the last scrape. It may be called at any time.
func (s *SelfScrape) Last() ScrapeResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.last
}

// Run scrapes once per interval until ctx ends, starting immediately. A failed
// scrape is not retried: the next one has newer values. Run may be called once.
func (s *SelfScrape) Run(ctx context.Context) {
	tick := time.NewTicker(s.opts.Interval)
	defer tick.Stop()
	for now := time.Now(); ; {
		if db, err := s.opts.DB(); err == nil { // otherwise it is still starting
			_ = db.Job("self-scrape", background.Pace{First: s.opts.Interval, Max: s.opts.Interval}).Run(ctx, func(ctx context.Context) error {
				return s.Scrape(ctx, now)
			})
		}
		select {
		case now = <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Scrape stores the metrics as of now. It is not safe for concurrent use.
func (s *SelfScrape) Scrape(ctx context.Context, now time.Time) error {
	begin := time.Now()
	n, err := s.scrape(ctx, now, begin)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.last = ScrapeResult{Time: now, Duration: time.Since(begin), Samples: n, Err: err}
	return err
}

func (s *SelfScrape) scrape(ctx context.Context, now, begin time.Time) (_ int, err error) {
	defer panics.Catch(&err)
	db, err := s.opts.DB()
	if err != nil {
		return 0, err
	}
	families, err := s.opts.Gatherer.Gather()
	if err != nil && len(families) == 0 {
		return 0, fmt.Errorf("gather metrics: %w", err)
	}
	if s.batch == nil {
		s.batch = db.NewBatch("self_scrape", model.DefaultTenant)
	}
	for range maxStaleRefs {
		var n int
		if n, err = s.store(ctx, families, now.UnixMilli(), begin); !errors.Is(err, storage.ErrStaleRef) {
			return n, err
		}
	}
	return 0, err
}

// store commits one scrape and returns the number of samples of the metrics.
func (s *SelfScrape) store(ctx context.Context, families []*dto.MetricFamily, t int64, begin time.Time) (int, error) {
	s.batch.Reset()
	w := scrapeWriter{batch: s.batch, t: t, instance: s.opts.Instance, seen: make(map[model.Hash]labels.Labels, len(s.known))}
	for _, f := range families {
		s.batch.Metadata(f.GetName(), model.Metadata{Type: metricType(f.GetType()), Unit: f.GetUnit(), Help: f.GetHelp()})
		for _, m := range f.GetMetric() {
			w.metric(f, m)
		}
	}
	scraped := w.n
	w.add("scrape_samples_scraped", nil, float64(scraped))
	w.add("up", nil, 1)
	w.add("scrape_duration_seconds", nil, time.Since(begin).Seconds())
	for alias, ls := range s.known {
		if _, ok := w.seen[alias]; !ok {
			w.write(alias, ls, math.Float64frombits(value.StaleNaN))
		}
	}
	if w.err != nil {
		return 0, w.err
	}
	if _, err := s.batch.Commit(ctx); err != nil {
		return 0, err
	}
	s.known = w.seen
	return scraped, nil
}

// scrapeWriter adds metrics to a batch as samples.
type scrapeWriter struct {
	batch    *storage.Batch
	t        int64
	instance string
	seen     map[model.Hash]labels.Labels
	builder  labels.ScratchBuilder
	scratch  []byte
	n        int
	err      error
}

func (w *scrapeWriter) metric(f *dto.MetricFamily, m *dto.Metric) {
	name := f.GetName()
	switch f.GetType() {
	case dto.MetricType_COUNTER:
		w.add(name, m, m.GetCounter().GetValue())
	case dto.MetricType_GAUGE:
		w.add(name, m, m.GetGauge().GetValue())
	case dto.MetricType_UNTYPED:
		w.add(name, m, m.GetUntyped().GetValue())
	case dto.MetricType_SUMMARY:
		for _, q := range m.GetSummary().GetQuantile() {
			w.add(name, m, q.GetValue(), "quantile", formatFloat(q.GetQuantile()))
		}
		w.add(name+"_sum", m, m.GetSummary().GetSampleSum())
		w.add(name+"_count", m, float64(m.GetSummary().GetSampleCount()))
	case dto.MetricType_HISTOGRAM:
		h := m.GetHistogram()
		for _, b := range h.GetBucket() {
			if !math.IsInf(b.GetUpperBound(), 1) {
				w.add(name+"_bucket", m, float64(b.GetCumulativeCount()), "le", formatFloat(b.GetUpperBound()))
			}
		}
		w.add(name+"_bucket", m, float64(h.GetSampleCount()), "le", "+Inf")
		w.add(name+"_sum", m, h.GetSampleSum())
		w.add(name+"_count", m, float64(h.GetSampleCount()))
	}
}

// add adds one sample of a metric with further labels, given as alternating
// names and values.
func (w *scrapeWriter) add(name string, m *dto.Metric, v float64, more ...string) {
	w.builder.Reset()
	w.builder.Add(prommodel.MetricNameLabel, name)
	w.builder.Add("job", SelfScrapeJob)
	w.builder.Add("instance", w.instance)
	for _, l := range m.GetLabel() {
		if l.GetValue() != "" {
			w.builder.Add(exportedName(l.GetName()), l.GetValue())
		}
	}
	for i := 0; i < len(more); i += 2 {
		w.builder.Add(more[i], more[i+1])
	}
	w.builder.Sort()
	ls := w.builder.Labels()
	w.scratch = append(w.scratch[:0], "self-scrape\x00"...)
	w.scratch = model.AppendLabels(w.scratch, ls)
	h := xxh3.Hash128(w.scratch)
	alias := model.Hash{Hi: h.Hi, Lo: h.Lo}
	w.seen[alias] = ls
	w.write(alias, ls, v)
	w.n++
}

// exportedName returns the name of a metric's own label: as in a scrape by
// Prometheus, one that the scrape sets itself is prefixed.
func exportedName(name string) string {
	if name == "job" || name == "instance" {
		return "exported_" + name
	}
	return name
}

func (w *scrapeWriter) write(alias model.Hash, ls labels.Labels, v float64) {
	ref, ok := w.batch.Lookup(alias)
	if !ok {
		var err error
		if ref, err = w.batch.Resolve(alias, ls); err != nil {
			w.err = errors.Join(w.err, fmt.Errorf("series %s: %w", ls, err))
			return
		}
	}
	w.batch.Float(ref, w.t, 0, v)
}

// formatFloat writes a bound or quantile as Prometheus 3 does: "1.0", "0.005",
// "+Inf".
func formatFloat(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if strings.ContainsAny(s, ".eIN") {
		return s
	}
	return s + ".0"
}

// metricType returns the name of a type in the exposition formats.
func metricType(t dto.MetricType) string {
	switch t {
	case dto.MetricType_UNTYPED:
		return "unknown"
	case dto.MetricType_GAUGE_HISTOGRAM:
		return "gaugehistogram"
	}
	return strings.ToLower(t.String())
}
