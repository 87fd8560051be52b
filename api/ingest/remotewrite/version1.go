package remotewrite

import (
	"encoding/binary"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/internal/model"
)

// Tags (field number and wire type) of the messages of remote write 1.
const (
	tag1Series   = 1<<3 | wire.Bytes // WriteRequest
	tag1Metadata = 3<<3 | wire.Bytes

	tag1Label     = 1<<3 | wire.Bytes // TimeSeries
	tag1Sample    = 2<<3 | wire.Bytes
	tag1Exemplar  = 3<<3 | wire.Bytes
	tag1Histogram = 4<<3 | wire.Bytes

	tagName  = 1<<3 | wire.Bytes // Label
	tagValue = 2<<3 | wire.Bytes
)

// decoder1 decodes remote-write 1 messages. Its slices point into src and are
// reused.
type decoder1 struct {
	src []byte

	series   []series1 // of the group
	gathered []byte    // labels of series whose label messages are not contiguous
}

// series1 is a TimeSeries whose structure has been checked.
type series1 struct {
	labels     []byte // contiguous label messages, with their tags
	start, end int    // range in src of the fields after the labels
	samples    int    // number of floats, histograms and exemplars
}

func (d *decoder1) setSource(src []byte, _ func(int64) error) { d.src = src }

// Release implements door.Decoder.
func (d *decoder1) Release() {
	clear(d.series[:cap(d.series)])
	d.src, d.series = nil, d.series[:0]
}

// Decode implements door.Decoder.
func (d *decoder1) Decode(b *door.Batch) error {
	d.NextGroup()
	src := d.src
	for i := 0; i < len(src); {
		at := i
		tag, n := wire.Uvarint(src, i)
		if n < 0 {
			return door.Malformed("WriteRequest", at)
		}
		switch tag {
		case tag1Series:
			start, end := wire.LengthPrefixed(src, n)
			if end < 0 {
				return door.Malformed("WriteRequest", at)
			}
			if err := d.addSeries(b, start, end); err != nil {
				return err
			}
			i = end
		case tag1Metadata:
			start, end := wire.LengthPrefixed(src, n)
			if end < 0 {
				return door.Malformed("WriteRequest", at)
			}
			if err := d.addMetadata(start, end, b); err != nil {
				return err
			}
			i = end
		default:
			if i = wire.SkipField(src, n, tag, 1<<1|1<<3); i < 0 {
				return door.Malformed("WriteRequest", at)
			}
		}
	}
	return nil
}

// NextGroup implements door.Decoder.
func (d *decoder1) NextGroup() { d.series, d.gathered = d.series[:0], d.gathered[:0] }

// addSeries checks the structure of a TimeSeries, without decoding its labels and
// samples, and queues it.
func (d *decoder1) addSeries(b *door.Batch, start, end int) error {
	src := d.src[:end]
	i := wire.SkipRepeated(src, start, tag1Label)
	if i < 0 {
		return door.Malformed("TimeSeries", start)
	}
	s := series1{labels: src[start:i:i], start: i, end: end}
	late := false
	for i < end {
		at := i
		tag, n := wire.Uvarint(src, i)
		if n < 0 {
			return door.Malformed("TimeSeries", at)
		}
		switch tag {
		case tag1Label, tag1Sample, tag1Exemplar, tag1Histogram:
			late = late || tag == tag1Label
			if tag != tag1Label {
				s.samples++
			}
			if _, i = wire.LengthPrefixed(src, n); i < 0 {
				return door.Malformed("TimeSeries", at)
			}
		default:
			if i = wire.SkipField(src, n, tag, 1<<1|1<<2|1<<3|1<<4); i < 0 {
				return door.Malformed("TimeSeries", at)
			}
		}
	}
	if late {
		s.labels = d.gatherLabels(src, start)
	}
	d.series = append(d.series, s)
	b.Queue(door.AliasOf(b.Seed, s.labels))
	return b.FlushIfFull()
}

// gatherLabels copies the labels of a TimeSeries that has other fields before or
// between them, so that its alias equals that of the same labels sent
// contiguously. The structure has been checked.
func (d *decoder1) gatherLabels(src []byte, i int) []byte {
	from := len(d.gathered)
	for i < len(src) {
		tag, n := wire.Uvarint(src, i)
		if tag == tag1Label {
			start, end := wire.LengthPrefixed(src, n)
			d.gathered = append(d.gathered, tag1Label)
			d.gathered = binary.AppendUvarint(d.gathered, uint64(end-start))
			d.gathered = append(d.gathered, src[start:end]...)
			i = end
			continue
		}
		i = wire.SkipField(src, n, tag, 0)
	}
	return d.gathered[from:len(d.gathered):len(d.gathered)]
}

// Labels implements door.Decoder.
func (d *decoder1) Labels(k int, set *door.LabelSet) (samples int, err error) {
	s := &d.series[k]
	fields := s.labels
	for i := 0; i < len(fields); {
		tag, n := wire.Uvarint(fields, i)
		if n < 0 || tag != tag1Label {
			return 0, door.Malformed("Label", s.start)
		}
		start, end := wire.LengthPrefixed(fields, n)
		if end < 0 {
			return 0, door.Malformed("Label", s.start)
		}
		name, value, ok := parseLabel(fields[start:end])
		if !ok {
			return 0, door.Malformed("Label", s.start)
		}
		set.Add(name, value)
		i = end
	}
	return s.samples, nil
}

func parseLabel(m []byte) (name, value []byte, ok bool) {
	for i := 0; i < len(m); {
		tag, n := wire.Uvarint(m, i)
		if n < 0 {
			return nil, nil, false
		}
		switch tag {
		case tagName, tagValue:
			start, end := wire.LengthPrefixed(m, n)
			if end < 0 {
				return nil, nil, false
			}
			if tag == tagName {
				name = m[start:end]
			} else {
				value = m[start:end]
			}
			i = end
		default:
			if i = wire.SkipField(m, n, tag, 1<<1|1<<2); i < 0 {
				return nil, nil, false
			}
		}
	}
	return name, value, true
}

// AddSamples implements door.Decoder.
func (d *decoder1) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	for k := from; k < to; k++ {
		if err := d.addSamples(b, k, refs[k]); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder1) addSamples(b *door.Batch, k int, ref model.Ref) error {
	s := &d.series[k]
	src := d.src[:s.end]
	for i := s.start; i < s.end; {
		at := i
		tag, n := wire.Uvarint(src, i)
		switch tag {
		case tag1Sample:
			start, end := wire.LengthPrefixed(src, n)
			t, _, v, ok := parseSample(src[start:end], 1<<1|1<<2)
			if !ok {
				return door.Malformed("Sample", at)
			}
			b.Offered.Floats++
			if ref != 0 {
				b.Float(ref, t, 0, v)
			}
			i = end
		case tag1Histogram:
			start, end := wire.LengthPrefixed(src, n)
			if err := addHistogram1(b, src[start:end], at, k, ref); err != nil {
				return err
			}
			i = end
		case tag1Exemplar:
			start, end := wire.LengthPrefixed(src, n)
			if err := addExemplar1(b, src[start:end], at, k, ref); err != nil {
				return err
			}
			i = end
		default:
			i = wire.SkipField(src, n, tag, 0) // checked by addSeries
		}
	}
	return nil
}
