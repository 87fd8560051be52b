package csv

import (
	"encoding/binary"
	"fmt"

	"tsdb/api/ingest/door"
	"tsdb/internal/decimal"
	"tsdb/internal/model"
	"tsdb/storage"
)

// decoder decodes lines. Its slices point into src and are reused.
type decoder struct {
	src    []byte
	format *format
	now    int64 // time of lines without one, Unix milliseconds

	fields [][]byte // of the line last split
	split  []byte   // the line last split by Labels, nil if fields are those of another one
	key    []byte   // of the labels of a line
	group  []sample
}

// sample is the value of a metric whose series has not been looked up yet.
type sample struct {
	line   []byte
	metric int // index in format.metrics
	t      int64
	v      float64
}

// Release implements door.Decoder.
func (d *decoder) Release() {
	clear(d.group[:cap(d.group)])
	clear(d.fields[:cap(d.fields)])
	if cap(d.group) > 4*door.GroupSeries {
		d.group = nil
	}
	d.src, d.format, d.split = nil, nil, nil
}

// NextGroup implements door.Decoder.
func (d *decoder) NextGroup() { d.group = d.group[:0] }

// Decode implements door.Decoder. A bad line, or a bad value of one, is refused
// without effect on the others.
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

// addLine queues the samples of a line.
func (d *decoder) addLine(b *door.Batch, line []byte) {
	f := d.format
	d.split = nil
	var ok bool
	if d.fields, ok = Split(d.fields[:0], line, f.columns); !ok {
		d.refuse(b, storage.ReasonBadValue, line, len(f.metrics), "a quote is not closed, or text follows it")
		return
	}
	t := d.now
	if f.time >= 0 {
		if t, ok = f.parseTime(number(d.field(f.time))); !ok {
			d.refuse(b, storage.ReasonBadTime, line, len(f.metrics), "column %d is no time", f.time+1)
			return
		}
	}
	alias := d.labelsAlias(b.Seed)
	for i, m := range f.metrics {
		value := number(d.field(m.at))
		if len(value) == 0 {
			if m.at >= len(d.fields) {
				d.refuse(b, storage.ReasonBadValue, line, 1, "there is no column %d", m.at+1)
			}
			continue // as in VictoriaMetrics, an empty field is no sample
		}
		v, err := decimal.ParseAny(value)
		if err != nil {
			d.refuse(b, storage.ReasonBadValue, line, 1, "column %d is no number", m.at+1)
			continue
		}
		d.group = append(d.group, sample{line: line, metric: i, t: t, v: v})
		if i == 0 {
			b.Queue(alias)
			continue
		}
		d.key = binary.LittleEndian.AppendUint16(door.AppendHash(d.key[:0], alias), uint16(i))
		b.Queue(door.AliasOf(b.Seed, d.key))
	}
}

// labelsAlias returns the hash of the labels of the line, the alias of its first metric.
func (d *decoder) labelsAlias(seed uint64) model.Hash {
	f := d.format
	if from, to := f.labelsFrom, f.labelsTo; from < to && to <= len(d.fields) {
		// They follow each other, so that they are hashed where they stand: a field may be
		// sliced up to the end of the line.
		n := to - from - 1 // commas
		for _, field := range d.fields[from:to] {
			n += len(field)
		}
		return door.AliasOf(seed, d.fields[from][:n])
	}
	d.key = d.key[:0]
	for _, l := range f.labels {
		field := d.field(l.at)
		d.key = append(binary.AppendUvarint(d.key, uint64(len(field))), field...)
	}
	const gathered = 1 << 40 // the key of other labels may be the same
	return door.AliasOf(seed^gathered, d.key)
}

// field returns a field of the line, nil if it is absent.
func (d *decoder) field(at int) []byte {
	if at < len(d.fields) {
		return d.fields[at]
	}
	return nil
}

// refuse counts n refused samples of a line.
func (d *decoder) refuse(b *door.Batch, reason storage.Reason, line []byte, n int, format string, args ...any) {
	detail := ""
	if b.Labels.WantsDetail(reason) {
		detail = fmt.Sprintf(format, args...) + ": " + excerpt(line)
	}
	b.Reject(reason, "", detail, n)
}

// Labels implements door.Decoder.
func (d *decoder) Labels(k int, set *door.LabelSet) (samples int, err error) {
	s := &d.group[k]
	if len(d.split) == 0 || &d.split[0] != &s.line[0] { // once for all metrics of a line
		d.split = s.line
		d.fields, _ = Split(d.fields[:0], s.line, d.format.columns)
	}
	set.Add(door.MetricName, d.format.metrics[s.metric].name)
	for _, l := range d.format.labels {
		set.Add(l.name, Content(d.field(l.at)))
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
