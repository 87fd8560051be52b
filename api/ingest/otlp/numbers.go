package otlp

import (
	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/storage"
)

// addNumberPoint decodes a NumberDataPoint. All its tags are single bytes.
func (d *decoder) addNumberPoint(b *door.Batch, start, end int) error {
	src := d.src[:end]
	p := point{firstEx: len(d.exemplars)}
	var v float64
	hasValue := false
	for i := start; i < end; {
		at := i
		switch src[i] {
		case tagPointStart:
			p.startNano, i = wire.Uint64(src, i+1)
		case tagPointTime:
			p.timeNano, i = wire.Uint64(src, i+1)
		case tagNumberDouble:
			v, i = wire.Double(src, i+1)
			hasValue = true
		case tagNumberInt:
			var u uint64
			u, i = wire.Uint64(src, i+1)
			v, hasValue = float64(int64(u)), true
		case tagNumberAttr:
			i = p.addAttributes(src, i, tagNumberAttr)
		case tagNumberExample:
			i = d.addExemplar(src, i+1)
		case tagNumberFlags:
			p.flags, i = wire.Uvarint(src, i+1)
		default:
			tag, n := wire.Uvarint(src, i)
			if i = n; n >= 0 {
				i = wire.SkipField(src, n, tag, numberFields)
			}
		}
		if i < 0 {
			return door.Malformed("NumberDataPoint", at)
		}
	}
	if ok, err := d.check(b, &p, start, end, tagNumberAttr); !ok {
		return err
	}
	if p.noValue() {
		v = stale
	} else if !hasValue {
		return d.refusePoint(b, &p, storage.ReasonBadValue, "data point has no value")
	}
	if err := d.budget.take(sampleBytes); err != nil {
		return err
	}
	d.queue(b, &p, d.alias(&p), whole, 0, v, p.firstEx, len(d.exemplars))
	return nil
}
