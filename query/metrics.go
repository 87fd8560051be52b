package query

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"

	"tsdb/query/admission"
)

// metrics holds the metrics of our own engine. Queries on Prometheus' engine are
// counted in its metrics, prometheus_engine_*, and in fallbacks.
type metrics struct {
	stages    *prometheus.HistogramVec
	limited   *prometheus.CounterVec
	fallbacks *prometheus.CounterVec
	buckets   prometheus.Counter
}

// The stages of a query.
const (
	stageQueue    = "queue"    // waiting for a slot and for CPU
	stageSelect   = "select"   // selecting series
	stageEvaluate = "evaluate" // reading samples and computing, including waiting for CPU
	stageDeliver  = "deliver"  // encoding and sending the answer
)

// newMetrics registers the metrics of an engine. memoryLimit is that of all queries together,
// 0 = none.
func newMetrics(e *Engine, memoryLimit int64, r prometheus.Registerer) *metrics {
	m := &metrics{
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tsdb_query_duration_seconds",
			Help:    "Time that queries of our own engine took, by stage.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"stage"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tsdb_query_limited_total",
			Help: "Queries that failed because they would have exceeded a limit.",
		}, []string{"limit"}),
		fallbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tsdb_query_fallback_total",
			Help: "Queries that ran on Prometheus' engine, by what our own does not cover.",
		}, []string{"reason"}),
		buckets: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tsdb_query_buckets_read_total",
			Help: "Buckets of rollups that answers were computed from.",
		}),
	}
	for _, s := range []string{stageQueue, stageSelect, stageEvaluate, stageDeliver} {
		m.stages.WithLabelValues(s)
	}
	for _, l := range []admission.Limit{admission.LimitBytes, admission.LimitTotalBytes, admission.LimitSeries, admission.LimitSamplesRead, admission.LimitText, admission.LimitLabelValue, admission.LimitSamples} {
		m.limited.WithLabelValues(string(l))
	}
	if r == nil {
		return m
	}
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value)
	}
	running := func(kind string, n func() int) prometheus.Collector {
		return gauge("tsdb_query_running", "Places of light and heavy queries that are taken.", prometheus.Labels{"kind": kind}, func() float64 { return float64(n()) })
	}
	r.MustRegister(m.stages, m.limited, m.fallbacks, m.buckets, running("light", e.queue.RunningLight), running("heavy", e.queue.RunningHeavy),
		gauge("tsdb_query_waiting", "Queries that wait for a place.", nil, func() float64 { return float64(e.Waiting()) }),
		gauge("tsdb_query_memory_limit_bytes", "Memory that all queries may hold together; 0 = no limit.", nil, func() float64 { return float64(memoryLimit) }),
		gauge("tsdb_query_memory_bytes", "Memory that queries hold, their answers until they are sent included.", nil, func() float64 { return float64(e.MemoryBytes()) }),
	)
	return m
}

// exceeded counts the error of a query if it is caused by a limit.
func (m *metrics) exceeded(err error) {
	var over *admission.LimitError
	var samples promql.ErrTooManySamples
	switch {
	case errors.As(err, &over):
		m.limited.WithLabelValues(string(over.Limit)).Inc()
	case errors.As(err, &samples):
		m.limited.WithLabelValues(string(admission.LimitSamples)).Inc()
	}
}
