package query_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/query"
	"tsdb/query/querytest"
)

// Windows that hold chunks as a whole, whose values are not read, give what
// Prometheus' engine gives, with the same count of samples.
func TestWholeChunksAnswerAsTheirSamples(t *testing.T) {
	s := querytest.New(t, true)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	r := rand.New(rand.NewPCG(1, 2))
	const day = 24 * 3600 * 1000
	for i, value := range []func(k int64) float64{
		func(int64) float64 { return r.NormFloat64() },
		func(k int64) float64 { return float64(k % 977 * (k % 13)) },
		func(int64) float64 { return 3 },
		func(k int64) float64 { // plain on most days
			if k > 1000 && k < 1010 {
				return []float64{math.NaN(), math.Inf(1), math.Float64frombits(value.StaleNaN)}[k%3]
			}
			return r.Float64()
		},
	} {
		app := s.AppenderV2(t.Context())
		ls := labels.FromStrings("__name__", "m", "i", fmt.Sprint(i))
		for k := range int64(6 * 2880) {
			if _, err := app.Append(0, ls, 0, k*30_000+1, value(k), nil, nil, promstorage.AOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	ours := query.New(query.Options{})
	theirs := promql.NewEngine(promql.EngineOpts{
		MaxSamples: query.DefaultMaxSamples, Timeout: time.Minute, LookbackDelta: query.DefaultLookback,
		EnableAtModifier: true, EnableNegativeOffset: true,
	})
	fewer := 0
	for range 60 {
		f := []string{"max_over_time", "min_over_time", "count_over_time", "present_over_time", "absent_over_time"}[r.IntN(5)]
		width := []string{"1d", "2d", "3d", "25h", "90m", "100d"}[r.IntN(6)]
		q := fmt.Sprintf("%s(m[%s] offset %dh)", f, width, r.IntN(3)*12)
		if r.IntN(4) == 0 {
			q = fmt.Sprintf("%s(m[%s] @ %d)", f, width, 3*day/1000)
		}
		start := time.UnixMilli(r.Int64N(7) * day)
		if r.IntN(3) == 0 {
			start = start.Add(time.Duration(r.Int64N(day)) * time.Millisecond)
		}
		end, step := start.Add(time.Duration(r.IntN(4))*24*time.Hour), []time.Duration{time.Hour, 24 * time.Hour, 7 * time.Hour}[r.IntN(3)]
		var results [2]string
		var total, read [2]int64
		for i, e := range []promql.QueryEngine{ours, theirs} {
			q, err := e.NewRangeQuery(context.Background(), s, nil, q, start, end, step)
			if err != nil {
				t.Fatal(err)
			}
			res := q.Exec(context.Background())
			if res.Err != nil {
				t.Fatal(res.Err)
			}
			results[i], total[i] = res.String(), q.Stats().Samples.TotalSamples
			read[i] = q.Stats().Samples.SamplesRead
			q.Close()
		}
		if read[0] < read[1]/2 {
			fewer++
		}
		if results[0] != results[1] || total[0] != total[1] {
			t.Errorf("%s from %v to %v step %v:\n%s\n%d samples, Prometheus:\n%s\n%d samples", q, start.UTC(), end.UTC(), step, results[0], total[0], results[1], total[1])
		}
	}
	if fewer < 10 {
		t.Errorf("only %d queries read less than half of the samples of their windows", fewer)
	}
}
