package encoding_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"tsdb/benchmarks/sets"
	"tsdb/encoding"
	"tsdb/internal/model"
	"tsdb/rollup/bucket"
)

// BenchmarkBucketSets encodes the buckets of a group of each data set over 8 days in
// chunks of days, and reports their bytes and time. Times count once for all series
// that share them.
func BenchmarkBucketSets(b *testing.B) {
	o := sets.Options{Groups: 1, Start: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Span: 8 * 24 * time.Hour, Seed: 1}
	for _, set := range []sets.Set{sets.CPUOnly(o), sets.DevOps(o), sets.Nodes(o), sets.Sensors(o)} {
		for _, resolution := range []int64{model.HourMs, model.MinuteMs} {
			for _, days := range []int{1, 8} {
				b.Run(fmt.Sprintf("set=%s/resolution=%ds/days=%d", set.Name, resolution/1000, days), func(b *testing.B) {
					benchmarkBucketSet(b, set, resolution, int(int64(days)*model.DayMs/resolution))
				})
			}
		}
	}
}

// benchmarkBucketSet encodes chunks of the given number of rows.
func benchmarkBucketSet(b *testing.B, set sets.Set, resolution int64, chunk int) {
	series, err := set.Group(0)
	if err != nil {
		b.Fatal(err)
	}
	raw, rows := 0, 0
	all := make([]*model.Buckets, len(series))
	for i, s := range series {
		for at := 0; at < len(s.Values); at += 4096 {
			column, _ := encoding.AppendFloats(nil, s.Values[at:min(at+4096, len(s.Values))], encoding.Full, 0)
			raw += len(column)
		}
		all[i] = encoding.BucketsOf(s.Times, s.Values, resolution)
		bucket.OmitResets(resolution, all[i])
		rows += all[i].Len()
	}
	bytes := 0
	var times, values []byte
	begin := cpuTime(b)
	for b.Loop() {
		bytes = 0
		known := map[string]bool{}
		for _, buckets := range all {
			for at := 0; at < buckets.Len(); at += chunk {
				part := buckets.Slice(at, min(at+chunk, buckets.Len()))
				times, values = encoding.AppendBucketTimes(times[:0], &part, resolution), encoding.AppendBucketValues(values[:0], &part)
				if bytes += len(values); !known[string(times)] {
					known[string(times)] = true
					bytes += len(times)
				}
			}
		}
	}
	b.ReportMetric(float64(bytes)/float64(rows), "B/bucket")
	b.ReportMetric(100*float64(bytes)/float64(raw), "%raw")
	b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N)/float64(rows), "cpu-ns/bucket")
	b.ReportMetric(0, "ns/op")
}

// cpuTime returns the CPU time of the process, which other load on the machine changes
// less than the time that passes.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
