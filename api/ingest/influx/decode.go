package influx

import (
	"bytes"
	"fmt"

	"github.com/zeebo/xxh3"

	"tsdb/api/ingest/door"
	"tsdb/internal/model"
	"tsdb/storage"
)

// decoder decodes line protocol. Its slices point into src and are reused.
type decoder struct {
	src    []byte
	db     dbLabel
	naming *Naming

	measurements *measurements

	precision precision
	now       int64 // time of lines without one, Unix milliseconds
	strings   *stringLog

	whole bool // a bad line refuses the request
	lists bool // bad lines are listed with their numbers, those that storage refuses too

	refused int // samples of the request that were refused for their labels
	skipped int // string fields, which are counted and no error
	bad     badLines

	lastKey  []byte // of the last line with samples, nil = none
	lastHash model.Hash

	point   linePoint
	samples []sample // of the group
	scratch []byte
	hashes  [2 * 16]byte
}

// sample is a numeric field whose series has not been looked up yet.
type sample struct {
	key, field, line []byte
	t                int64
	v                float64
}

// Release implements door.Decoder.
func (d *decoder) Release() {
	clear(d.samples[:cap(d.samples)])
	clear(d.point.fields[:cap(d.point.fields)])
	if cap(d.samples) > 4*door.GroupSeries {
		d.samples, d.point.fields = nil, nil
	}
	d.point.key, d.point.timestamp = nil, nil
	d.src, d.lastKey, d.bad = nil, nil, badLines{}
}

// Decode implements door.Decoder. A bad line is refused, without effect on the
// others.
func (d *decoder) Decode(b *door.Batch) error {
	d.refused, d.skipped = 0, 0
	d.bad.reset()
	d.lastKey = nil
	d.NextGroup()
	numStrings := 0 // string fields
	var stringKey, stringField []byte
	var noted []byte // measurement of the last line with string fields
	lines := newLineReader(d.src)
	for line, ok := lines.next(); ok; line, ok = lines.next() {
		line = trimLine(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		n, bad := d.addLine(b, line)
		if bad != nil {
			d.refuseLine(b, line, bad)
			if d.whole {
				return errNotAccepted
			}
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
		// A group ends with a line, so that a refused one is reported once.
		if err := b.FlushIfFull(); err != nil {
			return err
		}
	}
	if numStrings > 0 {
		name := fmt.Sprintf("%s field %s", door.Clip(string(stringKey), door.MaxExcerptBytes), door.Clip(string(stringField), door.MaxExcerptBytes))
		d.skipped = numStrings
		b.Reject(storage.ReasonStringField, name, "string fields are not stored", numStrings)
	}
	return nil
}

// NextGroup implements door.Decoder.
func (d *decoder) NextGroup() { d.samples = d.samples[:0] }

// measurementOf returns the measurement of a key, still escaped.
func measurementOf(key []byte) []byte {
	if n := indexUnescaped(key, ','); n >= 0 {
		return key[:n]
	}
	return key
}

// firstString returns the key of the first string field of the line.
func (d *decoder) firstString() []byte {
	for _, f := range d.point.fields {
		if f.isString {
			return f.key
		}
	}
	return nil
}

// addLine queues the samples of a line and returns the number of its string
// fields. If the line is bad, it has no effect.
func (d *decoder) addLine(b *door.Batch, line []byte) (numStrings int, bad *lineError) {
	p := &d.point
	if bad := p.parse(line); bad != nil {
		return 0, bad
	}
	t := d.now
	if len(p.timestamp) > 0 {
		if t, bad = d.precision.parseTime(p.timestamp); bad != nil {
			return 0, bad
		}
	}
	if d.lastKey == nil || !bytes.Equal(p.key, d.lastKey) { // files are often in the order of series
		d.lastKey, d.lastHash = p.key, door.AliasOf(b.Seed, p.key)
	}
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
		fieldHash := xxh3.Hash128Seed(f.key, b.Seed)
		h := door.AppendHash(d.hashes[:0], d.lastHash)
		h = door.AppendHash(h, model.Hash{Hi: fieldHash.Hi, Lo: fieldHash.Lo})
		d.samples = append(d.samples, sample{key: p.key, field: f.key, line: line, t: t, v: f.value})
		b.Queue(door.AliasOf(b.Seed, h))
	}
	if named == 0 {
		return 0, badLine(storage.ReasonBadLabel, `invalid field name: input field "time" is invalid`)
	}
	return numStrings, nil
}

// Labels implements door.Decoder.
func (d *decoder) Labels(k int, set *door.LabelSet) (samples int, err error) {
	var bad *lineError
	s := &d.samples[k]
	if len(s.key) > 0 && d.measurements != nil {
		d.scratch = appendUnescaped(d.scratch[:0], measurementOf(s.key), nameEscapes)
		d.measurements.learn(d.naming, d.scratch)
	}
	if d.scratch, bad = addLabels(set, d.naming, s.key, s.field, d.db, d.scratch); bad != nil {
		return 1, &storage.Reject{Reason: bad.reason, Detail: bad.text}
	}
	return 1, nil
}

// AddSamples implements door.Decoder.
func (d *decoder) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	b.Offered.Floats += to - from
	if d.lists {
		return d.addListed(b, refs, from, to)
	}
	for k := from; k < to; k++ {
		if s := &d.samples[k]; refs[k] != 0 {
			b.Float(refs[k], s.t, 0, s.v)
		}
	}
	return nil
}

// addListed adds samples and keeps the lines of those that storage refuses.
func (d *decoder) addListed(b *door.Batch, refs []model.Ref, from, to int) error {
	for k := from; k < to; k++ {
		s := &d.samples[k]
		if refs[k] == 0 {
			continue
		}
		before := b.Rejected()
		if b.Float(refs[k], s.t, 0, s.v); b.Rejected() > before {
			d.keepLine(s.line, "")
		}
	}
	if d.whole && b.Rejected() > d.skipped {
		return errNotAccepted
	}
	return nil
}
