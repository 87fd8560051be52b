package otlp

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/value"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/internal/model"
	"tsdb/storage"
)

// point holds the fields that all kinds of data points have.
type point struct {
	startNano, timeNano uint64
	flags               uint64
	attrs               span
	gathered            bool // attrs lies in decoder.gathered
	attrsGiven          bool
	attrsSplit          bool // they are not contiguous
	firstEx             int  // index of its first exemplar
}

// distribution holds the fields that the data points of histograms and summaries have
// besides.
type distribution struct {
	point
	count  uint64
	sum    float64
	hasSum bool
}

// field decodes a field of those that all distributions have; i is the position after
// its tag. It returns false if it is another.
func (p *distribution) field(src []byte, tag uint64, i int) (next int, ok bool) {
	switch tag {
	case tagPointStart:
		p.startNano, i = wire.Uint64(src, i)
	case tagPointTime:
		p.timeNano, i = wire.Uint64(src, i)
	case tagPointCount:
		p.count, i = wire.Uint64(src, i)
	case tagPointSum:
		p.sum, i = wire.Double(src, i)
		p.hasSum = true
	default:
		return i, false
	}
	return i, true
}

// noValue reports whether the point only says that its series have ended.
func (p *point) noValue() bool { return p.flags&flagNoRecordedValue != 0 }

// stale is the value of a point without one.
var stale = math.Float64frombits(value.StaleNaN)

// addAttributes notes a run of contiguous attributes that begins at i, and returns the
// position after it.
func (p *point) addAttributes(src []byte, i int, tag byte) int {
	end := wire.SkipRepeated(src, i, tag)
	if end < 0 {
		return -1
	}
	if p.attrsGiven {
		p.attrsSplit = true
		return end
	}
	p.attrsGiven = true
	p.attrs = span{uint32(i), uint32(end)}
	return end
}

// gather copies the attributes of a data point that has other fields between them, so
// that its alias equals that of the same attributes sent contiguously. The structure of
// the point has been checked.
func (d *decoder) gather(p *point, start, end int, tag uint64) {
	src := d.src[:end]
	from := uint32(len(d.gathered))
	for i := start; i < end; {
		at := i
		t, n := wire.Uvarint(src, i)
		i = wire.SkipField(src, n, t, 0)
		if t == tag {
			d.gathered = append(d.gathered, src[at:i]...)
		}
	}
	p.attrs, p.gathered = span{from, uint32(len(d.gathered))}, true
}

// attrsOf returns the attributes of a data point, with their tags.
func (d *decoder) attrsOf(s span, gathered bool) []byte {
	if gathered {
		return d.gathered[s.from:s.to]
	}
	return d.src[s.from:s.to]
}

// check ends the decoding of a point, whose attributes have a tag: it refuses one without
// a time. It returns false if it did.
func (d *decoder) check(b *door.Batch, p *point, start, end int, attrTag uint64) (ok bool, err error) {
	if p.attrsSplit {
		d.gather(p, start, end, attrTag)
	}
	if p.timeNano == 0 {
		return false, d.refusePoint(b, p, storage.ReasonBadTime, "data point has no time")
	}
	r := &d.resources[len(d.resources)-1]
	r.minNano, r.maxNano = min(r.minNano, p.timeNano), max(r.maxNano, p.timeNano)
	return true, nil
}

// alias returns the alias of the series of a point that needs no label of its own.
func (d *decoder) alias(p *point) model.Hash {
	return within(d.metrics[len(d.metrics)-1].hash, d.attrsOf(p.attrs, p.gathered))
}

// partAlias returns the alias of another series of a point, h being that of alias.
func (d *decoder) partAlias(h model.Hash, part part, label float64) model.Hash {
	d.hash = append(d.hash[:0], byte(part))
	d.hash = binary.LittleEndian.AppendUint64(d.hash, math.Float64bits(label))
	return within(h, d.hash)
}

// queue adds a sample of a point to the group.
func (d *decoder) queue(b *door.Batch, p *point, alias model.Hash, part part, label, v float64, firstEx, lastEx int) {
	d.samples = append(d.samples, sample{
		t: millis(p.timeNano), st: millis(p.startNano), v: v, label: label,
		attrs: p.attrs, gathered: p.gathered, metric: d.metricIndex(), point: d.numPoints,
		firstEx: uint32(firstEx), lastEx: uint32(lastEx), part: part,
	})
	b.Queue(alias)
}

// millis converts nanoseconds as Prometheus does: times after 2262 become negative.
func millis(nano uint64) int64 { return int64(nano) / 1e6 }

// refusePoint refuses the current data point, before it has been queued.
func (d *decoder) refusePoint(b *door.Batch, p *point, reason storage.Reason, detail string) error {
	b.Offered.Floats++
	d.countRefused(d.numPoints)
	series := ""
	if b.Labels.WantsDetail(reason) {
		b.Labels.Reset()
		s := sample{attrs: p.attrs, gathered: p.gathered, metric: d.metricIndex()}
		var bad *storage.Reject // of its labels, which then are those so far
		if _, err := d.seriesLabels(&s, &b.Labels); err != nil && !errors.As(err, &bad) {
			return err
		}
		b.Labels.Sort()
		series = b.Labels.String()
	}
	b.Reject(reason, series, detail, 1)
	return nil
}

// countRefused counts a data point as refused, once. Its samples follow each other.
func (d *decoder) countRefused(point uint32) {
	if point != 0 && point != d.lastRefused {
		d.lastRefused = point
		d.refusedPoints++
	}
}

// AddSamples implements door.Decoder.
func (d *decoder) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	rejected := b.Rejected()
	for k := from; k < to; k++ {
		s := &d.samples[k]
		ref := refs[k]
		if ref == 0 {
			d.countRefused(s.point)
			continue
		}
		if s.histogram != 0 {
			d.histogramsIn++
			b.Offered.Histograms++
			b.Histogram(ref, s.t, s.st, d.histograms[s.histogram-1])
		} else {
			b.Offered.Floats++
			b.Float(ref, s.t, s.st, s.v)
		}
		if n := b.Rejected(); n != rejected {
			rejected = n
			if s.histogram != 0 {
				d.histogramsIn--
			}
			d.countRefused(s.point)
			continue
		}
		if s.firstEx != s.lastEx {
			if err := d.storeExemplars(b, k, ref); err != nil {
				return err
			}
			rejected = b.Rejected()
		}
	}
	return nil
}
