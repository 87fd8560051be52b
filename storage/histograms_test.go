package storage

import "github.com/prometheus/prometheus/model/histogram"

func goodHistogram() *histogram.Histogram {
	return &histogram.Histogram{
		Schema: 0, ZeroThreshold: 0.001, ZeroCount: 1, Count: 2, Sum: 5,
		PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}}, PositiveBuckets: []int64{1},
	}
}
