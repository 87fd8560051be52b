package model

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
)

func floatHistogram(schema int32, spans ...histogram.Span) *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{Schema: schema, Count: 1, Sum: 1, PositiveSpans: spans}
	for _, s := range spans {
		for range s.Length {
			h.PositiveBuckets = append(h.PositiveBuckets, 1)
		}
	}
	return h
}

// Histograms whose buckets are at the bounds of valid indexes can be added at any
// resolution, and no bucket that can contain a value is lost.
func TestValidHistogramsAddUp(t *testing.T) {
	var all []*histogram.FloatHistogram
	for _, schema := range []int32{-4, 0, 8} {
		all = append(all,
			floatHistogram(schema, histogram.Span{Offset: -maxBucketIndex, Length: 1}),
			floatHistogram(schema, histogram.Span{Offset: maxBucketIndex - 1, Length: 1}),
			floatHistogram(schema, histogram.Span{Offset: 3, Length: 2}),
			floatHistogram(schema, histogram.Span{Offset: -maxBucketIndex, Length: 1}, histogram.Span{Offset: math.MaxInt32 - 1, Length: 1}),
		)
	}
	for _, a := range all {
		if err := (Histogram{Float: a}).Validate(); err != nil {
			t.Fatalf("%v: %v", a.PositiveSpans, err)
		}
		for _, b := range all {
			sum, _, _, err := a.Copy().Add(b)
			if err != nil {
				t.Fatalf("%v + %v: %v", a.PositiveSpans, b.PositiveSpans, err)
			}
			n := 0.0
			for _, v := range sum.PositiveBuckets {
				n += v
			}
			want := float64(len(a.PositiveBuckets) + len(b.PositiveBuckets))
			if b.PositiveSpans[0].Offset < 0 {
				want-- // below the smallest float64: Add drops it
			}
			if n != want {
				t.Errorf("schema %d %v + schema %d %v: %v observations in %v, want %v",
					a.Schema, a.PositiveSpans, b.Schema, b.PositiveSpans, n, sum.PositiveSpans, want)
			}
			if err := (Histogram{Float: sum}).CheckSpans(); err != nil {
				t.Errorf("schema %d %v + schema %d %v: %v", a.Schema, a.PositiveSpans, b.Schema, b.PositiveSpans, err)
			}
		}
	}
}

func TestSpansOutOfBoundsAreRefused(t *testing.T) {
	for _, spans := range [][]histogram.Span{
		{{Offset: maxBucketIndex, Length: 1}},
		{{Offset: -maxBucketIndex - 1, Length: 1}},
		{{Offset: math.MaxInt32, Length: 1}, {Offset: math.MaxInt32, Length: 2}},
		{{Offset: math.MinInt32, Length: 1}},
		{{Offset: math.MaxInt32}, {Offset: math.MaxInt32}, {Offset: 5, Length: 1}},
		{{Offset: 1, Length: 1}, {Offset: -1, Length: 1}},
	} {
		if err := (Histogram{Float: floatHistogram(0, spans...)}).Validate(); err == nil {
			t.Errorf("%v is taken", spans)
		}
	}
}
