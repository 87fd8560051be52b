package ingest

import (
	"encoding/binary"
	"errors"

	"tsdb/internal/model"
	"tsdb/storage"
)

// groupSeries is the number of series that are looked up together: enough for the
// cache misses of the lookups to overlap, few enough that a request of empty
// series costs no memory.
const groupSeries = 1024

// Tags (field number and wire type) of the messages of remote write 1.
const (
	tag1Series   = 1<<3 | wireBytes // WriteRequest
	tag1Metadata = 3<<3 | wireBytes

	tag1Label     = 1<<3 | wireBytes // TimeSeries
	tag1Sample    = 2<<3 | wireBytes
	tag1Exemplar  = 3<<3 | wireBytes
	tag1Histogram = 4<<3 | wireBytes

	tagName  = 1<<3 | wireBytes // Label
	tagValue = 2<<3 | wireBytes
)

// decoder1 decodes remote-write 1 messages into a batch. Its slices point into src
// and are reused.
type decoder1 struct {
	src     []byte
	seed    uint64
	offered counts

	series   []series1
	aliases  []model.Hash
	refs     []model.Ref
	gathered []byte // labels of series whose label messages are not contiguous
	labels   labelSet
}

// series1 is a TimeSeries whose structure has been checked.
type series1 struct {
	labels     []byte // contiguous label messages, with their tags
	start, end int    // range in src of the fields after the labels
	samples    int    // number of floats, histograms and exemplars
}

func newDecoder1(seed uint64, limits storage.Limits) decoder1 {
	return decoder1{seed: seed, labels: labelSet{limits: limits}}
}

// release drops the references to the message.
func (d *decoder1) release() {
	clear(d.series[:cap(d.series)])
	clear(d.labels.pairs[:cap(d.labels.pairs)])
	d.src, d.series = nil, d.series[:0]
}

func (d *decoder1) decode(b batch) error {
	d.offered = counts{}
	d.labels.begin()
	d.series, d.aliases, d.gathered = d.series[:0], d.aliases[:0], d.gathered[:0]
	src := d.src
	for i := 0; i < len(src); {
		at := i
		tag, n := uvarint(src, i)
		if n < 0 {
			return &wireError{"WriteRequest", at}
		}
		switch tag {
		case tag1Series:
			start, end := lengthPrefixed(src, n)
			if end < 0 {
				return &wireError{"WriteRequest", at}
			}
			if err := d.addSeries(start, end); err != nil {
				return err
			}
			if len(d.series) == groupSeries {
				if err := d.flush(b); err != nil {
					return err
				}
			}
			i = end
		case tag1Metadata:
			start, end := lengthPrefixed(src, n)
			if end < 0 {
				return &wireError{"WriteRequest", at}
			}
			if err := d.addMetadata(start, end, b); err != nil {
				return err
			}
			i = end
		default:
			if i = skipField(src, n, tag, 1<<1|1<<3); i < 0 {
				return &wireError{"WriteRequest", at}
			}
		}
	}
	return d.flush(b)
}

// addSeries checks the structure of a TimeSeries, without decoding its labels and
// samples, and adds it to the group.
func (d *decoder1) addSeries(start, end int) error {
	src := d.src[:end]
	i := skipRepeated(src, start, tag1Label)
	if i < 0 {
		return &wireError{"TimeSeries", start}
	}
	s := series1{labels: src[start:i:i], start: i, end: end}
	late := false
	for i < end {
		at := i
		tag, n := uvarint(src, i)
		if n < 0 {
			return &wireError{"TimeSeries", at}
		}
		switch tag {
		case tag1Label, tag1Sample, tag1Exemplar, tag1Histogram:
			late = late || tag == tag1Label
			if tag != tag1Label {
				s.samples++
			}
			if _, i = lengthPrefixed(src, n); i < 0 {
				return &wireError{"TimeSeries", at}
			}
		default:
			if i = skipField(src, n, tag, 1<<1|1<<2|1<<3|1<<4); i < 0 {
				return &wireError{"TimeSeries", at}
			}
		}
	}
	if late {
		s.labels = d.gatherLabels(src, start)
	}
	d.series = append(d.series, s)
	d.aliases = append(d.aliases, aliasOf(d.seed, s.labels))
	return nil
}

// gatherLabels copies the labels of a TimeSeries that has other fields before or
// between them, so that its alias equals that of the same labels sent
// contiguously. The structure has been checked.
func (d *decoder1) gatherLabels(src []byte, i int) []byte {
	from := len(d.gathered)
	for i < len(src) {
		tag, n := uvarint(src, i)
		if tag == tag1Label {
			start, end := lengthPrefixed(src, n)
			d.gathered = append(d.gathered, tag1Label)
			d.gathered = binary.AppendUvarint(d.gathered, uint64(end-start))
			d.gathered = append(d.gathered, src[start:end]...)
			i = end
			continue
		}
		i = skipField(src, n, tag, 0)
	}
	return d.gathered[from:len(d.gathered):len(d.gathered)]
}

