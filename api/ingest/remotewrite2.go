package ingest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/zeebo/xxh3"

	"tsdb/internal/model"
	"tsdb/storage"
)

// maxSymbols bounds the symbols of a request. Senders put a few thousand into
// one.
const maxSymbols = 1 << 20

// Tags of the messages of remote write 2; Sample is in remotewrite1.go.
const (
	tag2Symbol = 4<<3 | wireBytes // Request
	tag2Series = 5<<3 | wireBytes

	tag2LabelRefs = 1<<3 | wireBytes // TimeSeries
	tag2LabelRef  = 1<<3 | wireVarint
	tag2Sample    = 2<<3 | wireBytes
	tag2Histogram = 3<<3 | wireBytes
	tag2Exemplar  = 4<<3 | wireBytes
	tag2Metadata  = 5<<3 | wireBytes

	tag2MetadataType = 1<<3 | wireVarint // Metadata
	tag2MetadataHelp = 3<<3 | wireVarint
	tag2MetadataUnit = 4<<3 | wireVarint
)

// decoder2 decodes remote-write 2 messages into a batch. Its slices are used
// again.
type decoder2 struct {
	src     []byte
	seed    uint64
	offered counts

	symbols    []symbol
	nameSymbol uint32 // the one that is "__name__"; beyond the symbols if none is

	series    []series2
	aliases   []model.Hash
	refs      []model.Ref
	labelRefs []uint32 // of the series in the group, one after the other
	exemplar  []uint32 // label refs of one exemplar
	scratch   []byte
	labels    labelSet

	seen  *metadataSeen
	marks []metadataMark
	last  metadataRefs // of the series before
}

// metadataRefs are what metadata and the metric they belong to are in terms of
// the request's symbols.
type metadataRefs struct {
	name, help, unit uint32
	kind             uint64
}

// A symbol is a string of the request and its hash, which, unlike its number,
// is the same in every request.
type symbol struct {
	start, end uint32 // in src
	hash       model.Hash
}

// series2 is one TimeSeries whose structure has been walked.
type series2 struct {
	firstRef, lastRef int // half-open, in labelRefs
	refCount          int // how many were sent; those beyond the limit are not kept
	start, end        int // the message, in src
	samples           int // floats, histograms and exemplars
	metadata          int // position of the last metadata message; 0 = none
	badRefs           bool
}

func newDecoder2(seed uint64, limits storage.Limits, seen *metadataSeen) decoder2 {
	return decoder2{seed: seed, labels: labelSet{limits: limits}, seen: seen}
}

// release lets go of the message. stored says that its metadata are kept now.
func (d *decoder2) release(stored bool) {
	if stored {
		for _, m := range d.marks {
			d.seen.set(m)
		}
	}
	clear(d.labels.pairs[:cap(d.labels.pairs)])
	if cap(d.symbols) > maxSymbols/16 {
		d.symbols = nil
	}
	d.src, d.series, d.marks = nil, d.series[:0], d.marks[:0]
}

