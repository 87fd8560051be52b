package otlp

import (
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/storage"
)

// zeroThreshold is the width of the zero bucket of histograms from OTLP, as Prometheus
// sets it. The protocol's own field, which most senders leave out, has no effect there
// either.
const zeroThreshold = 1e-128

// exponential is an ExponentialHistogramDataPoint.
type exponential struct {
	distribution
	zeroCount          uint64
	scale              int32
	positive, negative []byte // Buckets
}

// addExpHistogramPoint decodes an ExponentialHistogramDataPoint.
func (d *decoder) addExpHistogramPoint(b *door.Batch, start, end int) error {
	src := d.src[:end]
	h := exponential{distribution: distribution{point: point{firstEx: len(d.exemplars)}}}
	p := &h.point
	var hasPositive, hasNegative bool
	for i := start; i < end; {
		at := i
		tag, n := wire.Uvarint(src, i)
		var u uint64
		switch {
		case n < 0:
			i = n
		case tag == tagExpScale:
			u, i = wire.Uvarint(src, n)
			h.scale = zigzag(u)
		case tag == tagExpZeroCount:
			h.zeroCount, i = wire.Uint64(src, n)
		case tag == tagExpPositive:
			i = singular(src, n, &h.positive, &hasPositive)
		case tag == tagExpNegative:
			i = singular(src, n, &h.negative, &hasNegative)
		case tag == tagExpExample:
			i = d.addExemplar(src, n)
		case tag == tagExpAttr:
			i = p.addAttributes(src, i, tagExpAttr)
		case tag == tagExpFlags:
			p.flags, i = wire.Uvarint(src, n)
		default:
			var ok bool
			if i, ok = h.field(src, tag, n); !ok {
				i = wire.SkipField(src, n, tag, expFields)
			}
		}
		if i < 0 {
			return door.Malformed("ExponentialHistogramDataPoint", at)
		}
	}
	native := &histogram.Histogram{
		Schema: min(h.scale, histogram.ExponentialSchemaMax), ZeroThreshold: zeroThreshold,
		Count: h.count, ZeroCount: h.zeroCount, Sum: h.sum,
	}
	bad := ""
	for _, side := range [...]struct {
		buckets []byte
		spans   *[]histogram.Span
		deltas  *[]int64
	}{
		{h.positive, &native.PositiveSpans, &native.PositiveBuckets},
		{h.negative, &native.NegativeSpans, &native.NegativeBuckets},
	} {
		offset, ok := d.readBuckets(side.buckets)
		if !ok {
			return door.Malformed("ExponentialHistogramDataPoint", start)
		}
		if err := d.budget.take(8 * len(d.counts)); err != nil {
			return err
		}
		if bad == "" {
			*side.spans, *side.deltas, bad = d.convertBuckets(offset, h.scale)
		}
	}
	if ok, err := d.check(b, p, start, end, tagExpAttr); !ok {
		return err
	}
	if h.scale < histogram.ExponentialSchemaMin {
		bad = fmt.Sprintf("exponential histogram of scale %d, the least is %d", h.scale, histogram.ExponentialSchemaMin)
	}
	if bad != "" && !p.noValue() {
		return d.refusePoint(b, p, storage.ReasonBadHistogram, bad)
	}
	return d.queueNative(b, p, native)
}

// zigzag decodes a sint32.
func zigzag(u uint64) int32 { return int32(uint32(u)>>1) ^ -int32(u&1) }

// readBuckets decodes Buckets into counts. It returns the offset of the first.
func (d *decoder) readBuckets(m []byte) (offset int32, ok bool) {
	d.counts = d.counts[:0]
	for i := 0; i < len(m); {
		tag, n := wire.Uvarint(m, i)
		var u uint64
		switch {
		case n < 0:
			i = n
		case tag == tagExpOffset:
			u, i = wire.Uvarint(m, n)
			offset = zigzag(u)
		case tag == tagExpCount1:
			u, i = wire.Uvarint(m, n)
			d.counts = append(d.counts, u)
		case tag == tagExpCounts:
			var from int
			if from, i = wire.LengthPrefixed(m, n); i < 0 {
				break
			}
			for list := m[:i]; from < i; {
				if u, from = wire.Uvarint(list, from); from < 0 {
					return 0, false
				}
				d.counts = append(d.counts, u)
			}
		default:
			i = wire.SkipField(m, n, tag, bucketFields)
		}
		if i < 0 {
			return 0, false
		}
	}
	return offset, true
}

// convertBuckets returns the buckets of a native histogram. A scale above the finest
// schema is reduced by merging buckets, without a loss: their bounds coincide. Bucket i of
// OTLP, which ends at base^(i+1), is bucket i+1 of Prometheus.
func (d *decoder) convertBuckets(offset, scale int32) (spans []histogram.Span, deltas []int64, bad string) {
	if len(d.counts) == 0 {
		return nil, nil, ""
	}
	shift := min(max(int64(scale)-int64(histogram.ExponentialSchemaMax), 0), 62)
	first := int64(offset) >> shift
	merged := d.counts[:0]
	for i, c := range d.counts {
		if at := (int64(offset)+int64(i))>>shift - first; at < int64(len(merged)) {
			if merged[at] += c; merged[at] < c {
				return nil, nil, "more observations in a bucket than a count can hold"
			}
			continue
		}
		merged = append(merged, c)
	}
	d.counts = merged
	const maxIndex = 1 << 30
	if last := first + int64(len(merged)); first < -maxIndex || last > maxIndex {
		return nil, nil, fmt.Sprintf("bucket indexes %d to %d are not between %d and %d", first, last, -maxIndex, maxIndex)
	}
	spans, deltas = layout(first+1, merged)
	return spans, deltas, ""
}
