package opentsdb

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"tsdb/api/ingest/door"
	"tsdb/internal/decimal"
	"tsdb/internal/jsonscan"
	"tsdb/internal/model"
	"tsdb/storage"
)

// Bounds of the answer to the parameter details.
const (
	maxRefusals      = 100     // described
	maxQuotedBytes   = 4 << 10 // of a data point; a longer one is left out
	firstMillisecond = 1 << 32 // timestamps from here on are milliseconds, as in OpenTSDB
)

// decoder decodes data points. Its slices point into src and are reused.
type decoder struct {
	names door.Names
	src   []byte
	now   int64 // time of data points without one, Unix milliseconds

	group []point
	key   []byte

	refused []refusal        // the first maxRefusals
	reasons []storage.Reason // of all that were refused here
}

// point is a data point whose series has not been looked up yet. Metric and tags are as
// they were sent.
type point struct {
	text, metric, tags []byte
	t                  int64
	v                  float64
}

// Release implements door.Decoder.
func (d *decoder) Release() {
	clear(d.group[:cap(d.group)])
	if cap(d.group) > 4*door.GroupSeries {
		d.group = nil
	}
	clear(d.refused)
	d.refused, d.reasons = d.refused[:0], d.reasons[:0]
	d.src = nil
}

// NextGroup implements door.Decoder.
func (d *decoder) NextGroup() { d.group = d.group[:0] }

// Decode implements door.Decoder. A bad data point is refused, without effect on the
// others.
func (d *decoder) Decode(b *door.Batch) error {
	d.NextGroup()
	d.refused, d.reasons = d.refused[:0], d.reasons[:0]
	s := jsonscan.New(d.src)
	if s.Next() == '[' {
		s.Open('[')
		for n := 0; s.Item(n); n++ {
			d.addPoint(b, &s)
			if err := b.FlushIfFull(); err != nil {
				return err
			}
		}
	} else {
		d.addPoint(b, &s)
	}
	if err := s.End(); err != nil {
		return &door.RequestError{Text: "unable to parse the given JSON: " + err.Error(), Err: err}
	}
	return nil
}

// addPoint queues the next data point.
func (d *decoder) addPoint(b *door.Batch, s *jsonscan.Scanner) {
	s.Next()
	from := s.At()
	var p point
	var timestamp, value []byte
	if s.Open('{') {
		for n := 0; ; n++ {
			name, ok := s.Key(n)
			if !ok {
				break
			}
			v := s.Value()
			switch string(name) {
			case "metric":
				p.metric = v
			case "timestamp":
				timestamp = v
			case "value":
				value = v
			case "tags":
				p.tags = v
			}
		}
	}
	if s.Err() != nil {
		return
	}
	p.text = d.src[from:s.At()]
	var why string
	if p.t, why = d.time(timestamp); why != "" {
		d.refuse(b, &p, storage.ReasonBadTime, why)
		return
	}
	text, err := jsonscan.Text(value)
	if err == nil {
		p.v, err = decimal.ParseAny(text)
	}
	if err != nil {
		d.refuse(b, &p, storage.ReasonBadValue, fmt.Sprintf("unable to parse value %s to a number", quote(value)))
		return
	}
	d.key = binary.AppendUvarint(d.key[:0], uint64(len(p.metric)))
	d.key = append(d.key, p.metric...)
	d.key = append(d.key, p.tags...)
	d.group = append(d.group, p)
	b.Queue(door.AliasOf(b.Seed, d.key))
}

// time returns the time of a data point in Unix milliseconds, or why there is none.
func (d *decoder) time(value []byte) (t int64, why string) {
	text, err := jsonscan.Text(value)
	if err == nil && (text == nil || string(text) == "0") {
		return d.now, ""
	}
	if err == nil {
		t, err = decimal.Int(text)
	}
	if err != nil || t < 0 {
		return 0, "invalid timestamp " + quote(value)
	}
	if t < firstMillisecond {
		t *= 1000
	}
	return t, ""
}

func quote(value []byte) string {
	if value == nil {
		return "(none)"
	}
	return door.Clip(string(value), 80)
}

// refuse counts a refused data point.
func (d *decoder) refuse(b *door.Batch, p *point, reason storage.Reason, why string) {
	if !slices.Contains(d.reasons, reason) {
		d.reasons = append(d.reasons, reason)
	}
	if len(d.refused) < maxRefusals {
		r := refusal{Error: why}
		if len(p.text) <= maxQuotedBytes && json.Valid(p.text) {
			r.DataPoint = slices.Clone(p.text) // the answer is made when the body is gone
		}
		d.refused = append(d.refused, r)
	}
	detail := ""
	if b.Labels.WantsDetail(reason) {
		detail = why + ": " + door.Clip(string(p.text[:min(len(p.text), door.MaxExcerptBytes)]), door.MaxExcerptBytes)
	}
	b.Reject(reason, "", detail, 1)
}

// Refuse implements door.Refuser.
func (d *decoder) Refuse(b *door.Batch, k int, bad *storage.Reject, _ int) {
	why := bad.Detail
	if why == "" {
		why = string(bad.Reason)
	}
	d.refuse(b, &d.group[k], bad.Reason, door.Clip(why, maxQuotedBytes))
}

// Labels implements door.Decoder.
func (d *decoder) Labels(k int, set *door.LabelSet) (samples int, err error) {
	p := &d.group[k]
	name, err := jsonscan.Text(p.metric)
	if err != nil {
		return 1, &storage.Reject{Reason: storage.ReasonBadLabel, Detail: "metric: " + err.Error()}
	}
	set.Add(door.MetricName, d.names.Metric(name))
	if p.tags == nil || string(p.tags) == "null" {
		return 1, nil
	}
	s := jsonscan.New(p.tags)
	s.Open('{')
	for n := 0; ; n++ {
		name, ok := s.Key(n)
		if !ok {
			break
		}
		value, err := jsonscan.Text(s.Value())
		if err != nil {
			s.Fail("tag %s: %v", door.Clip(string(name), 80), err)
		}
		set.Add(d.names.Label(name), value)
	}
	if err := s.End(); err != nil {
		return 1, &storage.Reject{Reason: storage.ReasonBadLabel, Detail: "tags: " + err.Error()}
	}
	return 1, nil
}

// AddSamples implements door.Decoder.
func (d *decoder) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	b.Offered.Floats += to - from
	for k := from; k < to; k++ {
		if p := &d.group[k]; refs[k] != 0 {
			b.Float(refs[k], p.t, 0, p.v)
		}
	}
	return nil
}
