package datadog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tsdb/api/ingest/door"
	"tsdb/internal/decimal"
	"tsdb/internal/jsonscan"
	"tsdb/internal/model"
	"tsdb/storage"
)

// decoder decodes series in JSON, of both versions. Its slices point into src and are
// reused.
type decoder struct {
	src   []byte
	group []series
	key   []byte
	tags  tags
}

// series is a series as it was sent; fields that are absent are nil.
type series struct {
	metric, host, device, tags, resources []byte
	points                                []byte
	samples                               int // number of points
}

// Release implements door.Decoder.
func (d *decoder) Release() {
	clear(d.group[:cap(d.group)])
	d.tags.reset()
	d.src = nil
}

// NextGroup implements door.Decoder.
func (d *decoder) NextGroup() { d.group = d.group[:0] }

// Decode implements door.Decoder.
func (d *decoder) Decode(b *door.Batch) error {
	d.NextGroup()
	s := jsonscan.New(d.src)
	s.Open('{')
	for n := 0; ; n++ {
		name, ok := s.Key(n)
		if !ok {
			break
		}
		if string(name) != "series" {
			s.Value()
			continue
		}
		s.Open('[')
		for k := 0; s.Item(k); k++ {
			d.addSeries(b, &s)
			if err := b.FlushIfFull(); err != nil {
				return err
			}
		}
	}
	if err := s.End(); err != nil {
		return &door.RequestError{Text: "decode series: " + err.Error(), Err: err}
	}
	return nil
}

// addSeries queues the next series.
func (d *decoder) addSeries(b *door.Batch, s *jsonscan.Scanner) {
	var x series
	s.Open('{')
	for n := 0; ; n++ {
		name, ok := s.Key(n)
		if !ok {
			break
		}
		value := s.Value()
		if string(value) == "null" {
			continue
		}
		switch string(name) {
		case "metric":
			x.metric = value
		case "host":
			x.host = value
		case "device":
			x.device = value
		case "tags":
			x.tags = value
		case "resources":
			x.resources = value
		case "points":
			x.points = value
		}
	}
	if s.Err() != nil {
		return
	}
	if x.points != nil {
		points := jsonscan.New(x.points)
		points.Open('[')
		for ; points.Item(x.samples); x.samples++ {
			points.Value()
		}
		if err := points.End(); err != nil {
			s.Fail("points: %v", err)
			return
		}
	}
	d.key = d.key[:0]
	for _, field := range [...][]byte{x.metric, x.host, x.device, x.tags, x.resources} {
		d.key = append(binary.AppendUvarint(d.key, uint64(len(field))), field...)
	}
	d.group = append(d.group, x)
	b.Queue(door.AliasOf(b.Seed, d.key))
}

// Labels implements door.Decoder.
func (d *decoder) Labels(k int, set *door.LabelSet) (samples int, err error) {
	x := &d.group[k]
	d.tags.reset()
	name, err := jsonscan.Text(x.metric)
	if err == nil {
		err = d.collect(x, set.MaxLabels())
	}
	set.Add(door.MetricName, d.tags.names.Metric(name))
	switch {
	case errors.Is(err, errTooMany):
		return x.samples, set.TooMany(len(d.tags.pairs))
	case err != nil:
		return x.samples, &storage.Reject{Reason: storage.ReasonBadLabel, Detail: err.Error()}
	}
	d.tags.labels(set)
	return x.samples, nil
}

// errTooMany is returned for more tags than a series may have labels.
var errTooMany = errors.New("too many tags")

