package otlp

import (
	"fmt"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/storage"
)

// addSummaryPoint decodes a SummaryDataPoint into samples of sum, count and quantiles.
func (d *decoder) addSummaryPoint(b *door.Batch, start, end int) error {
	src := d.src[:end]
	p := distribution{point: point{firstEx: len(d.exemplars)}}
	d.bounds, d.values = d.bounds[:0], d.values[:0]
	numQuantiles := 0
	for i := start; i < end; {
		at := i
		tag, n := wire.Uvarint(src, i)
		switch {
		case n < 0:
			i = n
		case tag == tagSummaryAttr:
			i = p.addAttributes(src, i, tagSummaryAttr)
		case tag == tagSummaryFlags:
			p.flags, i = wire.Uvarint(src, n)
		case tag == tagSummaryQuantile:
			numQuantiles++
			i = d.addQuantile(src, n)
		default:
			var ok bool
			if i, ok = p.field(src, tag, n); !ok {
				i = wire.SkipField(src, n, tag, summaryFields)
			}
		}
		if i < 0 {
			return door.Malformed("SummaryDataPoint", at)
		}
	}
	if ok, err := d.check(b, &p.point, start, end, tagSummaryAttr); !ok {
		return err
	}
	if numQuantiles > maxBuckets {
		return d.refusePoint(b, &p.point, storage.ReasonLimit, fmt.Sprintf("summary has %d quantiles, limit is %d", numQuantiles, maxBuckets))
	}
	if err := d.budget.take((2 + numQuantiles) * sampleBytes); err != nil {
		return err
	}
	h := d.alias(&p.point)
	add := func(part part, label, v float64) {
		if p.noValue() {
			v = stale
		}
		d.queue(b, &p.point, d.partAlias(h, part, label), part, label, v, p.firstEx, p.firstEx)
	}
	add(sumPart, 0, p.sum)
	add(countPart, 0, float64(p.count))
	for i, q := range d.bounds {
		add(quantile, q, d.values[i])
	}
	return nil
}

// addQuantile decodes a ValueAtQuantile; i is the position after its tag. Those above
// the limit are checked, not kept.
func (d *decoder) addQuantile(src []byte, i int) int {
	start, end := wire.LengthPrefixed(src, i)
	if end < 0 {
		return -1
	}
	m := src[:end]
	var q, v float64
	for i := start; i < end; {
		tag, n := wire.Uvarint(m, i)
		switch {
		case n < 0:
			i = n
		case tag == tagQuantile:
			q, i = wire.Double(m, n)
		case tag == tagQuantileValue:
			v, i = wire.Double(m, n)
		default:
			i = wire.SkipField(m, n, tag, quantileFields)
		}
		if i < 0 {
			return -1
		}
	}
	if len(d.bounds) < maxBuckets {
		d.bounds, d.values = append(d.bounds, q), append(d.values, v)
	}
	return end
}
