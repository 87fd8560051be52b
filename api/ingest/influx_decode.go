package ingest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"

	"tsdb/internal/model"
	"tsdb/storage"
)

// maxLineErrors is the number of bad lines quoted in a response; the others are
// only counted.
const maxLineErrors = 5

// influxDecoder decodes line protocol into a batch. Its slices point into src and
// are reused.
type influxDecoder struct {
	src       []byte
	seed      uint64
	db        dbLabel
	precision precision
	now       int64 // time of lines without one, Unix milliseconds
	strings   *stringLog

	offered     int // samples, including those of refused series but not those of bad lines
	refused     int // samples of offered that the door refused
	errors      []string
	badLines    int
	lastBadLine *byte // first byte of the last bad line

	point   linePoint
	samples []influxSample
	aliases []model.Hash
	refs    []model.Ref
	labels  labelSet
	scratch []byte
	hashes  [2 * 16]byte
}

// influxSample is a numeric field whose series has not been looked up yet.
type influxSample struct {
	key, field, line []byte
	t                int64
	v                float64
}

func (d *influxDecoder) release() {
	clear(d.samples[:cap(d.samples)])
	clear(d.labels.pairs[:cap(d.labels.pairs)])
	clear(d.point.fields[:cap(d.point.fields)])
	if cap(d.samples) > 4*groupSeries {
		d.samples, d.aliases, d.refs, d.point.fields = nil, nil, nil, nil
	}
	d.point.key, d.point.timestamp = nil, nil
	d.src, d.errors, d.lastBadLine = nil, nil, nil
}

// decode returns an error only if the batch does. A bad line is refused, without
// effect on the others.
func (d *influxDecoder) decode(b batch) error {
	d.offered, d.refused, d.badLines, d.lastBadLine = 0, 0, 0, nil
	d.errors = d.errors[:0]
	d.labels.begin()
	d.samples, d.aliases = d.samples[:0], d.aliases[:0]
	numStrings := 0 // string fields
	var stringKey, stringField []byte
	var noted []byte // measurement of the last line with string fields
	lines := newLineReader(d.src)
	for line, ok := lines.next(); ok; line, ok = lines.next() {
		line = trimLine(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		n, err := d.addLine(line)
		if err != nil {
			d.refuseLine(line, err, b)
			continue
		}
		if n > 0 {
			if numStrings == 0 {
				stringKey, stringField = d.point.key, d.firstString()
			}
			if m := measurementOf(d.point.key); !bytes.Equal(m, noted) {
				d.strings.note(m, d.firstString())
				noted = m
			}
			numStrings += n
		}
		if len(d.samples) >= groupSeries {
			if err := d.flush(b); err != nil {
				return err
			}
		}
	}
	if err := d.flush(b); err != nil {
		return err
	}
	if numStrings > 0 {
		name := fmt.Sprintf("%s field %s", clip(string(stringKey), maxExcerptBytes), clip(string(stringField), maxExcerptBytes))
		b.Reject(storage.ReasonStringField, name, 0, "string fields are not stored", numStrings)
	}
	return nil
}

// measurementOf returns the measurement of a key, still escaped.
func measurementOf(key []byte) []byte {
	if n := indexUnescaped(key, ','); n >= 0 {
		return key[:n]
	}
	return key
}

func (d *influxDecoder) firstString() []byte {
	for _, f := range d.point.fields {
		if f.isString {
			return f.key
		}
	}
	return nil
}

// addLine adds the samples of a line to the group and returns the number of its
// string fields.
func (d *influxDecoder) addLine(line []byte) (numStrings int, err *lineError) {
	p := &d.point
	if err := p.parse(line); err != nil {
		return 0, err
	}
	t := d.now
	if len(p.timestamp) > 0 {
		if t, err = d.precision.parseTime(p.timestamp); err != nil {
			return 0, err
		}
	}
	keyHash := xxh3.Hash128Seed(p.key, d.seed)
	named := 0
	for i := range p.fields {
		f := &p.fields[i]
		if string(f.key) == "time" {
			continue // as in InfluxDB, where it would hide the time of the point
		}
		named++
		if f.isString {
			numStrings++
			continue
		}
		fieldHash := xxh3.Hash128Seed(f.key, d.seed)
		h := appendHash(d.hashes[:0], model.Hash{Hi: keyHash.Hi, Lo: keyHash.Lo})
		h = appendHash(h, model.Hash{Hi: fieldHash.Hi, Lo: fieldHash.Lo})
		d.aliases = append(d.aliases, aliasOf(d.seed, h))
		d.samples = append(d.samples, influxSample{key: p.key, field: f.key, line: line, t: t, v: f.value})
	}
	if named == 0 {
		return 0, badLine(storage.ReasonBadLabel, `invalid field name: input field "time" is invalid`)
	}
	return numStrings, nil
}

// flush looks up the series of the group and adds their samples to the batch.
func (d *influxDecoder) flush(b batch) error {
	n := len(d.samples)
	if n == 0 {
		return nil
	}
	if cap(d.refs) < n {
		d.refs = make([]model.Ref, n+n/4)
	}
	refs := d.refs[:n]
	b.LookupAll(d.aliases, refs)
	d.offered += n
	for k := range d.samples {
		s := &d.samples[k]
		if refs[k] == 0 {
			ref, err := d.resolve(s, d.aliases[k], b)
			if err != nil {
				return err
			}
			if ref == 0 {
				continue
			}
			refs[k] = ref
		}
		b.Float(refs[k], s.t, 0, s.v)
	}
	d.samples, d.aliases = d.samples[:0], d.aliases[:0]
	return nil
}

// resolve returns the ref of a series whose alias is unknown. The ref is zero if
// the series was refused, which has then been counted.
func (d *influxDecoder) resolve(s *influxSample, alias model.Hash, b batch) (model.Ref, error) {
	var bad *lineError
	if d.scratch, bad = d.labels.seriesOf(s.key, s.field, d.db, d.scratch); bad == nil {
		ls, reject := d.labels.build()
		if reject == nil {
			ref, err := b.Resolve(alias, ls)
			if err == nil {
				return ref, nil
			}
			if !errors.As(err, &reject) {
				return 0, err
			}
		}
		if bad = badLine(reject.Reason, reject.Detail); reject.Reason == storage.ReasonDuplicateLabel {
			bad = errTagTwice
		}
	}
	d.refused++
	d.refuseLine(s.line, bad, b)
	return 0, nil
}

// refuseLine counts a refusal and keeps the error texts of the first few lines. It
// is called for each refused series of a line; the line is reported once.
func (d *influxDecoder) refuseLine(line []byte, err *lineError, b batch) {
	again := d.lastBadLine == &line[0]
	d.lastBadLine = &line[0]
	if !again {
		d.badLines++
	}
	text := ""
	if !again && len(d.errors) < maxLineErrors || d.labels.wantsDetail(err.reason) {
		text = fmt.Sprintf("unable to parse '%s': %s", clip(string(line[:min(len(line), maxExcerptBytes+4)]), maxExcerptBytes), err.text)
	}
	if !again && len(d.errors) < maxLineErrors {
		d.errors = append(d.errors, text)
	}
	b.Reject(err.reason, "", 0, text, 1)
}
