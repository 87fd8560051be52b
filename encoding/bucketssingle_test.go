package encoding

import (
	"bytes"
	"math"
	"testing"

	"tsdb/internal/model"
)

// A bucket of one sample has the bytes that the general way gives it, whatever the value;
// and what such a bucket cannot have goes that way.
func TestABucketOfOneSampleIsWrittenAsAnyOther(t *testing.T) {
	values := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 1e300, -1e-300, 5e-324, math.MaxFloat64, -math.MaxFloat64, math.Inf(1), math.NaN(), 1 << 53}
	for e := range 64 {
		values = append(values, math.Float64frombits(0x9e3779b97f4a7c15*uint64(e+1)))
	}
	short := 0
	for _, v := range values {
		for _, change := range []func(b *model.Buckets){
			func(*model.Buckets) {},
			func(b *model.Buckets) { b.Flags[0] |= model.BucketNoResets },
			func(b *model.Buckets) { b.Flags[0] |= model.BucketStale },
			func(b *model.Buckets) { b.V2[0] = 7 }, // means nothing
			func(b *model.Buckets) { b.Count[0], b.V2[0] = 2, v },
			func(b *model.Buckets) { b.Count[0] = 0 },
			func(b *model.Buckets) { b.Min[0]++ },
			func(b *model.Buckets) { b.Sum[0] = -v },
			func(b *model.Buckets) { b.Changes[0] = 1 },
			func(b *model.Buckets) { b.Resets[0], b.Lost[0] = 1, v },
		} {
			var b model.Buckets
			b.Grow(1)
			b.Count[0], b.FirstV[0], b.V1[0], b.Min[0], b.Max[0], b.Sum[0] = 1, v, v, v, v, v
			change(&b)
			got, want := AppendBucketValues([]byte{42}, &b), appendBucketValues([]byte{42}, &b)
			if !bytes.Equal(got, want) {
				t.Errorf("value %v, flags %v, count %d: %x, want %x", v, b.Flags[0], b.Count[0], got, want)
			}
			if isSingleSample(&b) {
				short++
			}
		}
	}
	if short < 3*len(values)/2 {
		t.Errorf("%d rows of %d values went the short way", short, len(values))
	}
}
