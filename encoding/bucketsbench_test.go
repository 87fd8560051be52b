package encoding

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tsdb/internal/model"
)

// The benchmarks of buckets run over chunks of a day and of 64 days of hours, which are
// the shortest and the longest. SetBytes counts rows.

func benchmarkBuckets(b *testing.B, run func(b *testing.B, rows *model.Buckets, resolution int64)) {
	for _, p := range bucketPatterns {
		for _, n := range []int{24, 1536} {
			b.Run(fmt.Sprintf("pattern=%s/rows=%d", p.name, n), func(b *testing.B) {
				rows := p.buckets(rand.New(rand.NewPCG(1, 2)), n)
				b.SetBytes(int64(rows.Len()))
				b.ReportAllocs()
				run(b, rows, p.resolution)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows.Len()), "ns/row")
			})
		}
	}
}

func BenchmarkEncodeBuckets(b *testing.B) {
	benchmarkBuckets(b, func(b *testing.B, rows *model.Buckets, resolution int64) {
		var times, values []byte
		for b.Loop() {
			times, values = AppendBucketTimes(times[:0], rows, resolution), AppendBucketValues(values[:0], rows)
		}
		b.ReportMetric(float64(len(times))/float64(rows.Len()), "times-B/row")
		b.ReportMetric(float64(len(values))/float64(rows.Len()), "values-B/row")
	})
}

func BenchmarkDecodeBuckets(b *testing.B) {
	for _, c := range []struct {
		name string
		need model.BucketColumns
	}{
		{"rate", model.ColumnFirst | model.ColumnLast | model.ColumnLost},
		{"all", model.AllBucketColumns},
	} {
		b.Run("need="+c.name, func(b *testing.B) {
			benchmarkBuckets(b, func(b *testing.B, rows *model.Buckets, resolution int64) {
				times, values := AppendBucketTimes(nil, rows, resolution), AppendBucketValues(nil, rows)
				var dst model.Buckets
				for b.Loop() {
					dst.Reset()
					if err := DecodeBucketTimes(&dst, times, rows.Len(), resolution); err != nil {
						b.Fatal(err)
					}
					if err := DecodeBucketValues(&dst, 0, values, c.need); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkDecodeBucketRange decodes the values of the second half of a chunk of 64 days
// of hours, as a window does that begins in it.
func BenchmarkDecodeBucketRange(b *testing.B) {
	benchmarkBuckets(b, func(b *testing.B, rows *model.Buckets, resolution int64) {
		n := rows.Len()
		values, dst := AppendBucketValues(nil, rows), rows.Slice(n/2, n)
		for b.Loop() {
			if err := DecodeBucketValuesRange(&dst, 0, values, n, n/2, model.ColumnFirst|model.ColumnLast|model.ColumnSum|model.ColumnLost); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkBucketBytes reports the bytes of the inner columns a row, and those of all
// values in percent of the bytes that the samples take.
func BenchmarkBucketBytes(b *testing.B) {
	for _, p := range bucketPatterns {
		for _, n := range []int{24, 192, 1536} {
			b.Run(fmt.Sprintf("pattern=%s/rows=%d", p.name, n), func(b *testing.B) {
				ts, vs := p.make(rand.New(rand.NewPCG(1, 2)), n)
				raw := 0
				for at := 0; at < len(vs); at += 4096 {
					column, _ := AppendFloats(nil, vs[at:min(at+4096, len(vs))], Full, 0)
					raw += len(column)
				}
				rows := bucketsOf(ts, vs, p.resolution)
				var values []byte
				for b.Loop() {
					values = AppendBucketValues(values[:0], rows)
				}
				fields, err := BucketFields(KindBucketValues, values, rows.Len())
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(100*float64(len(values))/float64(raw), "%raw")
				b.ReportMetric(float64(len(values))/float64(rows.Len()), "all-B/row")
				for _, f := range fields {
					b.ReportMetric(float64(f.Info.Bytes)/float64(rows.Len()), strings.ReplaceAll(f.Name, " ", "-")+"-B/row")
				}
			})
		}
	}
}
