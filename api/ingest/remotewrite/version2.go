package remotewrite

import (
	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/internal/model"
	"tsdb/storage"
)

// Tags of the messages of remote write 2.
const (
	tag2Symbol = 4<<3 | wire.Bytes // Request
	tag2Series = 5<<3 | wire.Bytes

	tag2LabelRefs = 1<<3 | wire.Bytes // TimeSeries
	tag2LabelRef  = 1<<3 | wire.Varint
	tag2Sample    = 2<<3 | wire.Bytes
	tag2Histogram = 3<<3 | wire.Bytes
	tag2Exemplar  = 4<<3 | wire.Bytes
	tag2Metadata  = 5<<3 | wire.Bytes
)

// decoder2 decodes remote-write 2 messages. Its slices are reused.
type decoder2 struct {
	src []byte

	symbols    []symbol
	charge     func(bytes int64) error // charges symbols beyond maxPooledSymbols; nil = not charged
	nameSymbol uint32                  // number of the symbol "__name__"; maxSymbols if there is none

	series    []series2 // of the group
	labelRefs []uint32  // of all series in the group
	exemplar  []uint32  // label refs of one exemplar
	scratch   []byte

	seen        *door.MetadataCache
	unconfirmed []door.MetadataEntry
	last        metadataRefs // of the series before
}

// series2 is a TimeSeries whose structure has been checked.
type series2 struct {
	firstRef, lastRef int // half-open, in labelRefs
	refCount          int // number sent, including those beyond the limit, which are not kept
	start, end        int // the message, in src
	samples           int // floats, histograms and exemplars
	metadata          int // position of the last metadata message; 0 = none
	fault             fault
}

// fault is the reason why a TimeSeries is refused, whether its labels are known or
// not.
type fault byte

const (
	none fault = iota
	tooManyLabels
	badRefs
	noSamples
	badMetadata
)

func newDecoder2(seen *door.MetadataCache) *decoder2 { return &decoder2{seen: seen} }

func (d *decoder2) setSource(src []byte, charge func(bytes int64) error) {
	d.src, d.charge = src, charge
}

// Release implements door.Decoder.
func (d *decoder2) Release() {
	if cap(d.symbols) > maxPooledSymbols {
		d.symbols = nil
	}
	d.charge = nil
	d.src, d.series, d.unconfirmed = nil, d.series[:0], d.unconfirmed[:0]
}

// Confirm implements door.Confirmer. It adds the metadata of the request, which have been stored, to the cache.
func (d *decoder2) Confirm() {
	for _, m := range d.unconfirmed {
		d.seen.Set(m)
	}
}