// collect collects the labels of a series.
func (d *decoder) collect(x *series, maxLabels int) error {
	host, err := jsonscan.Text(x.host)
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	device, err := jsonscan.Text(x.device)
	if err != nil {
		return fmt.Errorf("device: %w", err)
	}
	d.tags.host = host
	if len(device) > 0 {
		d.tags.add([]byte("device"), device)
	}
	if x.resources != nil {
		s := jsonscan.New(x.resources)
		s.Open('[')
		for n := 0; s.Item(n) && len(d.tags.pairs) <= maxLabels; n++ {
			d.addResource(&s)
		}
		if err := d.ended(&s, maxLabels); err != nil {
			return fmt.Errorf("resources: %w", err)
		}
	}
	if x.tags != nil {
		s := jsonscan.New(x.tags)
		s.Open('[')
		for n := 0; s.Item(n) && len(d.tags.pairs) <= maxLabels; n++ {
			tag, err := jsonscan.Text(s.Value())
			if err != nil {
				s.Fail("%v", err)
				break
			}
			d.tags.addTag(tag)
		}
		if err := d.ended(&s, maxLabels); err != nil {
			return fmt.Errorf("tags: %w", err)
		}
	}
	return nil
}

// ended returns the error of an array that has been read.
func (d *decoder) ended(s *jsonscan.Scanner, maxLabels int) error {
	if s.Err() == nil && len(d.tags.pairs) > maxLabels {
		return errTooMany
	}
	return s.End()
}

// addResource adds the next resource.
func (d *decoder) addResource(s *jsonscan.Scanner) {
	var kind, name []byte
	s.Open('{')
	for n := 0; ; n++ {
		key, ok := s.Key(n)
		if !ok {
			break
		}
		text, err := jsonscan.Text(s.Value())
		if err != nil {
			s.Fail("%v", err)
			return
		}
		switch string(key) {
		case "type":
			kind = text
		case "name":
			name = text
		}
	}
	if s.Err() == nil {
		d.tags.addResource(kind, name)
	}
}

// AddSamples implements door.Decoder.
func (d *decoder) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	for k := from; k < to; k++ {
		x := &d.group[k]
		b.Offered.Floats += x.samples
		if refs[k] == 0 || x.points == nil {
			continue
		}
		points := jsonscan.New(x.points)
		points.Open('[')
		for n := 0; points.Item(n); n++ {
			t, v, reason := point(points.Value())
			if reason != "" {
				if err := b.RefuseSample(k, reason, 0, "a point is not a time in seconds and a number"); err != nil {
					return err
				}
				continue
			}
			b.Float(refs[k], t, 0, v)
		}
	}
	return nil
}

// point decodes a point: [time, value] or {"timestamp":time,"value":value}, the time in
// Unix seconds. reason says what is wrong with it, "" if nothing is.
func point(text []byte) (t int64, v float64, reason storage.Reason) {
	var at, value []byte
	s := jsonscan.New(text)
	if s.Next() == '[' {
		s.Open('[')
		for n := 0; s.Item(n); n++ {
			switch item := s.Value(); n {
			case 0:
				at = item
			case 1:
				value = item
			}
		}
	} else {
		s.Open('{')
		for n := 0; ; n++ {
			name, ok := s.Key(n)
			if !ok {
				break
			}
			switch item := s.Value(); string(name) {
			case "timestamp":
				at = item
			case "value":
				value = item
			}
		}
	}
	if s.End() != nil {
		return 0, 0, storage.ReasonBadValue
	}
	number, err := jsonscan.Text(value)
	if err == nil {
		v, err = decimal.ParseAny(number)
	}
	if err != nil {
		return 0, 0, storage.ReasonBadValue
	}
	number, err = jsonscan.Text(at)
	if err == nil {
		if t, err = decimal.Int(number); err == nil {
			return milliseconds(t, v)
		}
		var seconds float64
		if seconds, err = decimal.Parse(number); err == nil && seconds > -maxSeconds && seconds < maxSeconds {
			return int64(seconds * 1000), v, ""
		}
	}
	return 0, 0, storage.ReasonBadTime
}

// maxSeconds bounds times, so that they can be multiplied.
const maxSeconds = 1 << 50

func milliseconds(seconds int64, value float64) (t int64, v float64, reason storage.Reason) {
	if seconds <= -maxSeconds || seconds >= maxSeconds {
		return 0, 0, storage.ReasonBadTime
	}
	return seconds * 1000, value, ""
}
