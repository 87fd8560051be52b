package ingest

import (
	"fmt"

	"tsdb/internal/model"
	"tsdb/storage"
)

// Tags of Exemplar. Like the labels of a series, its labels are messages in
// remote write 1 and symbol numbers in remote write 2.
const (
	tag1ExemplarLabel = 1<<3 | wireBytes
	tagExemplarValue  = 2<<3 | wireFixed64
	tagExemplarTime   = 3<<3 | wireVarint
)

func (d *decoder1) addExemplar(m []byte, at int, s *series1, ref model.Ref, b batch) error {
	d.labels.reset()
	var e model.Exemplar
	for i := 0; i < len(m); {
		tag, n := uvarint(m, i)
		if n < 0 {
			return &wireError{"Exemplar", at}
		}
		var u uint64
		switch tag {
		case tag1ExemplarLabel:
			var start int
			if start, i = lengthPrefixed(m, n); i < 0 {
				break
			}
			name, value, ok := parseLabel(m[start:i])
			if !ok {
				return &wireError{"Exemplar", at}
			}
			d.labels.add(name, value)
		case tagExemplarValue:
			e.V, i = double(m, n)
		case tagExemplarTime:
			u, i = uvarint(m, n)
			e.T = int64(u)
		default:
			i = skipField(m, n, tag, 1<<1|1<<2|1<<3)
		}
		if i < 0 {
			return &wireError{"Exemplar", at}
		}
	}
	d.offered.exemplars++
	if ref == 0 {
		return nil
	}
	var bad *storage.Reject
	if e.Labels, bad = d.labels.buildExemplar(); bad != nil {
		return d.refuse(bad.Reason, s, e.T, bad.Detail, b)
	}
	b.Exemplar(ref, e)
	return nil
}

func (d *decoder2) addExemplar(m []byte, at int, s *series2, ref model.Ref, b batch) error {
	var e model.Exemplar
	d.exemplar = d.exemplar[:0]
	refCount := 0
	for i := 0; i < len(m); {
		tag, n := uvarint(m, i)
		if n < 0 {
			return &wireError{"Exemplar", at}
		}
		var u uint64
		count := 0
		switch tag {
		case tag2LabelRefs:
			var start int
			if start, i = lengthPrefixed(m, n); i >= 0 {
				d.exemplar, count = appendRefs(d.exemplar, d.maxRefs(), m[start:i])
			}
		case tag2LabelRef:
			u, i = uvarint(m, n)
			if count = 1; len(d.exemplar) < d.maxRefs() {
				d.exemplar = append(d.exemplar, uint32(u))
			}
		case tagExemplarValue:
			e.V, i = double(m, n)
		case tagExemplarTime:
			u, i = uvarint(m, n)
			e.T = int64(u)
		default:
			i = skipField(m, n, tag, 1<<1|1<<2|1<<3)
		}
		if i < 0 || count < 0 {
			return &wireError{"Exemplar", at}
		}
		refCount += count
	}
	d.offered.exemplars++
	if ref == 0 {
		return nil
	}
	why := ""
	switch {
	case refCount > d.maxRefs():
		why = fmt.Sprintf("%d labels, limit is %d", refCount/2, d.labels.limits.Labels)
	case !d.hashRefs(d.exemplar):
		why = refsError{d.exemplar, len(d.symbols)}.String()
	default:
		d.setLabels(d.exemplar)
		var bad *storage.Reject
		if e.Labels, bad = d.labels.buildExemplar(); bad == nil {
			b.Exemplar(ref, e)
			return nil
		}
		why = bad.Detail
	}
	d.refuseAt(storage.ReasonBadExemplar, d.labelRefs[s.firstRef:s.lastRef], e.T, 1, b, "parsing exemplar: %s", why)
	return nil
}
