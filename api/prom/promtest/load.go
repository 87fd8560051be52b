// Package promtest holds the samples and the requests of the tests of the HTTP
// API. The program in record sends the same requests, over the same samples, to
// Prometheus' own handlers and records their answers.
package promtest

import (
	"context"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
)

// The samples are in (Start, End], one every Step; Unix seconds.
const (
	End   = int64(1767229200) // 2026-01-01 01:00:00 UTC
	Start = End - 3600
	Step  = 15
)

// Load writes the samples: counters with resets and exemplars, values at the
// edges of float64, native histograms of every kind, classic ones, stale
// markers, names and values that are not ASCII. Series are written in the order
// of their labels: it is the order in which Prometheus evaluates them.
func Load(to storage.AppendableV2) error {
	w := &writer{app: to.AppenderV2(context.Background())}
	w.edges()
	w.names()
	w.counters()
	w.histograms()
	if w.err != nil {
		return w.err
	}
	return w.app.Commit()
}

// writer appends samples until the first error.
type writer struct {
	app storage.AppenderV2
	err error
}

func (w *writer) counters() {
	for i, code := range []string{"200", "404", "500"} {
		for _, job := range []string{"api", "web"} {
			ls := labels.FromStrings("__name__", "http_requests_total", "job", job, "instance", job+":80", "code", code)
			v := 0.0
			for n := range steps {
				if v += float64(i*n%7) + 0.25; n == 100 {
					v = 3
				}
				var o storage.AOptions
				if n%40 == 1 {
					trace := labels.FromStrings("trace_id", fmt.Sprintf("%s-%s-%d", job, code, n))
					o.Exemplars = []exemplar.Exemplar{{Labels: trace, Value: v, Ts: at(n) - 7, HasTs: true}}
				}
				w.add(ls, at(n), v, nil, nil, o)
			}
		}
	}
}

func (w *writer) edges() {
	values := []float64{
		0, math.Copysign(0, -1), 1, -1, 0.1, 1e-7, 1e-6, 1.5e20, 1e21, 1e22, 123456789012345678, 1 << 53, -(1 << 53), math.Pi,
		math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN(), math.Float64frombits(value.StaleNaN), 42,
	}
	ls := labels.FromStrings("__name__", "edge")
	for n := range steps {
		w.add(ls, at(n)+int64(n), values[n%len(values)], nil, nil, storage.AOptions{})
	}
}

func (w *writer) names() {
	for i, name := range []string{"köln", `a"b\c`, "line\nbreak\ttab", "<b>&amp;\u2028\x01", "x"} {
		ls := labels.FromStrings("__name__", "http.status", "service.name", name, "room", fmt.Sprint(i))
		for n := range steps {
			w.add(ls, at(n), float64(n%(i+2)), nil, nil, storage.AOptions{})
		}
	}
}

func (w *writer) histograms() {
	latency := func(kind string) labels.Labels { return labels.FromStrings("__name__", "latency", "kind", kind) }
	for n, h := range tsdbutil.GenerateTestCustomBucketsHistograms(steps) {
		w.add(latency("custom"), at(n), 0, h, nil, storage.AOptions{})
	}
	for n, h := range tsdbutil.GenerateTestFloatHistograms(steps) {
		w.add(latency("float"), at(n), 0, nil, h, storage.AOptions{})
	}
	for n, h := range tsdbutil.GenerateTestGaugeHistograms(steps) {
		w.add(latency("gauge"), at(n), 0, h, nil, storage.AOptions{})
	}
	for n, h := range tsdbutil.GenerateTestHistograms(steps) {
		w.add(latency("int"), at(n), 0, h, nil, storage.AOptions{})
	}
	for i, le := range []string{"+Inf", "0.1", "1", "10"} {
		ls := labels.FromStrings("__name__", "old_seconds_bucket", "le", le)
		for n := range steps {
			w.add(ls, at(n), float64(((i+3)%4+1)*n), nil, nil, storage.AOptions{})
		}
	}
}

const steps = int(End-Start) / Step

// at returns the time of step n in Unix milliseconds.
func at(n int) int64 { return (Start + int64(n+1)*Step) * 1000 }

func (w *writer) add(ls labels.Labels, ms int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AOptions) {
	if w.err != nil {
		return
	}
	if _, err := w.app.Append(0, ls, 0, ms, v, h, fh, o); err != nil {
		w.err = fmt.Errorf("append to %s at %d ms: %w", ls, ms, err)
	}
}