// flush looks up the series of the group and adds their samples to the batch.
func (d *decoder1) flush(b batch) error {
	n := len(d.series)
	if n == 0 {
		return nil
	}
	if cap(d.refs) < n {
		d.refs = make([]model.Ref, groupSeries)
	}
	refs := d.refs[:n]
	b.LookupAll(d.aliases, refs)
	for k := range d.series {
		s := &d.series[k]
		ref := refs[k]
		if ref == 0 {
			var err error
			if ref, err = d.resolve(s, d.aliases[k], b); err != nil {
				return err
			}
		}
		if err := d.addSamples(s, ref, b); err != nil {
			return err
		}
	}
	d.series, d.aliases, d.gathered = d.series[:0], d.aliases[:0], d.gathered[:0]
	return nil
}

// resolve returns the ref of a series whose alias is unknown. The ref is zero if
// the series was refused, which has then been counted.
func (d *decoder1) resolve(s *series1, alias model.Hash, b batch) (model.Ref, error) {
	d.labels.reset()
	if err := d.parseLabels(s.labels, tag1Label, s.start); err != nil {
		return 0, err
	}
	if s.samples == 0 {
		return 0, nil // there is nothing to store and nothing to refuse
	}
	return resolve(&d.labels, alias, s.samples, b)
}

// resolve builds the labels of the set and returns their ref. If the series is
// refused, it counts n refused samples and returns zero.
func resolve(set *labelSet, alias model.Hash, n int, b batch) (model.Ref, error) {
	ls, bad := set.build()
	if bad == nil {
		ref, err := b.Resolve(alias, ls)
		if err == nil {
			return ref, nil
		}
		if !errors.As(err, &bad) {
			return 0, err
		}
	}
	series := ""
	if bad.Detail != "" {
		series = set.String()
	}
	b.Reject(bad.Reason, series, 0, bad.Detail, n)
	return 0, nil
}

// parseLabels adds contiguous label messages to the set. at is the position for
// errors.
func (d *decoder1) parseLabels(fields []byte, labelTag uint64, at int) error {
	for i := 0; i < len(fields); {
		tag, n := uvarint(fields, i)
		if n < 0 || tag != labelTag {
			return &wireError{"Label", at}
		}
		start, end := lengthPrefixed(fields, n)
		if end < 0 {
			return &wireError{"Label", at}
		}
		name, value, ok := parseLabel(fields[start:end])
		if !ok {
			return &wireError{"Label", at}
		}
		d.labels.add(name, value)
		i = end
	}
	return nil
}

func parseLabel(m []byte) (name, value []byte, ok bool) {
	for i := 0; i < len(m); {
		tag, n := uvarint(m, i)
		if n < 0 {
			return nil, nil, false
		}
		switch tag {
		case tagName, tagValue:
			start, end := lengthPrefixed(m, n)
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
			if i = skipField(m, n, tag, 1<<1|1<<2); i < 0 {
				return nil, nil, false
			}
		}
	}
	return name, value, true
}

// addSamples adds the samples of a TimeSeries to the batch. If ref is zero they
// are only decoded, to detect a malformed message.
func (d *decoder1) addSamples(s *series1, ref model.Ref, b batch) error {
	src := d.src[:s.end]
	for i := s.start; i < s.end; {
		at := i
		tag, n := uvarint(src, i)
		switch tag {
		case tag1Sample:
			start, end := lengthPrefixed(src, n)
			t, _, v, ok := parseSample(src[start:end], 1<<1|1<<2)
			if !ok {
				return &wireError{"Sample", at}
			}
			d.offered.floats++
			if ref != 0 {
				b.Float(ref, t, 0, v)
			}
			i = end
		case tag1Histogram:
			start, end := lengthPrefixed(src, n)
			if err := d.addHistogram(src[start:end], at, s, ref, b); err != nil {
				return err
			}
			i = end
		case tag1Exemplar:
			start, end := lengthPrefixed(src, n)
			if err := d.addExemplar(src[start:end], at, s, ref, b); err != nil {
				return err
			}
			i = end
		default:
			i = skipField(src, n, tag, 0) // checked by addSeries
		}
	}
	return nil
}

// refuse counts a refused sample of a valid series. It overwrites the label set.
func (d *decoder1) refuse(reason storage.Reason, s *series1, t int64, why string, b batch) error {
	name := ""
	if d.labels.wantsDetail(reason) {
		d.labels.reset()
		if err := d.parseLabels(s.labels, tag1Label, s.start); err != nil {
			return err
		}
		d.labels.sort()
		name = d.labels.String()
	}
	b.Reject(reason, name, t, why+" for series "+name, 1)
	return nil
}
