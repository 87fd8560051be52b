package text

import (
	"bytes"
	"fmt"

	"tsdb/api/ingest/door"
	"tsdb/internal/decimal"
	"tsdb/internal/model"
	"tsdb/storage"
)

// maxPointSamples bounds the samples of a point that wait for its start timestamp.
const maxPointSamples = 4 * door.GroupSeries

// decoder decodes lines of samples. Its slices point into src and are reused.
type decoder struct {
	src         []byte
	openMetrics bool
	unit        timeUnit
	timed       bool      // lines without a time are refused
	now         int64     // time of lines without one, Unix milliseconds
	families    *families // at both ends of src
	metadata    *door.MetadataCache
	record      *Record // nil = none

	created   created
	last      []byte // the series of the last sample, nil = none
	lastKind  metricType
	lastAlias model.Hash
	point     point
	group     []sample
	scratch   []byte

	unconfirmed []door.MetadataEntry // of the request, until it is stored
}

// setOpenMetrics sets the format, as a content type names it.
func (d *decoder) setOpenMetrics(is bool) {
	d.openMetrics, d.unit, d.timed = is, guessedUnit, false
	if is {
		d.unit = inSeconds
	}
}

// families are those at the ends of a piece of a body. They outlive the decoder.
type families struct{ begin, end family }

// next moves to the next piece.
func (f *families) next() { f.begin.copyFrom(&f.end) }

// sample is a line whose series has not been looked up yet.
type sample struct {
	series   []byte // name and labels, as sent
	exemplar []byte // nil = none
	t, st    int64  // Unix milliseconds; st 0 = none
	v        float64
	kind     metricType
	timed    bool // the line has a timestamp
}

// Release implements door.Decoder.
func (d *decoder) Release() {
	clear(d.group[:cap(d.group)])
	if cap(d.group) > 4*door.GroupSeries {
		d.group = nil
	}
	d.src, d.families, d.record, d.created, d.last, d.point = nil, nil, nil, created{}, nil, point{}
	d.unconfirmed = d.unconfirmed[:0]
}

// Confirm implements door.Confirmer.
func (d *decoder) Confirm() {
	for _, m := range d.unconfirmed {
		d.metadata.Set(m)
	}
	d.unconfirmed = d.unconfirmed[:0]
}

// addMetadata adds the metadata of a family to the batch, unless they are known.
func (d *decoder) addMetadata(b *door.Batch, f *family) {
	if !f.undescribed {
		return
	}
	f.undescribed = false
	kind := uint64(typeUnknown)
	if f.typed {
		kind = uint64(f.kind)
	}
	entry := door.NewMetadataEntry(b.Seed, f.name, kind, f.unit, f.help)
	if d.metadata.Has(entry) {
		return
	}
	b.Metadata(f.name, door.NewMetadata(kind, f.unit, f.help))
	d.unconfirmed = append(d.unconfirmed, entry)
}

// NextGroup implements door.Decoder.
func (d *decoder) NextGroup() { d.group = d.group[:0] }

// Decode implements door.Decoder. A bad line is refused, without effect on the others.
func (d *decoder) Decode(b *door.Batch) error {
	d.NextGroup()
	d.unconfirmed = d.unconfirmed[:0]
	d.record.begin()
	f := &d.families.end
	f.copyFrom(&d.families.begin) // also when the request is decoded again
	d.created, d.last = created{}, nil
	for line := range door.Lines(d.src) {
		line = trim(line)
		if len(line) == 0 {
			continue
		}
		if line[0] == '#' {
			if c, ok := parseComment(line); ok {
				if !bytes.Equal(c.name, f.name) {
					d.addMetadata(b, f)
				}
				f.add(c)
				d.created = created{}
			}
			continue
		}
		again := d.point.parseAgain(line, d.last, d.unit)
		if !again {
			if bad := d.point.parse(line, d.unit); bad != nil {
				d.refuseLine(b, line, bad)
				continue
			}
		}
		if d.openMetrics && f.kind.hasCreated() && d.isCreated() {
			if !d.setStart(f.kind) {
				d.refuseLine(b, line, errBadStart)
			}
			continue
		}
		if d.timed && !d.point.timed {
			d.refuseLine(b, line, errNoTime)
			continue
		}
		if err := d.flushIfFull(b); err != nil {
			return err
		}
		d.add(b, f.kind, again)
	}
	d.addMetadata(b, f)
	return nil
}

// flushIfFull ends the group, but not within a point that may get its start
// timestamp from a line to come.
func (d *decoder) flushIfFull(b *door.Batch) error {
	n := len(d.group)
	if n < door.GroupSeries {
		return nil
	}
	last := &d.group[n-1]
	if d.openMetrics && last.kind.hasCreated() && n < maxPointSamples &&
		!bytes.Equal(last.series, d.point.series) && samePoint(last.series, d.point.series, last.kind) {
		return nil
	}
	return b.FlushIfFull()
}

