package otlp

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/internal/model"
	"tsdb/storage"
)

// maxBuckets bounds the buckets of a histogram with explicit bounds, and the quantiles
// of a summary: each becomes a sample.
const maxBuckets = 10_000

// explicit is a HistogramDataPoint. Its buckets are decoder.bounds and counts.
type explicit struct {
	distribution
	numBounds int // sent, including those beyond the limit, which are not kept
	numCounts int
}

// addHistogramPoint decodes a HistogramDataPoint.
func (d *decoder) addHistogramPoint(b *door.Batch, start, end int) error {
	src := d.src[:end]
	h := explicit{distribution: distribution{point: point{firstEx: len(d.exemplars)}}}
	p := &h.point
	d.bounds, d.counts = d.bounds[:0], d.counts[:0]
	for i := start; i < end; {
		at := i
		tag, n := wire.Uvarint(src, i)
		switch {
		case n < 0:
			i = n
		case tag == tagHistCounts, tag == tagHistBounds:
			var from int
			if from, i = wire.LengthPrefixed(src, n); i >= 0 {
				i = d.addFixed(&h, tag == tagHistBounds, src[:i], from)
			}
		case tag == tagHistCount1, tag == tagHistBound1:
			if i = n + 8; i > end {
				i = -1
				break
			}
			i = d.addFixed(&h, tag == tagHistBound1, src[:i], n)
		case tag == tagHistExample:
			i = d.addExemplar(src, n)
		case tag == tagHistAttr:
			i = p.addAttributes(src, i, tagHistAttr)
		case tag == tagHistFlags:
			p.flags, i = wire.Uvarint(src, n)
		default:
			var ok bool
			if i, ok = h.field(src, tag, n); !ok {
				i = wire.SkipField(src, n, tag, histFields)
			}
		}
		if i < 0 {
			return door.Malformed("HistogramDataPoint", at)
		}
	}
	if ok, err := d.check(b, p, start, end, tagHistAttr); !ok {
		return err
	}
	if reason, bad := d.checkBuckets(&h); bad != "" {
		return d.refusePoint(b, p, reason, bad)
	}
	if d.rules.ConvertHistogramsToNHCB {
		return d.queueCustomBuckets(b, p, &h)
	}
	return d.queueBuckets(b, p, &h)
}

// addFixed adds eight-byte numbers to bounds or counts. It returns the position after
// them, negative if they do not fill the list.
func (d *decoder) addFixed(h *explicit, bounds bool, list []byte, i int) int {
	if (len(list)-i)%8 != 0 {
		return -1
	}
	for i < len(list) {
		var u uint64
		u, i = wire.Uint64(list, i)
		if bounds {
			if h.numBounds++; h.numBounds <= maxBuckets {
				d.bounds = append(d.bounds, math.Float64frombits(u))
			}
		} else if h.numCounts++; h.numCounts <= maxBuckets+1 {
			d.counts = append(d.counts, u)
		}
	}
	return i
}

// checkBuckets returns the reason why buckets contradict each other, empty if they do
// not.
func (d *decoder) checkBuckets(h *explicit) (storage.Reason, string) {
	switch {
	case h.numBounds > maxBuckets || h.numCounts > maxBuckets+1:
		return storage.ReasonLimit, fmt.Sprintf("histogram has %d buckets, limit is %d", max(h.numBounds+1, h.numCounts), maxBuckets+1)
	case h.numCounts != 0 && h.numCounts != h.numBounds+1:
		return storage.ReasonBadHistogram, fmt.Sprintf("histogram has %d bucket counts for %d bounds, want one more than bounds", h.numCounts, h.numBounds)
	}
	for i, bound := range d.bounds {
		if bound != bound || i > 0 && bound <= d.bounds[i-1] {
			return storage.ReasonBadHistogram, fmt.Sprintf("histogram bounds are not ascending: number %d is %v", i+1, bound)
		}
	}
	sum := uint64(0)
	for _, c := range d.counts {
		if sum += c; sum < c {
			return storage.ReasonBadHistogram, "histogram has more observations in buckets than a count can hold"
		}
	}
	return "", ""
}

