package query_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/query"
	"tsdb/query/querytest"
	"tsdb/storage"
)

// A dashboard over 2,000 series that is loaded again every 15 s: what the last
// six hours cost cold, and warm, moved by one step. There are samples for 100
// loads: -benchtime=50x.
func BenchmarkCachedRange(b *testing.B) {
	const (
		series = 2000
		step   = 15_000
		window = 6 * 3600_000
		loads  = 100
	)
	begin := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	clock := vfs.NewManualClock(begin)
	fs := vfs.NewMem()
	db, err := storage.Open(b.Context(), fs, "data", storage.Options{Clock: clock, CutHeadBytes: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close(b.Context())
	s := &querytest.Storage{Queryable: query.NewQueryable(db, model.DefaultTenant), DB: db, FS: fs}
	for at := begin.UnixMilli(); at < begin.UnixMilli()+window+loads*step; at += step {
		app := s.AppenderV2(b.Context())
		for i := range series {
			ls := labels.FromStrings("__name__", "x_total", "i", fmt.Sprint(i), "job", fmt.Sprint("job", i%10))
			if _, err := app.Append(0, ls, 0, at+int64(i), float64(at/1000*int64(i)), nil, nil, promstorage.AOptions{}); err != nil {
				b.Fatal(err)
			}
		}
		if err := app.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := db.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	clock.Advance(window * time.Millisecond)
	e := query.New(query.Options{CacheBytes: 64 << 20})
	defer e.Close()
	for _, expr := range []string{"sum by (job) (rate(x_total[5m]))", `rate(x_total{i=~".."}[5m])`} {
		load := func(end time.Time, opts promql.QueryOpts) {
			q, err := e.NewRangeQuery(b.Context(), s, opts, expr, end.Add(-window*time.Millisecond), end, step*time.Millisecond)
			if err != nil {
				b.Fatal(err)
			}
			defer q.Close()
			if res := q.Exec(b.Context()); res.Err != nil {
				b.Fatal(res.Err)
			}
		}
		b.Run("cold/"+expr, func(b *testing.B) {
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				load(clock.Now(), query.Uncached(nil))
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
		b.Run("warm/"+expr, func(b *testing.B) {
			b.ReportAllocs()
			e.DropCache()
			load(clock.Now(), nil)
			e.SettleCache()
			before := cpuTime(b)
			for b.Loop() {
				clock.Advance(step * time.Millisecond)
				load(clock.Now(), nil)
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}