func (d *decoder2) decode(b batch) error {
	d.offered = counts{}
	d.labels.begin()
	d.last = metadataRefs{name: maxSymbols}
	d.series, d.aliases, d.labelRefs, d.marks = d.series[:0], d.aliases[:0], d.labelRefs[:0], d.marks[:0]
	// Symbols first: they may stand behind the series that name them.
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

// readSymbols walks the fields of the request and hashes its symbols.
func (d *decoder2) readSymbols() error {
	d.symbols = d.symbols[:0]
	d.nameSymbol = maxSymbols
	src := d.src
	for i := 0; i < len(src); {
		at := i
		tag, n := uvarint(src, i)
		if n < 0 {
			return &wireError{"Request", at}
		}
		switch tag {
		case tag2Symbol, tag2Series:
			var start int
			if start, i = lengthPrefixed(src, n); i < 0 {
				return &wireError{"Request", at}
			}
			if tag == tag2Series {
				continue
			}
			if len(d.symbols) == maxSymbols {
				return &requestError{fmt.Sprintf("too many symbols, limit is %d", maxSymbols)}
			}
			if bytes.Equal(src[start:i], metricName) {
				d.nameSymbol = uint32(len(d.symbols))
			}
			d.symbols = append(d.symbols, symbol{uint32(start), uint32(i), aliasOf(d.seed, src[start:i])})
		default:
			if i = skipField(src, n, tag, 1<<4|1<<5); i < 0 {
				return &wireError{"Request", at}
			}
		}
	}
	return nil
}

// addSeries walks the structure of a TimeSeries, collects its label refs and
// puts it into the group.
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
			// Field 6 once was a created timestamp; it is skipped like all
			// that is unknown.
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

// maxRefs is how many label refs of a series are kept: those of as many labels
// as it may have and of one more.
func (d *decoder2) maxRefs() int { return 2 * (d.labels.limits.Labels + 1) }

// appendRefs reads packed symbol numbers and appends them up to a length of
// dst. It returns how many there are, below zero if they are malformed.
func appendRefs(dst []uint32, most int, b []byte) ([]uint32, int) {
	count := 0
	for i := 0; i < len(b); count++ {
		var r uint32
		switch { // numbers below 16,384 take no call
		case b[i] < 0x80:
			r = uint32(b[i])
			i++
		case i+1 < len(b) && b[i+1] < 0x80:
			r = uint32(b[i]&0x7f) | uint32(b[i+1])<<7
			i += 2
		default:
			var u uint64
			if u, i = uvarintLong(b, i); i < 0 {
				return dst, -1
			}
			r = uint32(u)
		}
		if len(dst) < most {
			dst = append(dst, r)
		}
	}
	return dst, count
}

// hashRefs puts the hashes of the symbols into the scratch, whose hash is the
// alias. It reports false if the refs are not pairs or name no symbol.
func (d *decoder2) hashRefs(refs []uint32) bool {
	d.scratch = slices.Grow(d.scratch[:0], 16*len(refs))[:16*len(refs)]
	if len(refs)%2 != 0 {
		return false
	}
	s := d.scratch
	for _, r := range refs {
		if uint64(r) >= uint64(len(d.symbols)) {
			return false
		}
		h := d.symbols[r].hash
		binary.LittleEndian.PutUint64(s, h.Hi)
		binary.LittleEndian.PutUint64(s[8:], h.Lo)
		s = s[16:]
	}
	return true
}

// flush looks the group's series up and adds their samples to the batch.
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
		ref, err := d.usable(s, refs[k], d.aliases[k], b)
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

// usable returns the ref of a series, resolved if it is not known yet; zero if
// the series is refused, which is then counted.
func (d *decoder2) usable(s *series2, ref model.Ref, alias model.Hash, b batch) (model.Ref, error) {
	labelRefs := d.labelRefs[s.firstRef:s.lastRef]
	switch {
	case s.refCount > d.maxRefs():
		d.refuse(storage.ReasonLimit, nil, max(s.samples, 1), b, "series has %d labels, limit is %d", s.refCount/2, d.labels.limits.Labels)
		return 0, nil
	case s.badRefs:
		d.refuse(storage.ReasonBadLabel, nil, max(s.samples, 1), b, "parsing labels for series: %s", refsError{labelRefs, len(d.symbols)})
		return 0, nil
	case s.samples == 0:
		// Exemplars alone are taken: Prometheus sends each in a TimeSeries
		// of its own.
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

// refuse counts n samples of the series that refs name, nil if none can be
// named. It overwrites the label set.
func (d *decoder2) refuse(reason storage.Reason, refs []uint32, n int, b batch, format string, args ...any) {
	d.refuseAt(reason, refs, 0, n, b, format, args...)
}

func (d *decoder2) refuseAt(reason storage.Reason, refs []uint32, t int64, n int, b batch, format string, args ...any) {
	name, detail := "", ""
	if d.labels.tell(reason) {
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

// refsError says what is wrong with label refs that are not pairs or name no
// symbol.
type refsError struct {
	refs    []uint32
	symbols int
}

func (e refsError) String() string {
	if len(e.refs)%2 != 0 {
		return fmt.Sprintf("invalid labelRefs length %d", len(e.refs))
	}
	for i := 0; i < len(e.refs); i += 2 {
		if n := uint64(e.symbols); uint64(e.refs[i]) >= n || uint64(e.refs[i+1]) >= n {
			return fmt.Sprintf("labelRefs %d (name) = %d (value) outside of symbols table (size %d)", e.refs[i], e.refs[i+1], n)
		}
	}
	return ""
}

// addSamples adds what a TimeSeries holds to the batch. With a zero ref it is
// read, so that a malformed message is found, and left out.
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

func (d *decoder2) addHistogram(m []byte, at int, s *series2, ref model.Ref, b batch) error {
	var p writev2.Histogram
	if err := p.Unmarshal(m); err != nil {
		return &wireError{"Histogram", at}
	}
	d.offered.histograms++
	if ref == 0 {
		return nil
	}
	h, err := toHistogram(&p, int32(p.ResetHint))
	if err != nil {
		d.refuseAt(storage.ReasonBadHistogram, d.labelRefs[s.firstRef:s.lastRef], p.Timestamp, 1, b, "%v", err)
		return nil
	}
	b.Histogram(ref, p.Timestamp, p.StartTimestamp, h)
	return nil
}

func (d *decoder2) addExemplar(m []byte, at int, s *series2, ref model.Ref, b batch) error {
	var e model.Exemplar
	d.exemplar = d.exemplar[:0]
	refCount := 0
	for i := 0; i < len(m); {
		tag, n := uvarint(m, i)
		if n < 0 {
			return &wireError{"Exemplar", at}
		}
		var u uint64
		count := 0
		switch tag {
		case tag2LabelRefs:
			var start int
			if start, i = lengthPrefixed(m, n); i >= 0 {
				d.exemplar, count = appendRefs(d.exemplar, d.maxRefs(), m[start:i])
			}
		case tag2LabelRef:
			u, i = uvarint(m, n)
			if count = 1; len(d.exemplar) < d.maxRefs() {
				d.exemplar = append(d.exemplar, uint32(u))
			}
		case tagExemplarValue:
			e.V, i = double(m, n)
		case tagExemplarTime:
			u, i = uvarint(m, n)
			e.T = int64(u)
		default:
			i = skipField(m, n, tag, 1<<1|1<<2|1<<3)
		}
		if i < 0 || count < 0 {
			return &wireError{"Exemplar", at}
		}
		refCount += count
	}
	d.offered.exemplars++
	if ref == 0 {
		return nil
	}
	why := ""
	switch {
	case refCount > d.maxRefs():
		why = fmt.Sprintf("%d labels, limit is %d", refCount/2, d.labels.limits.Labels)
	case !d.hashRefs(d.exemplar):
		why = refsError{d.exemplar, len(d.symbols)}.String()
	default:
		d.setLabels(d.exemplar)
		var bad *storage.Reject
		if e.Labels, bad = d.labels.buildExemplar(); bad == nil {
			b.Exemplar(ref, e)
			return nil
		}
		why = bad.Detail
	}
	d.refuseAt(storage.ReasonBadExemplar, d.labelRefs[s.firstRef:s.lastRef], e.T, 1, b, "parsing exemplar: %s", why)
	return nil
}

// addMetadata adds what a series says about its metric unless that is known. It
// reports false if the metadata name no symbol: the series is then refused.
func (d *decoder2) addMetadata(s *series2, labelRefs []uint32, b batch) (ok bool, err error) {
	src := d.src[:s.end]
	start, end := lengthPrefixed(src, s.metadata)
	m := src[start:end]
	var kind, help, unit uint64
	for i := 0; i < len(m); {
		tag, n := uvarint(m, i)
		if n < 0 {
			return false, &wireError{"Metadata", s.metadata}
		}
		switch tag {
		case tag2MetadataType:
			kind, i = uvarint(m, n)
		case tag2MetadataHelp:
			help, i = uvarint(m, n)
		case tag2MetadataUnit:
			unit, i = uvarint(m, n)
		default:
			i = skipField(m, n, tag, 1<<1|1<<3|1<<4)
		}
		if i < 0 {
			return false, &wireError{"Metadata", s.metadata}
		}
	}
	help, unit = uint64(uint32(help)), uint64(uint32(unit))
	if kind == 0 && help == 0 && unit == 0 {
		return true, nil
	}
	if n := uint64(len(d.symbols)); help >= n || unit >= n {
		d.refuse(storage.ReasonUnsupported, labelRefs, s.samples, b, "parsing metadata: help_ref %d or unit_ref %d outside of symbols table (size %d)", help, unit, n)
		return false, nil
	}
	for i := 0; i < len(labelRefs); i += 2 {
		if labelRefs[i] != d.nameSymbol {
			continue
		}
		name := labelRefs[i+1]
		refs := metadataRefs{name, uint32(help), uint32(unit), kind}
		if d.last == refs {
			return true, nil
		}
		d.last = refs
		mark := d.mark(refs)
		if d.seen.has(mark) {
			return true, nil
		}
		metric := familyName(d.bytes(name), kind)
		if text := validPrefix(metric); len(text) == len(metric) && len(text) > 0 {
			b.Metadata(text, newMetadata(kind, d.bytes(uint32(unit)), d.bytes(uint32(help))))
			d.marks = append(d.marks, mark)
		}
		return true, nil
	}
	return true, nil
}

func (d *decoder2) mark(r metadataRefs) metadataMark {
	var buf [4 * 8]byte
	b := binary.LittleEndian.AppendUint64(buf[:0], d.symbols[r.name].hash.Lo)
	b = binary.LittleEndian.AppendUint64(b, d.symbols[r.help].hash.Lo)
	b = binary.LittleEndian.AppendUint64(b, d.symbols[r.unit].hash.Lo)
	b = binary.LittleEndian.AppendUint64(b, r.kind)
	return metadataMark{slot: d.symbols[r.name].hash.Lo, sum: xxh3.HashSeed(b, d.seed)}
}

// familyName cuts off what a classic histogram or a summary adds to the name
// its metadata are known by.
func familyName(name []byte, kind uint64) []byte {
	switch metricType(kind) {
	case "histogram", "gaugehistogram":
		for _, suffix := range [...]string{"_bucket", "_sum", "_count", "_gsum", "_gcount"} {
			if cut, ok := bytes.CutSuffix(name, []byte(suffix)); ok {
				return cut
			}
		}
	case "summary":
		for _, suffix := range [...]string{"_sum", "_count"} {
			if cut, ok := bytes.CutSuffix(name, []byte(suffix)); ok {
				return cut
			}
		}
	}
	return name
}
