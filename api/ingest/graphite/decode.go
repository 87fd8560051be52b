package graphite

import (
	"bytes"
	"fmt"
	"math"

	"tsdb/api/ingest/door"
	"tsdb/internal/decimal"
	"tsdb/internal/model"
	"tsdb/storage"
)

// maxSeconds bounds times, so that they can be multiplied.
const maxSeconds = 1 << 50

// decoder decodes lines. Its slices point into src and are reused.
type decoder struct {
	names door.Names
	src   []byte
	now   int64 // time of lines without one, Unix milliseconds
	group []sample
}

// sample is a line whose series has not been looked up yet.
type sample struct {
	path []byte // with the tags
	t    int64
	v    float64
}

// Release implements door.Decoder.
func (d *decoder) Release() {
	clear(d.group[:cap(d.group)])
	if cap(d.group) > 4*door.GroupSeries {
		d.group = nil
	}
	d.src = nil
}

// NextGroup implements door.Decoder.
func (d *decoder) NextGroup() { d.group = d.group[:0] }

// Decode implements door.Decoder. A bad line is refused, without effect on the others.
func (d *decoder) Decode(b *door.Batch) error {
	d.NextGroup()
	for line := range door.Lines(d.src) {
		d.addLine(b, line)
		if err := b.FlushIfFull(); err != nil {
			return err
		}
	}
	return nil
}

// addLine queues the sample of a line.
func (d *decoder) addLine(b *door.Batch, line []byte) {
	path, rest := word(line)
	if len(path) == 0 {
		return
	}
	value, rest := word(rest)
	timestamp, rest := word(rest)
	more, _ := word(rest)
	if len(value) == 0 || len(more) > 0 {
		d.refuse(b, storage.ReasonBadValue, line, "want path, value and timestamp")
		return
	}
	v, err := decimal.ParseAny(value)
	if err != nil {
		d.refuse(b, storage.ReasonBadValue, line, "the value is no number")
		return
	}
	t := d.now
	if len(timestamp) > 0 && string(timestamp) != "-1" {
		var ok bool
		if t, ok = milliseconds(timestamp); !ok {
			d.refuse(b, storage.ReasonBadTime, line, "the timestamp is no time in seconds")
			return
		}
	}
	d.group = append(d.group, sample{path, t, v})
	b.Queue(door.AliasOf(b.Seed, path))
}

// word returns the next word of a line, and what follows it.
func word(line []byte) (w, rest []byte) {
	for len(line) > 0 && blank(line[0]) {
		line = line[1:]
	}
	end := len(line)
	for _, c := range blanks { // paths are long
		if n := bytes.IndexByte(line[:end], c); n >= 0 {
			end = n
		}
	}
	return line[:end], line[end:]
}

var blanks = [...]byte{' ', '\t', '\r'}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// milliseconds returns the Unix milliseconds of a number of seconds.
func milliseconds(b []byte) (t int64, ok bool) {
	if t, err := decimal.Int(b); err == nil {
		return t * 1000, t > -maxSeconds && t < maxSeconds
	}
	v, err := decimal.Parse(b)
	if err != nil || !(v > -maxSeconds && v < maxSeconds) {
		return 0, false
	}
	return int64(math.Floor(v * 1000)), true
}

// refuse counts a refused line.
func (d *decoder) refuse(b *door.Batch, reason storage.Reason, line []byte, why string) {
	detail := ""
	if b.Labels.WantsDetail(reason) {
		text := string(bytes.ToValidUTF8(line[:min(len(line), door.MaxExcerptBytes)], nil))
		detail = fmt.Sprintf("%s: %s", why, door.Clip(text, door.MaxExcerptBytes))
	}
	b.Reject(reason, "", detail, 1)
}

// Labels implements door.Decoder: the path is the name, and each tag behind a semicolon
// a label.
func (d *decoder) Labels(k int, set *door.LabelSet) (samples int, err error) {
	name, tags, more := bytes.Cut(d.group[k].path, []byte(";"))
	set.Add(door.MetricName, d.names.Metric(name))
	for more {
		var tag []byte
		tag, tags, more = bytes.Cut(tags, []byte(";"))
		label, value, ok := bytes.Cut(tag, []byte("="))
		if !ok {
			return 1, set.Refuse(storage.ReasonBadLabel, "tag %q is not name=value", door.Clip(string(bytes.ToValidUTF8(tag, nil)), 80))
		}
		set.Add(d.names.Label(label), value)
	}
	return 1, nil
}

// AddSamples implements door.Decoder.
func (d *decoder) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	b.Offered.Floats += to - from
	for k := from; k < to; k++ {
		if s := &d.group[k]; refs[k] != 0 {
			b.Float(refs[k], s.t, 0, s.v)
		}
	}
	return nil
}
