package remotewrite

import (
	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/internal/model"
	"tsdb/storage"
)

// Tags of Exemplar. Like the labels of a series, its labels are messages in
// remote write 1 and symbol numbers in remote write 2.
const (
	tag1ExemplarLabel = 1<<3 | wire.Bytes
	tagExemplarValue  = 2<<3 | wire.Fixed64
	tagExemplarTime   = 3<<3 | wire.Varint
)

func addExemplar1(b *door.Batch, m []byte, at, k int, ref model.Ref) error {
	b.Labels.Reset()
	var e model.Exemplar
	for i := 0; i < len(m); {
		tag, n := wire.Uvarint(m, i)
		if n < 0 {
			return door.Malformed("Exemplar", at)
		}
		var u uint64
		switch tag {
		case tag1ExemplarLabel:
			var start int
			if start, i = wire.LengthPrefixed(m, n); i < 0 {
				break
			}
			name, value, ok := parseLabel(m[start:i])
			if !ok {
				return door.Malformed("Exemplar", at)
			}
			b.Labels.Add(name, value)
		case tagExemplarValue:
			e.V, i = wire.Double(m, n)
		case tagExemplarTime:
			u, i = wire.Uvarint(m, n)
			e.T = int64(u)
		default:
			i = wire.SkipField(m, n, tag, 1<<1|1<<2|1<<3)
		}
		if i < 0 {
			return door.Malformed("Exemplar", at)
		}
	}
	b.Offered.Exemplars++
	if ref == 0 {
		return nil
	}
	var bad *storage.Reject
	if e.Labels, bad = b.Labels.BuildExemplar(); bad != nil {
		return b.RefuseSample(k, bad.Reason, e.T, bad.Detail)
	}
	b.Exemplar(ref, e)
	return nil
}

func (d *decoder2) addExemplar(b *door.Batch, m []byte, at, k int, ref model.Ref) error {
	maxRefs := maxRefs(b)
	var e model.Exemplar
	d.exemplar = d.exemplar[:0]
	refCount := 0
	for i := 0; i < len(m); {
		tag, n := wire.Uvarint(m, i)
		if n < 0 {
			return door.Malformed("Exemplar", at)
		}
		var u uint64
		count := 0
		switch tag {
		case tag2LabelRefs:
			var start int
			if start, i = wire.LengthPrefixed(m, n); i >= 0 {
				d.exemplar, count = appendRefs(d.exemplar, maxRefs, m[start:i])
			}
		case tag2LabelRef:
			u, i = wire.Uvarint(m, n)
			if count = 1; len(d.exemplar) < maxRefs {
				d.exemplar = append(d.exemplar, uint32(u))
			}
		case tagExemplarValue:
			e.V, i = wire.Double(m, n)
		case tagExemplarTime:
			u, i = wire.Uvarint(m, n)
			e.T = int64(u)
		default:
			i = wire.SkipField(m, n, tag, 1<<1|1<<2|1<<3)
		}
		if i < 0 || count < 0 {
			return door.Malformed("Exemplar", at)
		}
		refCount += count
	}
	b.Offered.Exemplars++
	if ref == 0 {
		return nil
	}
	why := ""
	switch {
	case refCount > maxRefs:
		why = b.Labels.TooManyInExemplar(refCount / 2).Detail
	case !d.hashRefs(d.exemplar):
		why = refsError{d.exemplar, len(d.symbols)}.String()
	default:
		b.Labels.Reset()
		d.addLabels(&b.Labels, d.exemplar)
		var bad *storage.Reject
		if e.Labels, bad = b.Labels.BuildExemplar(); bad == nil {
			b.Exemplar(ref, e)
			return nil
		}
		why = bad.Detail
	}
	return b.RefuseSample(k, storage.ReasonBadExemplar, e.T, "parsing exemplar: "+why)
}