// add queues the sample of the line, which may have the series of the sample before.
func (d *decoder) add(b *door.Batch, kind metricType, again bool) {
	p := &d.point
	s := sample{series: p.series, exemplar: p.exemplar, t: p.t, v: p.v, kind: kind, timed: p.timed}
	if !p.timed {
		s.t = d.now
	}
	if d.created.series != nil {
		if again || bytes.Equal(d.last, s.series) {
			d.created = created{} // the next point begins
		}
		s.st = d.created.startOf(s.series, kind)
	}
	d.group = append(d.group, s)
	if !again || kind != d.lastKind {
		seed := b.Seed
		if kind.hasNumbers() { // the labels depend on it: see normalize
			seed ^= uint64(kind) << 32
		}
		d.lastAlias = door.AliasOf(seed, p.series)
	}
	d.last, d.lastKind = s.series, kind
	if d.record != nil {
		d.record.add(d.lastAlias, nameOf(p.series))
	}
	b.Queue(d.lastAlias)
}

// isCreated reports whether the line has the start timestamp of a point.
func (d *decoder) isCreated() bool {
	series := d.point.series
	name := series
	if n := bytes.IndexByte(series, '{'); n >= 0 {
		name = series[:n]
	}
	if name = trim(name); len(name) == 0 {
		name = nameOf(series)
	}
	return createdName(name)
}

// setStart sets the start timestamp of the samples of a point, as far as they have none. A
// point has no series twice. It returns false if it is no time.
func (d *decoder) setStart(kind metricType) bool {
	ms := d.point.v * 1000
	if !(ms > -1<<63 && ms < 1<<63) || !model.ValidTime(int64(ms)) {
		return false
	}
	d.created = created{series: d.point.series, st: int64(ms)}
	last := d.last
	d.last = nil // unless the samples that follow are of another point
	if d.created.st == 0 {
		return true // which is none
	}
	for k := len(d.group) - 1; k >= 0; k-- {
		s := &d.group[k]
		again := k+1 < len(d.group) && bytes.Equal(s.series, d.group[k+1].series)
		if s.st != 0 || again || s.kind != kind || !samePoint(s.series, d.created.series, kind) {
			break
		}
		s.st = d.created.st
		d.last = last
	}
	return true
}

// Labels implements door.Decoder.
func (d *decoder) Labels(k int, set *door.LabelSet) (samples int, err error) {
	s := &d.group[k]
	d.scratch, err = addLabels(set, s.series, s.kind, d.scratch)
	return 1, err
}

// AddSamples implements door.Decoder.
func (d *decoder) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	b.Offered.Floats += to - from
	for k := from; k < to; k++ {
		s := &d.group[k]
		if refs[k] == 0 {
			continue
		}
		b.Float(refs[k], s.t, s.st, s.v)
		if s.exemplar != nil {
			if err := d.addExemplar(b, k, refs[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// addExemplar adds the exemplar of sample k.
func (d *decoder) addExemplar(b *door.Batch, k int, ref model.Ref) error {
	b.Offered.Exemplars++
	s := &d.group[k]
	e := model.Exemplar{T: s.t}
	end := closingBrace(s.exemplar, 0)
	if end < 0 {
		return b.RefuseSample(k, errBadExemplar.reason, s.t, errBadExemplar.text)
	}
	value, rest := token(s.exemplar[end:])
	var err error
	if e.V, err = decimal.ParseAny(value); err != nil {
		return b.RefuseSample(k, errBadExemplar.reason, s.t, "the value of the exemplar is no number")
	}
	if at, rest := token(rest); len(at) > 0 {
		t, ok := secondsToMs(at)
		if !ok || len(trimLeft(rest)) > 0 {
			return b.RefuseSample(k, errBadExemplar.reason, s.t, "the timestamp of the exemplar is no number")
		}
		e.T = t
	}
	b.Labels.Reset()
	if d.scratch, err = addLabels(&b.Labels, s.exemplar[:end], typeUnknown, d.scratch); err != nil {
		return b.RefuseSample(k, errBadExemplar.reason, s.t, err.Error())
	}
	var bad *storage.Reject
	if e.Labels, bad = b.Labels.BuildExemplar(); bad != nil {
		return b.RefuseSample(k, bad.Reason, e.T, bad.Detail)
	}
	b.Exemplar(ref, e)
	return nil
}

// refuseLine counts a refused line.
func (d *decoder) refuseLine(b *door.Batch, line []byte, err *lineError) {
	detail := ""
	if b.Labels.WantsDetail(err.reason) {
		detail = fmt.Sprintf("%s: %s", err.text, excerpt(line))
	}
	b.Reject(err.reason, "", detail, 1)
}

func excerpt(b []byte) string {
	return door.Clip(string(bytes.ToValidUTF8(b[:min(len(b), door.MaxExcerptBytes)], nil)), door.MaxExcerptBytes)
}
