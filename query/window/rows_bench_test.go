package window

import (
	"fmt"
	"testing"

	"tsdb/internal/model"
	"tsdb/query/steps"
	"tsdb/rollup/bucket"
)

// BenchmarkRowKernel evaluates a year of buckets of an hour at every day, over
// windows of a day. The column MB/s is million rows per second, each counted once.
// cut=true begins each window 15 s before a bucket.
func BenchmarkRowKernel(b *testing.B) {
	const hours = 365 * 24
	for _, values := range []string{"integers", "fractions"} {
		var s model.ColumnSet
		for t := int64(60_000); t < hours*model.HourMs; t += 120_000 {
			v := float64(t / 997)
			if values == "fractions" {
				v = float64(t%7919) / 10
			}
			s.Append(t, 0, v, model.Histogram{})
		}
		rows := bucket.FromSamples(model.HourMs, &s)
		for _, f := range []bucket.Function{bucket.Rate, bucket.Sum, bucket.Avg, bucket.Max, bucket.Count, bucket.Last, bucket.Changes} {
			for _, cut := range []bool{false, true} {
				b.Run(fmt.Sprintf("function=%v/values=%s/cut=%v", f, values, cut), func(b *testing.B) {
					w := &Windows{Grid: steps.Grid{Start: model.DayMs, Step: model.DayMs, N: 365}, Width: model.DayMs}
					if cut {
						w.Width += 15_000
					}
					var out testColumn
					var sc Scratch
					var known RowTimesCache
					var failing []int
					b.ReportAllocs()
					b.SetBytes(int64(rows.Len()))
					for b.Loop() {
						out.reset(w.N)
						times := sc.RowTimes(w, rows, f, &known)
						failing = times.Failing(rows, model.HourMs, false)
						p := sc.LoadRows(rows, times, quiet{})
						if err := RowKernels[f](p, out.v); err != nil {
							b.Fatal(err)
						}
					}
					if len(failing) > 0 {
						b.Fatalf("%d rows fail", len(failing))
					}
				})
			}
		}
	}
}
