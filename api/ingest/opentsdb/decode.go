package opentsdb

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/valyala/fastjson"

	"tsdb/api/ingest/door"
	"tsdb/internal/decimal"
	"tsdb/internal/model"
	"tsdb/storage"
)

// Bounds of the answer to the parameter details.
const (
	maxRefusals      = 100     // described
	maxQuotedBytes   = 4 << 10 // of a data point; a longer one is left out
	firstMillisecond = 1 << 32 // timestamps from here on are milliseconds, as in OpenTSDB
)

// decoder decodes data points. Its slices are reused.
type decoder struct {
	names door.Names
	src   []byte
	now   int64 // time of data points without one, Unix milliseconds
	tree  door.JSON

	group []point
	key   []byte

	refused []refusal        // the first maxRefusals
	reasons []storage.Reason // of all that were refused here
}

// point is a data point whose series has not been looked up yet: parts of the tree.
type point struct {
	whole, metric, tags *fastjson.Value
	t                   int64
	v                   float64
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
	d.tree.Release()
}

// NextGroup implements door.Decoder.
func (d *decoder) NextGroup() { d.group = d.group[:0] }

// Decode implements door.Decoder. A bad data point is refused, without effect on the
// others.
func (d *decoder) Decode(b *door.Batch) error {
	d.NextGroup()
	d.refused, d.reasons = d.refused[:0], d.reasons[:0]
	root, err := d.tree.Parse(d.src)
	if err != nil {
		return unparsable(err)
	}
	if root.Type() != fastjson.TypeArray {
		return d.addPoint(b, root)
	}
	for _, x := range root.GetArray() {
		if err := d.addPoint(b, x); err != nil {
			return err
		}
		if err := b.FlushIfFull(); err != nil {
			return err
		}
	}
	return nil
}

// unparsable returns the error of a body that is not data points in JSON.
func unparsable(err error) error {
	if errors.Is(err, door.ErrJSON) {
		return &door.RequestError{Text: "unable to parse the given JSON: " + err.Error(), Err: err}
	}
	return err
}

// addPoint queues a data point. Of members with the same name the last one counts.
func (d *decoder) addPoint(b *door.Batch, whole *fastjson.Value) error {
	object := whole.GetObject()
	if object == nil {
		return unparsable(fmt.Errorf("%w: a data point is no object", door.ErrJSON))
	}
	d.tree.ResetText()
	p := point{whole: whole}
	var timestamp, value *fastjson.Value
	object.Visit(func(name []byte, v *fastjson.Value) {
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
	})
	var why string
	if p.t, why = d.time(timestamp); why != "" {
		d.refuse(b, &p, storage.ReasonBadTime, why)
		return nil
	}
	text, err := d.tree.Text(value)
	if err == nil {
		p.v, err = decimal.ParseAny(text)
	}
	if err != nil {
		d.refuse(b, &p, storage.ReasonBadValue, fmt.Sprintf("unable to parse value %s to a number", quote(value)))
		return nil
	}
	d.key = append(d.key[:0], 0, 0, 0, 0)
	if p.metric != nil {
		d.key = p.metric.MarshalTo(d.key)
	}
	binary.LittleEndian.PutUint32(d.key, uint32(len(d.key)))
	if p.tags != nil {
		d.key = p.tags.MarshalTo(d.key)
	}
	d.group = append(d.group, p)
	b.Queue(door.AliasOf(b.Seed, d.key))
	return nil
}

// time returns the time of a data point in Unix milliseconds, or why there is none.
func (d *decoder) time(value *fastjson.Value) (t int64, why string) {
	text, err := d.tree.Text(value)
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

func quote(value *fastjson.Value) string {
	if value == nil {
		return "(none)"
	}
	return door.Clip(string(value.MarshalTo(nil)), 80)
}

// refuse counts a refused data point.
func (d *decoder) refuse(b *door.Batch, p *point, reason storage.Reason, why string) {
	if !slices.Contains(d.reasons, reason) {
		d.reasons = append(d.reasons, reason)
	}
	quoted, detailed := len(d.refused) < maxRefusals, b.Labels.WantsDetail(reason)
	var text []byte // the answer is made when the body is gone
	if quoted || detailed {
		text = p.whole.MarshalTo(nil)
	}
	if quoted {
		r := refusal{Error: why}
		if len(text) <= maxQuotedBytes && json.Valid(text) { // names with control characters are written Go's way
			r.DataPoint = text
		}
		d.refused = append(d.refused, r)
	}
	detail := ""
	if detailed {
		detail = why + ": " + door.Clip(string(text[:min(len(text), door.MaxExcerptBytes)]), door.MaxExcerptBytes)
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
	d.tree.ResetText()
	name, err := d.tree.Text(p.metric)
	if err != nil {
		return 1, &storage.Reject{Reason: storage.ReasonBadLabel, Detail: "metric: " + err.Error()}
	}
	set.Add(door.MetricName, d.names.Metric(name))
	if p.tags == nil || p.tags.Type() == fastjson.TypeNull {
		return 1, nil
	}
	tags := p.tags.GetObject()
	if tags == nil {
		return 1, &storage.Reject{Reason: storage.ReasonBadLabel, Detail: "tags: " + door.ErrJSON.Error() + ": want an object"}
	}
	tags.Visit(func(name []byte, v *fastjson.Value) {
		value, wrong := d.tree.Text(v)
		if wrong != nil && err == nil {
			err = &storage.Reject{Reason: storage.ReasonBadLabel, Detail: fmt.Sprintf("tags: tag %s: %v", door.Clip(string(name), 80), wrong)}
		}
		set.Add(d.names.Label(name), value)
	})
	return 1, err
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
