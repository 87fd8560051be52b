package ingest

import (
	"fmt"

	"tsdb/internal/model"
	"tsdb/storage"
)

// Tags of the messages of remote write 2.
const (
	tag2Symbol = 4<<3 | wireBytes // Request
	tag2Series = 5<<3 | wireBytes

	tag2LabelRefs = 1<<3 | wireBytes // TimeSeries
	tag2LabelRef  = 1<<3 | wireVarint
	tag2Sample    = 2<<3 | wireBytes
	tag2Histogram = 3<<3 | wireBytes
	tag2Exemplar  = 4<<3 | wireBytes
	tag2Metadata  = 5<<3 | wireBytes
)

// decoder2 decodes remote-write 2 messages into a batch. Its slices are reused.
type decoder2 struct {
	src     []byte
	seed    uint64
	offered counts

	symbols    []symbol
	charge     func(bytes int64) error // charges symbols beyond maxPooledSymbols; nil = not charged
	nameSymbol uint32                  // number of the symbol "__name__"; maxSymbols if there is none

	series    []series2
	aliases   []model.Hash
	refs      []model.Ref
	labelRefs []uint32 // of all series in the group
	exemplar  []uint32 // label refs of one exemplar
	scratch   []byte
	labels    labelSet

	seen        *metadataCache
	unconfirmed []metadataEntry
	last        metadataRefs // of the series before
}

// series2 is a TimeSeries whose structure has been checked.
type series2 struct {
	firstRef, lastRef int // half-open, in labelRefs
	refCount          int // number sent, including those beyond the limit, which are not kept
	start, end        int // the message, in src
	samples           int // floats, histograms and exemplars
	metadata          int // position of the last metadata message; 0 = none
	badRefs           bool
}

func newDecoder2(seed uint64, limits storage.Limits, seen *metadataCache) decoder2 {
	return decoder2{seed: seed, labels: labelSet{limits: limits}, seen: seen}
}

// release drops the references to the message. If the message has been stored,
// its metadata enter the cache.
func (d *decoder2) release(stored bool) {
	if stored {
		for _, m := range d.unconfirmed {
			d.seen.set(m)
		}
	}
	clear(d.labels.pairs[:cap(d.labels.pairs)])
	if cap(d.symbols) > maxPooledSymbols {
		d.symbols = nil
	}
	d.charge = nil
	d.src, d.series, d.unconfirmed = nil, d.series[:0], d.unconfirmed[:0]
}

func (d *decoder2) decode(b batch) error {
	d.offered = counts{}
	d.labels.begin()
	d.last = metadataRefs{name: maxSymbols}
	d.series, d.aliases, d.labelRefs, d.unconfirmed = d.series[:0], d.aliases[:0], d.labelRefs[:0], d.unconfirmed[:0]
	// Symbols first: they may follow the series that refer to them.
	if err := d.readSymbols(); err != nil {
		return err
	}
	src := d.src
	for i := 0; i < len(src); {
		tag, n := uvarint(src, i)
		if tag != tag2Series {
			i = skipField(src, n, tag, 0) // checked by readSymbols
			continue
		}
		start, end := lengthPrefixed(src, n)
		if err := d.addSeries(start, end); err != nil {
			return err
		}
		if len(d.series) == groupSeries {
			if err := d.flush(b); err != nil {
				return err
			}
		}
		i = end
	}
	return d.flush(b)
}

// addSeries checks the structure of a TimeSeries, collects its label refs and adds
// it to the group.
func (d *decoder2) addSeries(start, end int) error {
	src := d.src[:end]
	s := series2{firstRef: len(d.labelRefs), start: start, end: end}
	for i := start; i < end; {
		at := i
		tag, n := uvarint(src, i)
		if n < 0 {
			return &wireError{"TimeSeries", at}
		}
		switch tag {
		case tag2LabelRefs:
			var from int
			if from, i = lengthPrefixed(src, n); i < 0 {
				return &wireError{"TimeSeries", at}
			}
			var count int
			d.labelRefs, count = appendRefs(d.labelRefs, s.firstRef+d.maxRefs(), src[from:i])
			if count < 0 {
				return &wireError{"TimeSeries", at}
			}
			s.refCount += count
		case tag2LabelRef:
			var u uint64
			if u, i = uvarint(src, n); i < 0 {
				return &wireError{"TimeSeries", at}
			}
			if s.refCount++; s.refCount <= d.maxRefs() {
				d.labelRefs = append(d.labelRefs, uint32(u))
			}
		case tag2Sample, tag2Histogram, tag2Exemplar, tag2Metadata:
			if tag == tag2Metadata {
				s.metadata = n
			} else {
				s.samples++
			}
			if _, i = lengthPrefixed(src, n); i < 0 {
				return &wireError{"TimeSeries", at}
			}
		default:
			// Field 6 was the created timestamp in earlier drafts; it is
			// skipped like any unknown field.
			if i = skipField(src, n, tag, 1<<1|1<<2|1<<3|1<<4|1<<5); i < 0 {
				return &wireError{"TimeSeries", at}
			}
		}
	}
	s.lastRef = len(d.labelRefs)
	alias := model.Hash{}
	s.badRefs = s.refCount > d.maxRefs() || !d.hashRefs(d.labelRefs[s.firstRef:s.lastRef])
	if !s.badRefs {
		alias = aliasOf(d.seed, d.scratch)
	}
	d.series = append(d.series, s)
	d.aliases = append(d.aliases, alias)
	return nil
}

