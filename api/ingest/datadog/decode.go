package datadog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/valyala/fastjson"

	"tsdb/api/ingest/door"
	"tsdb/internal/decimal"
	"tsdb/internal/model"
	"tsdb/storage"
)

// decoder decodes series in JSON, of both versions. Its slices are reused.
type decoder struct {
	src   []byte
	tree  door.JSON
	group []series
	key   []byte
	tags  tags
}

// series is a series as it was sent: parts of the tree. Fields that are absent are nil.
type series struct {
	metric, host, device, tags, resources *fastjson.Value
	points                                []*fastjson.Value
}

// Release implements door.Decoder.
func (d *decoder) Release() {
	clear(d.group[:cap(d.group)])
	d.tags.reset()
	d.src = nil
	d.tree.Release()
}

// NextGroup implements door.Decoder.
func (d *decoder) NextGroup() { d.group = d.group[:0] }

// Decode implements door.Decoder.
func (d *decoder) Decode(b *door.Batch) error {
	d.NextGroup()
	root, err := d.tree.Parse(d.src)
	if err == nil {
		err = d.addAll(b, root)
	}
	if errors.Is(err, door.ErrJSON) {
		return &door.RequestError{Text: "decode series: " + err.Error(), Err: err}
	}
	return err
}

// wrongType returns the error of a value of another type than that wanted.
func wrongType(what, want string) error {
	return fmt.Errorf("%w: %s must be %s", door.ErrJSON, what, want)
}

// addAll queues the series of a body.
func (d *decoder) addAll(b *door.Batch, root *fastjson.Value) (err error) {
	object := root.GetObject()
	if object == nil {
		return wrongType("the body", "an object")
	}
	object.Visit(func(name []byte, all *fastjson.Value) {
		switch {
		case err != nil || string(name) != "series":
			return
		case all.Type() != fastjson.TypeArray:
			err = wrongType("series", "an array")
			return
		}
		for _, x := range all.GetArray() {
			if err = d.addSeries(b, x.GetObject()); err == nil {
				err = b.FlushIfFull()
			}
			if err != nil {
				return
			}
		}
	})
	return err
}

// addSeries queues a series. Of members with the same name the last one counts that is
// not null.
func (d *decoder) addSeries(b *door.Batch, object *fastjson.Object) (err error) {
	if object == nil {
		return wrongType("a series", "an object")
	}
	var x series
	object.Visit(func(name []byte, value *fastjson.Value) {
		if d.isNull(value) {
			return
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
			if value.Type() != fastjson.TypeArray {
				err = wrongType("points", "an array")
			}
			x.points = value.GetArray()
		}
	})
	if err != nil {
		return err
	}
	d.key = d.key[:0]
	for _, field := range [...]*fastjson.Value{x.metric, x.host, x.device, x.tags, x.resources} {
		from := len(d.key)
		d.key = append(d.key, 0, 0, 0, 0)
		if field != nil {
			d.key = field.MarshalTo(d.key)
		}
		binary.LittleEndian.PutUint32(d.key[from:], uint32(len(d.key)-from))
	}
	d.group = append(d.group, x)
	b.Queue(door.AliasOf(b.Seed, d.key))
	return nil
}

// isNull reports whether a value is null.
func (d *decoder) isNull(value *fastjson.Value) bool {
	d.tree.ResetText()
	text, err := d.tree.Text(value)
	return text == nil && err == nil
}

// Labels implements door.Decoder.
func (d *decoder) Labels(k int, set *door.LabelSet) (samples int, err error) {
	x := &d.group[k]
	d.tags.reset()
	d.tree.ResetText()
	name, err := d.tree.Text(x.metric)
	if err == nil {
		err = d.collect(x, set.MaxLabels())
	}
	set.Add(door.MetricName, d.tags.names.Metric(name))
	switch {
	case errors.Is(err, errTooMany):
		return len(x.points), set.TooMany(len(d.tags.pairs))
	case err != nil:
		return len(x.points), &storage.Reject{Reason: storage.ReasonBadLabel, Detail: err.Error()}
	}
	d.tags.labels(set)
	return len(x.points), nil
}

// errTooMany is returned for more tags than a series may have labels.
var errTooMany = errors.New("too many tags")

// collect collects the labels of a series.
func (d *decoder) collect(x *series, maxLabels int) error {
	host, err := d.tree.Text(x.host)
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	device, err := d.tree.Text(x.device)
	if err != nil {
		return fmt.Errorf("device: %w", err)
	}
	d.tags.host = host
	if len(device) > 0 {
		d.tags.add([]byte("device"), device)
	}
	if err := d.each(x.resources, maxLabels, d.addResource); err != nil {
		return fmt.Errorf("resources: %w", err)
	}
	err = d.each(x.tags, maxLabels, func(v *fastjson.Value) error {
		tag, err := d.tree.Text(v)
		if err == nil {
			d.tags.addTag(tag)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("tags: %w", err)
	}
	return nil
}

// each calls add for the items of an array, which may be absent, while there are no more
// labels than allowed.
func (d *decoder) each(array *fastjson.Value, maxLabels int, add func(*fastjson.Value) error) error {
	switch {
	case array == nil:
		return nil
	case array.Type() != fastjson.TypeArray:
		return fmt.Errorf("%w: want an array", door.ErrJSON)
	}
	for _, item := range array.GetArray() {
		if err := add(item); err != nil {
			return err
		}
		if len(d.tags.pairs) > maxLabels {
			return errTooMany
		}
	}
	return nil
}

// addResource adds a resource.
func (d *decoder) addResource(v *fastjson.Value) (err error) {
	object := v.GetObject()
	if object == nil {
		return fmt.Errorf("%w: want an object", door.ErrJSON)
	}
	var kind, name []byte
	object.Visit(func(key []byte, v *fastjson.Value) {
		text, wrong := d.tree.Text(v)
		if wrong != nil {
			err = wrong
		}
		switch string(key) {
		case "type":
			kind = text
		case "name":
			name = text
		}
	})
	if err == nil {
		d.tags.addResource(kind, name)
	}
	return err
}

// AddSamples implements door.Decoder.
func (d *decoder) AddSamples(b *door.Batch, refs []model.Ref, from, to int) error {
	for k := from; k < to; k++ {
		x := &d.group[k]
		b.Offered.Floats += len(x.points)
		if refs[k] == 0 {
			continue
		}
		for _, p := range x.points {
			t, v, reason := d.point(p)
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
// Unix seconds. reason is the reason for a refusal, "" for a valid point.
func (d *decoder) point(p *fastjson.Value) (t int64, v float64, reason storage.Reason) {
	d.tree.ResetText()
	var at, value *fastjson.Value
	if items := p.GetArray(); len(items) > 0 {
		at = items[0]
		if len(items) > 1 {
			value = items[1]
		}
	} else {
		p.GetObject().Visit(func(name []byte, item *fastjson.Value) { // of none: nothing
			switch string(name) {
			case "timestamp":
				at = item
			case "value":
				value = item
			}
		})
	}
	number, err := d.tree.Text(value)
	if err == nil {
		v, err = decimal.ParseAny(number)
	}
	if err != nil {
		return 0, 0, storage.ReasonBadValue
	}
	number, err = d.tree.Text(at)
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
