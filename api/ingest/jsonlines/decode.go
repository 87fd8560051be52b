package jsonlines

import (
	"bytes"
	"errors"
	"fmt"

	"tsdb/api/ingest/door"
	"tsdb/internal/model"
	"tsdb/internal/transfer/jsonl"
	"tsdb/storage"
)

// decoder decodes lines. Its slices point into src and are reused.
type decoder struct {
	src     []byte
	group   []jsonl.Line
	samples model.Samples // of one line
}

// Release implements door.Decoder.
func (d *decoder) Release() {
	clear(d.group[:cap(d.group)])
	d.src = nil
	d.samples.Reset()
}

// NextGroup implements door.Decoder.
func (d *decoder) NextGroup() { d.group = d.group[:0] }

// Decode implements door.Decoder. A bad line is refused, without effect on the others.
func (d *decoder) Decode(b *door.Batch) error {
	d.NextGroup()
	for line := range door.Lines(d.src) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		var l jsonl.Line
		if err := l.Split(line); err != nil {
			b.Reject(storage.ReasonBadValue, "", fmt.Sprintf("%v: %s", err, excerpt(line)), 1)
			continue
		}
		d.group = append(d.group, l)
		b.Queue(door.AliasOf(b.Seed, l.Metric))
		if err := b.FlushIfFull(); err != nil {
			return err
		}
	}
	return nil
}

// Labels implements door.Decoder.
func (d *decoder) Labels(k int, set *door.LabelSet) (samples int, err error) {
	l := &d.group[k]
	n := l.Rows()
	err = l.Labels(func(name, value string) { set.Add([]byte(name), []byte(value)) })
	if errors.Is(err, jsonl.ErrLine) {
		return n, &storage.Reject{Reason: storage.ReasonBadLabel, Detail: err.Error()}
	}
	return n, err
}

// AddSamples implements door.Decoder.
func (d *decoder) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	for k := from; k < to; k++ {
		l := &d.group[k]
		if refs[k] == 0 {
			b.Offered.Floats += l.Rows()
			continue
		}
		d.samples.Reset()
		if err := l.Samples(&d.samples); err != nil {
			n := l.Rows()
			b.Offered.Floats += n
			b.Reject(storage.ReasonBadValue, excerpt(l.Metric), err.Error(), max(n, 1))
			continue
		}
		b.Offered.Floats += d.samples.Len()
		if d.samples.IsPlain() {
			for i, t := range d.samples.T {
				b.Float(refs[k], t, 0, d.samples.V[i])
			}
			continue
		}
		for i, t := range d.samples.T {
			h := d.samples.HistogramAt(i)
			if h.IsZero() {
				b.Float(refs[k], t, d.samples.StartAt(i), d.samples.V[i])
				continue
			}
			if !h.IsStale() {
				if err := h.Validate(); err != nil {
					b.Reject(storage.ReasonBadHistogram, excerpt(l.Metric), err.Error(), 1)
					continue
				}
			}
			b.Histogram(refs[k], t, d.samples.StartAt(i), h)
		}
	}
	return nil
}

func excerpt(b []byte) string {
	return door.Clip(string(bytes.ToValidUTF8(b[:min(len(b), door.MaxExcerptBytes)], nil)), door.MaxExcerptBytes)
}
