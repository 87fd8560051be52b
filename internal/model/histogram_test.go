package model

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
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
			if err := (Histogram{Float: sum}).CheckLayout(); err != nil {
				t.Errorf("schema %d %v + schema %d %v: %v", a.Schema, a.PositiveSpans, b.Schema, b.PositiveSpans, err)
			}
		}
	}
}

// Histograms with any zero threshold can be added, except NaN, which is refused:
// sums of it never end.
func TestZeroThresholds(t *testing.T) {
	thresholds := []float64{math.Inf(-1), -1, math.Copysign(0, -1), 0, math.SmallestNonzeroFloat64, 1e-3, 1, math.MaxFloat64, math.Inf(1)}
	for _, a := range thresholds {
		for _, b := range thresholds {
			h, other := floatHistogram(0, histogram.Span{Offset: 0, Length: 2}), floatHistogram(3, histogram.Span{Offset: -5, Length: 9})
			h.ZeroThreshold, other.ZeroThreshold = a, b
			if err := (Histogram{Float: h}).CheckLayout(); err != nil {
				t.Fatalf("threshold %v: %v", a, err)
			}
			sum, _, _, err := h.Add(other)
			if err != nil || sum.ZeroThreshold < max(a, b) {
				t.Errorf("thresholds %v + %v: %v, %v", a, b, sum, err)
			}
		}
	}
	for _, pair := range [][2]float64{{0, math.Copysign(0, -1)}, {math.NaN(), math.Copysign(math.NaN(), -1)}} {
		if (Histogram{Int: &histogram.Histogram{ZeroThreshold: pair[0]}}).Equal(Histogram{Int: &histogram.Histogram{ZeroThreshold: pair[1]}}) ||
			(Histogram{Float: &histogram.FloatHistogram{ZeroThreshold: pair[0]}}).Equal(Histogram{Float: &histogram.FloatHistogram{ZeroThreshold: pair[1]}}) {
			t.Errorf("thresholds %v and %v are equal", pair[0], pair[1])
		}
	}
	for _, nan := range []float64{math.NaN(), math.Float64frombits(value.StaleNaN), math.Copysign(math.NaN(), -1)} {
		h, i := floatHistogram(0, histogram.Span{Length: 1}), &histogram.Histogram{ZeroThreshold: nan}
		h.ZeroThreshold = nan
		for _, h := range []Histogram{{Float: h}, {Int: i}} {
			if h.Validate() == nil {
				t.Errorf("%+v is taken", h)
			}
			if !h.Equal(h) {
				t.Errorf("%+v is not equal to itself", h)
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
