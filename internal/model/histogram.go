package model

import (
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
)

// maxBucketIndex bounds the magnitude of bucket indexes, because merging two
// histograms computes the distance of their buckets as an int32. The whole range
// of float64, at the finest schema, takes 538,624 buckets.
const maxBucketIndex = 1 << 30

// Validate returns an error for histograms that Prometheus refuses, and for those
// that it stores but cannot add up: see CheckLayout.
func (h Histogram) Validate() error {
	switch {
	case h.Int != nil:
		if err := h.Int.Validate(); err != nil {
			return err
		}
		if err := checkCounts(h.Int); err != nil {
			return err
		}
	case h.Float != nil:
		if err := h.Float.Validate(); err != nil {
			return err
		}
	}
	return h.CheckLayout()
}

// CheckLayout returns an error if the number of buckets differs from the spans', if a
// bucket's index is out of bounds, so that sums overflow, or if the zero threshold is
// NaN: a sum of two histograms raises the lower threshold until both are equal, which
// would never end. It is cheap: unlike Validate it does not examine the counts.
func (h Histogram) CheckLayout() error {
	var positive, negative []histogram.Span
	var numPositive, numNegative int
	var zeroThreshold float64
	switch {
	case h.Int != nil:
		zeroThreshold = h.Int.ZeroThreshold
		positive, negative = h.Int.PositiveSpans, h.Int.NegativeSpans
		numPositive, numNegative = len(h.Int.PositiveBuckets), len(h.Int.NegativeBuckets)
	case h.Float != nil:
		zeroThreshold = h.Float.ZeroThreshold
		positive, negative = h.Float.PositiveSpans, h.Float.NegativeSpans
		numPositive, numNegative = len(h.Float.PositiveBuckets), len(h.Float.NegativeBuckets)
	}
	if math.IsNaN(zeroThreshold) {
		return errors.New("the zero threshold is NaN")
	}
	if err := checkSpans(positive, numPositive); err != nil {
		return fmt.Errorf("positive side: %w", err)
	}
	if err := checkSpans(negative, numNegative); err != nil {
		return fmt.Errorf("negative side: %w", err)
	}
	return nil
}

func checkSpans(spans []histogram.Span, buckets int) error {
	named := int64(0)
	for _, s := range spans {
		named += int64(s.Length)
	}
	if named != int64(buckets) {
		return fmt.Errorf("spans need %d buckets, have %d buckets: %w", named, buckets, histogram.ErrHistogramSpansBucketsMismatch)
	}
	next := int64(0) // index after the last bucket
	for i, s := range spans {
		if i > 0 && s.Offset < 0 {
			return fmt.Errorf("span number %d with offset %d: %w", i+1, s.Offset, histogram.ErrHistogramSpanNegativeOffset)
		}
		first := next + int64(s.Offset)
		next = first + int64(s.Length)
		if first < -maxBucketIndex || next > maxBucketIndex {
			return fmt.Errorf("span number %d with offset %d and length %d: bucket indexes %d to %d are not between %d and %d",
				i+1, s.Offset, s.Length, first, next-1, -maxBucketIndex, maxBucketIndex-1)
		}
	}
	return nil
}

// checkCounts returns an error if the sum of the counts overflows, so that it
// could wrap around to the histogram's count.
func checkCounts(h *histogram.Histogram) error {
	sum := h.ZeroCount
	for _, deltas := range [...][]int64{h.PositiveBuckets, h.NegativeBuckets} {
		count := int64(0)
		for _, d := range deltas {
			count += d
			if sum += uint64(count); sum < uint64(count) {
				return fmt.Errorf("more observations in buckets than a count can hold: %w", histogram.ErrHistogramCountMismatch)
			}
		}
	}
	return nil
}
