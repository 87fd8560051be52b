package query_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/query"
	"tsdb/query/querytest"
)

const (
	benchSeries  = 2000
	benchSamples = 6 * 240 // six hours at 15 s
)

// fleet returns a database with 2,000 counters of six hours at 15 s, some of
// them jittered, in blocks.
func fleet(b *testing.B) *querytest.Storage {
	b.Helper()
	s := querytest.New(b, true)
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	for i := range benchSeries {
		app := s.AppenderV2(b.Context())
		ls := labels.FromStrings("__name__", "requests_total", "job", fmt.Sprint("job", i%10), "instance", fmt.Sprint("host-", i/10), "path", fmt.Sprint("/api/", i))
		v := float64(i)
		for k := range int64(benchSamples) {
			v += float64((k*int64(i+7)*7919)%23) / 4
			if _, err := app.Append(0, ls, 0, k*15_000+int64(i%2)*((k*31)%7), v, nil, nil, promstorage.AOptions{}); err != nil {
				b.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	q, err := s.Querier(0, 1) // cuts and merges
	if err != nil {
		b.Fatal(err)
	}
	if err := q.Close(); err != nil {
		b.Fatal(err)
	}
	return s
}

// cpuTime returns what the process has used. On a busy machine it says more
// than the time on the wall.
func cpuTime(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRange compares our engine with Prometheus' on the same storage. The
// column M/s counts samples of the series, each once.
func BenchmarkRange(b *testing.B) {
	s := fleet(b)
	end := time.UnixMilli(benchSamples * 15_000)
	engines := []struct {
		name string
		promql.QueryEngine
	}{
		{"tsdb", query.New(query.Options{})},
		{"prometheus", promql.NewEngine(promql.EngineOpts{
			MaxSamples: query.DefaultMaxSamples, Timeout: time.Minute, LookbackDelta: query.DefaultLookback,
			NoStepSubqueryIntervalFn: func(int64) int64 { return 60_000 },
			EnableAtModifier:         true, EnableNegativeOffset: true,
		})},
	}
	for _, q := range []struct{ name, text string }{
		{"few", `sum by (job) (rate(requests_total{instance="host-7"}[5m]))`},
		{"sum_by_rate", "sum by (job) (rate(requests_total[5m]))"},
		{"rate", "rate(requests_total[5m])"},
		{"max_1h", "max_over_time(requests_total[1h])"},
		{"count", "count(requests_total)"},
		{"topk", "topk(5, sum by (instance) (rate(requests_total[5m])))"},
	} {
		for _, e := range engines {
			b.Run(fmt.Sprintf("query=%s/engine=%s", q.name, e.name), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(benchSeries * benchSamples) // samples
				before := cpuTime(b)
				for b.Loop() {
					q, err := e.NewRangeQuery(context.Background(), s, nil, q.text, end.Add(-6*time.Hour+5*time.Minute), end, time.Minute)
					if err != nil {
						b.Fatal(err)
					}
					if res := q.Exec(context.Background()); res.Err != nil {
						b.Fatal(res.Err)
					}
					q.Close()
				}
				used := cpuTime(b) - before
				b.ReportMetric(float64(used.Nanoseconds())/float64(b.N)/(benchSeries*benchSamples), "cpu-ns/sample")
			})
		}
	}
}
