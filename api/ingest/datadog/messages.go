package datadog

import (
	"encoding/binary"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/internal/model"
)

// Fields of DataDog's messages MetricPayload, MetricSeries, Resource and MetricPoint.
const (
	payloadSeries = 1<<3 | wire.Bytes

	seriesResource = 1<<3 | wire.Bytes
	seriesMetric   = 2<<3 | wire.Bytes
	seriesTag      = 3<<3 | wire.Bytes
	seriesPoint    = 4<<3 | wire.Bytes
	seriesKnown    = 1<<1 | 1<<2 | 1<<3 | 1<<4

	resourceType  = 1<<3 | wire.Bytes
	resourceName  = 2<<3 | wire.Bytes
	resourceKnown = 1<<1 | 1<<2

	pointValue = 1<<3 | wire.Fixed64
	pointTime  = 2<<3 | wire.Varint
	pointKnown = 1<<1 | 1<<2
)

// messages decodes series in protobuf. Its slices point into src and are reused.
type messages struct {
	src   []byte
	group []message
	key   []byte
	tags  tags
}

// message is a MetricSeries.
type message struct {
	text    []byte
	samples int // number of points
}

// Release implements door.Decoder.
func (d *messages) Release() {
	clear(d.group[:cap(d.group)])
	d.tags.reset()
	d.src = nil
}

// NextGroup implements door.Decoder.
func (d *messages) NextGroup() { d.group = d.group[:0] }

// fields passes the fields of a message with their tags to f: the content of those with
// a length, else the bytes from the value on. It returns false if the message is
// malformed, or f returns false.
func fields(b []byte, known uint32, f func(tag uint64, content []byte) bool) bool {
	for i := 0; i < len(b); {
		tag, next := wire.Uvarint(b, i)
		if next < 0 {
			return false
		}
		num := tag >> 3
		if num >= 32 || known>>num&1 == 0 {
			if i = wire.SkipField(b, next, tag, known); i < 0 {
				return false
			}
			continue
		}
		from, end := next, 0
		switch tag & 7 {
		case wire.Bytes:
			from, end = wire.LengthPrefixed(b, next)
		case wire.Varint:
			_, end = wire.Uvarint(b, next)
		case wire.Fixed64:
			_, end = wire.Uint64(b, next)
		default:
			return false
		}
		if end < 0 || !f(tag, b[from:end]) {
			return false
		}
		i = end
	}
	return true
}

// Decode implements door.Decoder.
func (d *messages) Decode(b *door.Batch) error {
	d.NextGroup()
	for i := 0; i < len(d.src); {
		tag, next := wire.Uvarint(d.src, i)
		if next < 0 {
			return door.Malformed("MetricPayload", i)
		}
		if tag != payloadSeries {
			if next = wire.SkipField(d.src, next, tag, 1<<1); next < 0 {
				return door.Malformed("MetricPayload", i)
			}
			i = next
			continue
		}
		from, end := wire.LengthPrefixed(d.src, next)
		if end < 0 || !d.addSeries(b, d.src[from:end]) {
			return door.Malformed("MetricPayload", i)
		}
		if err := b.FlushIfFull(); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// addSeries queues a series.
func (d *messages) addSeries(b *door.Batch, text []byte) bool {
	m := message{text: text}
	d.key = d.key[:0]
	ok := fields(text, seriesKnown, func(tag uint64, content []byte) bool {
		switch tag {
		case seriesPoint:
			m.samples++
			return fields(content, pointKnown, func(tag uint64, _ []byte) bool { return tag == pointValue || tag == pointTime })
		case seriesResource:
			if !fields(content, resourceKnown, func(tag uint64, _ []byte) bool { return tag == resourceType || tag == resourceName }) {
				return false
			}
		case seriesMetric, seriesTag:
		default:
			return false
		}
		d.key = append(d.key, byte(tag))
		d.key = append(binary.AppendUvarint(d.key, uint64(len(content))), content...)
		return true
	})
	if !ok {
		return false
	}
	d.group = append(d.group, m)
	b.Queue(door.AliasOf(b.Seed, d.key))
	return true
}

// Labels implements door.Decoder.
func (d *messages) Labels(k int, set *door.LabelSet) (samples int, err error) {
	m := &d.group[k]
	d.tags.reset()
	var metric []byte
	ok := fields(m.text, seriesKnown, func(tag uint64, content []byte) bool {
		switch tag {
		case seriesMetric:
			metric = content
		case seriesTag:
			d.tags.addTag(content)
		case seriesResource:
			var kind, name []byte
			fields(content, resourceKnown, func(tag uint64, text []byte) bool {
				if tag == resourceType {
					kind = text
				} else {
					name = text
				}
				return true
			})
			d.tags.addResource(kind, name)
		}
		return len(d.tags.pairs) <= set.MaxLabels()
	})
	set.Add(door.MetricName, d.tags.names.Metric(metric))
	if !ok {
		return m.samples, set.TooMany(len(d.tags.pairs))
	}
	d.tags.labels(set)
	return m.samples, nil
}

// AddSamples implements door.Decoder.
func (d *messages) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	for k := from; k < to; k++ {
		m := &d.group[k]
		b.Offered.Floats += m.samples
		if refs[k] == 0 {
			continue
		}
		var failed error
		fields(m.text, seriesKnown, func(tag uint64, content []byte) bool {
			if tag == seriesPoint {
				failed = addPoint(b, k, refs[k], content)
			}
			return failed == nil
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// addPoint adds a MetricPoint.
func addPoint(b *door.Batch, k int, ref model.Ref, text []byte) error {
	var v float64
	var seconds uint64
	fields(text, pointKnown, func(tag uint64, content []byte) bool {
		if tag == pointValue {
			v, _ = wire.Double(content, 0)
		} else {
			seconds, _ = wire.Uvarint(content, 0)
		}
		return true
	})
	t, v, reason := milliseconds(int64(seconds), v)
	if reason != "" {
		return b.RefuseSample(k, reason, 0, "the timestamp is no time in seconds")
	}
	b.Float(ref, t, 0, v)
	return nil
}