// flush looks up the series of the group and adds their samples to the batch.
func (d *decoder2) flush(b batch) error {
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
		ref, err := d.refOf(s, refs[k], d.aliases[k], b)
		if err != nil {
			return err
		}
		if err := d.addSamples(s, ref, b); err != nil {
			return err
		}
	}
	d.series, d.aliases, d.labelRefs = d.series[:0], d.aliases[:0], d.labelRefs[:0]
	return nil
}

// refOf returns the ref of a series and resolves it if its alias is unknown. The
// ref is zero if the series was refused, which has then been counted.
func (d *decoder2) refOf(s *series2, ref model.Ref, alias model.Hash, b batch) (model.Ref, error) {
	labelRefs := d.labelRefs[s.firstRef:s.lastRef]
	switch {
	case s.refCount > d.maxRefs():
		d.refuse(storage.ReasonLimit, nil, max(s.samples, 1), b, "series has %d labels, limit is %d", s.refCount/2, d.labels.limits.Labels)
		return 0, nil
	case s.badRefs:
		d.refuse(storage.ReasonBadLabel, nil, max(s.samples, 1), b, "parsing labels for series: %s", refsError{labelRefs, len(d.symbols)})
		return 0, nil
	case s.samples == 0:
		// Exemplars count as samples here: Prometheus sends each in a
		// TimeSeries of its own.
		d.refuse(storage.ReasonUnsupported, labelRefs, 1, b, "TimeSeries must contain at least one sample or histogram")
		return 0, nil
	}
	if s.metadata != 0 {
		if ok, err := d.addMetadata(s, labelRefs, b); err != nil || !ok {
			return 0, err
		}
	}
	if ref != 0 {
		return ref, nil
	}
	d.setLabels(labelRefs)
	return resolve(&d.labels, alias, s.samples, b)
}

func (d *decoder2) bytes(r uint32) []byte { return d.src[d.symbols[r].start:d.symbols[r].end] }

func (d *decoder2) setLabels(refs []uint32) {
	d.labels.reset()
	for i := 0; i+1 < len(refs); i += 2 {
		d.labels.add(d.bytes(refs[i]), d.bytes(refs[i+1]))
	}
}

// refuse counts n refused samples of the series with the given label refs; nil if
// its labels are invalid. It overwrites the label set.
func (d *decoder2) refuse(reason storage.Reason, refs []uint32, n int, b batch, format string, args ...any) {
	d.refuseAt(reason, refs, 0, n, b, format, args...)
}

func (d *decoder2) refuseAt(reason storage.Reason, refs []uint32, t int64, n int, b batch, format string, args ...any) {
	name, detail := "", ""
	if d.labels.wantsDetail(reason) {
		detail = fmt.Sprintf(format, args...)
		if refs != nil {
			d.setLabels(refs)
			d.labels.sort()
			name = d.labels.String()
			detail += " for series " + name
		}
	}
	b.Reject(reason, name, t, detail, n)
}

// addSamples adds the samples of a TimeSeries to the batch. If ref is zero they
// are only decoded, to detect a malformed message.
func (d *decoder2) addSamples(s *series2, ref model.Ref, b batch) error {
	src := d.src[:s.end]
	for i := s.start; i < s.end; {
		at := i
		tag, n := uvarint(src, i)
		if tag != tag2Sample && tag != tag2Histogram && tag != tag2Exemplar {
			i = skipField(src, n, tag, 0) // checked by addSeries
			continue
		}
		start, end := lengthPrefixed(src, n)
		i = end
		switch tag {
		case tag2Sample:
			t, st, v, ok := parseSample(src[start:end], 1<<1|1<<2|1<<3)
			if !ok {
				return &wireError{"Sample", at}
			}
			d.offered.floats++
			if ref != 0 {
				b.Float(ref, t, st, v)
			}
		case tag2Histogram:
			if err := d.addHistogram(src[start:end], at, s, ref, b); err != nil {
				return err
			}
		default:
			if err := d.addExemplar(src[start:end], at, s, ref, b); err != nil {
				return err
			}
		}
	}
	return nil
}