// queueBuckets queues the series of a classic histogram.
func (d *decoder) queueBuckets(b *door.Batch, p *point, h *explicit) error {
	if err := d.budget.take((3 + len(d.counts)) * sampleBytes); err != nil {
		return err
	}
	d.sortExemplars(p.firstEx)
	alias := d.alias(p)
	add := func(part part, label, v float64, firstEx, lastEx int) {
		if p.noValue() {
			v = stale
		}
		d.queue(b, p, d.partAlias(alias, part, label), part, label, v, firstEx, lastEx)
	}
	if h.hasSum {
		add(sumPart, 0, h.sum, 0, 0)
	}
	add(countPart, 0, float64(h.count), 0, 0)
	ex, cumulative := p.firstEx, uint64(0)
	for i, bound := range d.bounds[:min(len(d.bounds), len(d.counts))] {
		cumulative += d.counts[i]
		if math.IsInf(bound, 1) {
			break // it is the bucket below
		}
		next := d.exemplarsUpTo(ex, bound)
		add(bucketPart, bound, float64(cumulative), ex, next)
		ex = next
	}
	add(bucketPart, math.Inf(1), float64(h.count), ex, len(d.exemplars))
	return nil
}

// queueCustomBuckets queues a native histogram with custom buckets.
func (d *decoder) queueCustomBuckets(b *door.Batch, p *point, h *explicit) error {
	native := &histogram.Histogram{Schema: histogram.CustomBucketsSchema, Count: h.count, Sum: h.sum}
	first := 0
	for first < len(d.counts) && d.counts[first] == 0 {
		first++
	}
	native.PositiveSpans, native.PositiveBuckets = layout(int64(first), d.counts[first:])
	native.CustomValues = append(make([]float64, 0, len(d.bounds)), d.bounds...)
	return d.queueNative(b, p, native)
}

// queueNative queues a native histogram, or refuses it.
func (d *decoder) queueNative(b *door.Batch, p *point, h *histogram.Histogram) error {
	if p.noValue() {
		h = &histogram.Histogram{Sum: stale} // that is all Prometheus stores of it
	} else if err := (model.Histogram{Int: h}).Validate(); err != nil {
		return d.refusePoint(b, p, storage.ReasonBadHistogram, err.Error())
	}
	buckets := len(h.PositiveBuckets) + len(h.NegativeBuckets) + len(h.CustomValues)
	if err := d.budget.take(histogramBytes + 16*buckets); err != nil {
		return err
	}
	d.histograms = append(d.histograms, model.Histogram{Int: h})
	d.queue(b, p, d.alias(p), whole, 0, 0, p.firstEx, len(d.exemplars))
	d.samples[len(d.samples)-1].histogram = uint32(len(d.histograms))
	return nil
}

// layout returns the spans and the differences of consecutive counts, the first of which
// has index first. Empty buckets are left out where more than two follow each other, as
// client_golang and Prometheus do it; the last one stays.
func layout(first int64, counts []uint64) ([]histogram.Span, []int64) {
	if len(counts) == 0 {
		return nil, nil
	}
	numDeltas, numSpans := 0, 1
	eachBucket(counts, func(gap int, _ uint64) {
		if gap > 2 {
			numSpans, gap = numSpans+1, 0
		}
		numDeltas += gap + 1
	})
	spans := make([]histogram.Span, 1, numSpans)
	spans[0].Offset = int32(first)
	deltas := make([]int64, 0, numDeltas)
	var last int64
	add := func(count int64) {
		spans[len(spans)-1].Length++
		deltas = append(deltas, count-last)
		last = count
	}
	eachBucket(counts, func(gap int, count uint64) {
		if gap > 2 {
			spans = append(spans, histogram.Span{Offset: int32(gap)})
			gap = 0
		}
		for range gap {
			add(0)
		}
		add(int64(count))
	})
	return spans, deltas
}

// eachBucket calls f for the buckets that are not empty, and for the last one. gap is the
// number of empty buckets before it.
func eachBucket(counts []uint64, f func(gap int, count uint64)) {
	gap := 0
	for i, c := range counts {
		if c == 0 && i < len(counts)-1 {
			gap++
			continue
		}
		f(gap, c)
		gap = 0
	}
}
