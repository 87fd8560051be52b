package query_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/query/querytest"
)

// BenchmarkTiers answers questions about 30 days of 50 counters of 15 s from hours and
// from samples. With newest=head, the last day is in memory.
func BenchmarkTiers(b *testing.B) {
	const series, days = 50, 30
	s := querytest.NewWithRollups(b, true, block.Hour)
	defer s.Close()
	write := func(from, to int64) {
		for i := range series {
			app := s.AppenderV2(b.Context())
			ls := labels.FromStrings("__name__", "requests_total", "instance", fmt.Sprint("host-", i))
			for at := from; at < to; at += 15_000 {
				k := at / 15_000
				v := float64(i) + float64(k)*7 + float64((k*int64(i+7)*7919)%23)/4
				if _, err := app.Append(0, ls, 0, at+int64(i%2)*((k*31)%7)+1, v, nil, nil, promstorage.AOptions{}); err != nil {
					b.Fatal(err)
				}
			}
			if err := app.Commit(); err != nil {
				b.Fatal(err)
			}
		}
	}
	const end = days * model.DayMs
	write(0, end-model.DayMs)
	if _, err := s.DB.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	plain := query.NewQueryable(s.DB, model.DefaultTenant)
	e := query.New(query.Options{})
	for _, newest := range []string{"none", "head"} {
		if newest == "head" {
			write(end-model.DayMs, end)
		}
		for _, q := range []struct {
			name, text string
			step       time.Duration
		}{
			{"increase_30d", "sum(increase(requests_total[30d]))", 0},
			{"increase_30d_odd", "sum(increase(requests_total[30d] offset 17m13s))", 0},
			{"rate_1h", "sum(rate(requests_total[1h]))", time.Hour},
			{"rate_interval", "sum(rate(requests_total[1h15s]))", time.Hour},
			{"max_1d", "max(max_over_time(requests_total[1d]))", 6 * time.Hour},
			{"avg_1d", "avg(avg_over_time(requests_total[1d]))", 6 * time.Hour},
			{"last", "sum(requests_total)", time.Hour},
		} {
			for _, tier := range []string{"raw", "auto"} {
				b.Run(fmt.Sprintf("newest=%s/query=%s/resolution=%s", newest, q.name, tier), func(b *testing.B) {
					r, err := query.ParseResolution(tier)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportAllocs()
					for b.Loop() {
						p, err := e.Range(context.Background(), plain, query.WithResolution(nil, r), q.text, time.UnixMilli(model.DayMs), time.UnixMilli(end), max(q.step, time.Hour))
						if q.step == 0 {
							p, err = e.Instant(context.Background(), plain, query.WithResolution(nil, r), q.text, time.UnixMilli(end))
						}
						if err != nil {
							b.Fatal(err)
						}
						if res := p.Exec(context.Background()); res.Err != nil {
							b.Fatal(res.Err)
						}
						p.Close()
					}
				})
			}
		}
	}
}