// Decode implements door.Decoder.
func (d *decoder2) Decode(b *door.Batch) error {
	d.last = metadataRefs{name: maxSymbols}
	d.unconfirmed = d.unconfirmed[:0]
	d.NextGroup()
	// Symbols first: they may follow the series that refer to them.
	if err := d.readSymbols(b.Seed); err != nil {
		return err
	}
	src := d.src
	for i := 0; i < len(src); {
		tag, n := wire.Uvarint(src, i)
		if tag != tag2Series {
			i = wire.SkipField(src, n, tag, 0) // checked by readSymbols
			continue
		}
		start, end := wire.LengthPrefixed(src, n)
		if err := d.addSeries(b, start, end); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// NextGroup implements door.Decoder.
func (d *decoder2) NextGroup() { d.series, d.labelRefs = d.series[:0], d.labelRefs[:0] }

// addSeries checks the structure of a TimeSeries, collects its label refs and queues
// it. A series with a fault has the alias zero, which is never known.
func (d *decoder2) addSeries(b *door.Batch, start, end int) error {
	maxRefs := maxRefs(b)
	src := d.src[:end]
	s := series2{firstRef: len(d.labelRefs), start: start, end: end}
	for i := start; i < end; {
		at := i
		tag, n := wire.Uvarint(src, i)
		if n < 0 {
			return door.Malformed("TimeSeries", at)
		}
		switch tag {
		case tag2LabelRefs:
			var from int
			if from, i = wire.LengthPrefixed(src, n); i < 0 {
				return door.Malformed("TimeSeries", at)
			}
			var count int
			d.labelRefs, count = appendRefs(d.labelRefs, s.firstRef+maxRefs, src[from:i])
			if count < 0 {
				return door.Malformed("TimeSeries", at)
			}
			s.refCount += count
		case tag2LabelRef:
			var u uint64
			if u, i = wire.Uvarint(src, n); i < 0 {
				return door.Malformed("TimeSeries", at)
			}
			if s.refCount++; s.refCount <= maxRefs {
				d.labelRefs = append(d.labelRefs, uint32(u))
			}
		case tag2Sample, tag2Histogram, tag2Exemplar, tag2Metadata:
			if tag == tag2Metadata {
				s.metadata = n
			} else {
				s.samples++
			}
			if _, i = wire.LengthPrefixed(src, n); i < 0 {
				return door.Malformed("TimeSeries", at)
			}
		default:
			// Field 6 was the created timestamp in earlier drafts; it is
			// skipped like any unknown field.
			if i = wire.SkipField(src, n, tag, 1<<1|1<<2|1<<3|1<<4|1<<5); i < 0 {
				return door.Malformed("TimeSeries", at)
			}
		}
	}
	s.lastRef = len(d.labelRefs)
	if err := d.checkSeries(b, &s); err != nil {
		return err
	}
	d.series = append(d.series, s)
	alias := model.Hash{}
	if s.fault == none {
		alias = door.AliasOf(b.Seed, d.scratch)
	}
	b.Queue(alias)
	return b.FlushIfFull()
}

// checkSeries sets the fault of a series, or adds its metadata to the batch and
// fills the scratch buffer for its alias.
func (d *decoder2) checkSeries(b *door.Batch, s *series2) error {
	refs := d.labelRefs[s.firstRef:s.lastRef]
	switch {
	case s.refCount > maxRefs(b):
		s.fault = tooManyLabels
	case !d.hashRefs(refs):
		s.fault = badRefs
	case s.samples == 0:
		s.fault = noSamples
	case s.metadata != 0:
		ok, err := d.addMetadata(b, s, refs)
		if err != nil {
			return err
		}
		if !ok {
			s.fault = badMetadata
		}
	}
	return nil
}

// Labels implements door.Decoder.
func (d *decoder2) Labels(k int, set *door.LabelSet) (samples int, err error) {
	s := &d.series[k]
	refs := d.labelRefs[s.firstRef:s.lastRef]
	switch s.fault {
	case tooManyLabels:
		return max(s.samples, 1), set.TooMany(s.refCount / 2)
	case badRefs:
		return max(s.samples, 1), set.Refuse(storage.ReasonBadLabel, "parsing labels for series: %s", refsError{refs, len(d.symbols)})
	}
	d.addLabels(set, refs)
	switch s.fault {
	case noSamples:
		set.Sort()
		// Exemplars count as samples here: Prometheus sends each in a
		// TimeSeries of its own.
		return 1, set.Refuse(storage.ReasonUnsupported, "TimeSeries must contain at least one sample or histogram")
	case badMetadata:
		set.Sort()
		_, help, unit, _ := d.metadataOf(s) // no error: it has been decoded before
		return s.samples, set.Refuse(storage.ReasonUnsupported, "parsing metadata: help_ref %d or unit_ref %d outside of symbols table (size %d)", help, unit, len(d.symbols))
	}
	return s.samples, nil
}

func (d *decoder2) bytes(r uint32) []byte { return d.src[d.symbols[r].start:d.symbols[r].end] }

func (d *decoder2) addLabels(set *door.LabelSet, refs []uint32) {
	for i := 0; i+1 < len(refs); i += 2 {
		set.Add(d.bytes(refs[i]), d.bytes(refs[i+1]))
	}
}

// AddSamples implements door.Decoder.
func (d *decoder2) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	for k := from; k < to; k++ {
		if err := d.addSamples(b, k, refs[k]); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder2) addSamples(b *door.Batch, k int, ref model.Ref) error {
	s := &d.series[k]
	src := d.src[:s.end]
	for i := s.start; i < s.end; {
		at := i
		tag, n := wire.Uvarint(src, i)
		if tag != tag2Sample && tag != tag2Histogram && tag != tag2Exemplar {
			i = wire.SkipField(src, n, tag, 0) // checked by addSeries
			continue
		}
		start, end := wire.LengthPrefixed(src, n)
		i = end
		switch tag {
		case tag2Sample:
			t, st, v, ok := parseSample(src[start:end], 1<<1|1<<2|1<<3)
			if !ok {
				return door.Malformed("Sample", at)
			}
			b.Offered.Floats++
			if ref != 0 {
				b.Float(ref, t, st, v)
			}
		case tag2Histogram:
			if err := addHistogram2(b, src[start:end], at, k, ref); err != nil {
				return err
			}
		default:
			if err := d.addExemplar(b, src[start:end], at, k, ref); err != nil {
				return err
			}
		}
	}
	return nil
}
