package block

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// BenchmarkReadBuckets reads the buckets of counters and gauges of one target after the
// other, in a warm cache, and tells the bytes that a bucket takes.
func BenchmarkReadBuckets(b *testing.B) {
	for _, c := range []struct {
		tier Tier
		days int64
	}{{Hour, 64}, {Minute, 8}} {
		m := &modelRollup{meta: rollupMeta(c.tier, uint32(c.days))}
		const series = 100
		buckets := 0
		for k := range series {
			s := rollupSeries{labels: labels.FromStrings(MetricName, fmt.Sprintf("m_%03d", k))}
			vs := gauges(newRand(b), k, int(c.days)*1440*4)
			for day := range c.days {
				s.fill(day, c.tier, 4, 5, 15_000, func() float64 { v := vs[0]; vs = vs[1:]; return v })
			}
			buckets += s.buckets.Len()
			m.series = append(m.series, s)
		}
		fs := vfs.NewMem()
		info := m.write(b, fs, 1<<20)
		cache, err := NewCache(64 << 20)
		must(b, err)
		block := openTest(b, fs, info, cache)
		for name, need := range map[string]model.BucketColumns{"all": model.AllBucketColumns, "last": model.ColumnLast, "sum": model.ColumnSum} {
			b.Run(fmt.Sprintf("%v/columns=%s", c.tier, name), func(b *testing.B) {
				var dst model.Buckets
				b.ReportAllocs()
				for b.Loop() {
					r := block.Reader()
					for ord := range uint32(series) {
						dst.Reset()
						_, err := r.Buckets(context.Background(), ord, model.AllTime, need, &dst, nil)
						must(b, err)
					}
					r.Release()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(buckets), "ns/bucket")
				b.ReportMetric(float64(info.Size)/float64(buckets), "B/bucket")
			})
		}
		b.Cleanup(cache.Close)
	}
}
