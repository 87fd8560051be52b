package otlp

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"math"
	"slices"
	"unicode/utf8"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/internal/model"
	"tsdb/storage"
)

// exemplar is an Exemplar whose structure has been checked.
type exemplar struct {
	message span
	v       float64
}

// addExemplar notes an exemplar of the current data point; i is the position after its
// tag. It returns the position after it, negative if it is malformed.
func (d *decoder) addExemplar(src []byte, i int) int {
	start, end := wire.LengthPrefixed(src, i)
	if end < 0 {
		return -1
	}
	e := exemplar{message: span{uint32(start), uint32(end)}, v: math.NaN()}
	m := src[:end]
	for i := start; i < end; {
		tag, n := wire.Uvarint(m, i)
		var u uint64
		switch {
		case n < 0:
			i = n
		case tag == tagExampleDouble:
			e.v, i = wire.Double(m, n)
		case tag == tagExampleInt:
			u, i = wire.Uint64(m, n)
			e.v = float64(int64(u))
		case tag == tagExampleTime:
			_, i = wire.Uint64(m, n)
		case tag == tagExampleSpan, tag == tagExampleTrace, tag == tagExampleAttr:
			_, i = wire.LengthPrefixed(m, n)
		default:
			i = wire.SkipField(m, n, tag, exampleFields)
		}
		if i < 0 {
			return -1
		}
	}
	d.exemplars = append(d.exemplars, e)
	return end
}

// sortExemplars sorts the exemplars of a point from first on by value, NaN last, so
// that those of a bucket are neighbors.
func (d *decoder) sortExemplars(first int) {
	if len(d.exemplars)-first < 2 {
		return
	}
	slices.SortStableFunc(d.exemplars[first:], func(a, b exemplar) int {
		if n := cmp.Compare(rank(a.v), rank(b.v)); n != 0 {
			return n
		}
		return 0
	})
}

func rank(v float64) float64 {
	if v != v {
		return math.Inf(1)
	}
	return v
}

// exemplarsUpTo returns the index after the exemplars from i on that are at most bound.
func (d *decoder) exemplarsUpTo(i int, bound float64) int {
	for i < len(d.exemplars) && d.exemplars[i].v <= bound {
		i++
	}
	return i
}

// The labels of an exemplar's trace, and the maximum length of all labels together.
var (
	traceLabel = []byte("trace_id")
	spanLabel  = []byte("span_id")
)

const maxExemplarRunes = 128

// storeExemplars adds the exemplars of sample k to the batch.
func (d *decoder) storeExemplars(b *door.Batch, k int, ref model.Ref) error {
	s := d.samples[k]
	for i := s.firstEx; i < s.lastEx; i++ {
		b.Offered.Exemplars++
		x := d.exemplars[i]
		m := d.src[x.message.from:x.message.to]
		if err := d.budget.take(exemplarBytes + 2*len(m)); err != nil {
			return err
		}
		e, bad, err := d.exemplarOf(b, m, s.t)
		if err != nil {
			return err
		}
		if bad == nil {
			b.Exemplar(ref, e)
			continue
		}
		if err := b.RefuseSample(k, bad.Reason, e.T, bad.Detail); err != nil {
			return err
		}
	}
	return nil
}

// exemplarOf decodes an exemplar of a sample at t.
func (d *decoder) exemplarOf(b *door.Batch, m []byte, t int64) (e model.Exemplar, bad *storage.Reject, err error) {
	e.T = t
	hasValue := false
	var trace, span []byte
	d.attrs = d.attrs[:0]
	for i := 0; i < len(m); { // checked by addExemplar
		tag, n := wire.Uvarint(m, i)
		var u uint64
		switch tag {
		case tagExampleTime:
			if u, i = wire.Uint64(m, n); u/1e6 != 0 {
				e.T = millis(u)
			}
		case tagExampleDouble:
			e.V, i = wire.Double(m, n)
			hasValue = true
		case tagExampleInt:
			u, i = wire.Uint64(m, n)
			e.V, hasValue = float64(int64(u)), true
		case tagExampleTrace, tagExampleSpan, tagExampleAttr:
			var start int
			start, i = wire.LengthPrefixed(m, n)
			switch field := m[start:i]; tag {
			case tagExampleTrace:
				trace = field
			case tagExampleSpan:
				span = field
			default:
				if len(d.attrs) > b.Labels.MaxLabels() {
					continue
				}
				a, ok := parseAttribute(field)
				if !ok {
					return e, nil, door.Malformed("Exemplar", start)
				}
				d.attrs = append(d.attrs, a)
			}
		default:
			i = wire.SkipField(m, n, tag, 0)
		}
	}
	set := &b.Labels
	if !hasValue {
		return e, set.Refuse(storage.ReasonBadExemplar, "exemplar has no value"), nil
	}
	if len(trace) != 0 && len(trace) != 16 || len(span) != 0 && len(span) != 8 {
		return e, set.Refuse(storage.ReasonBadExemplar, "exemplar with a trace id of %d bytes and a span id of %d, want 16 and 8", len(trace), len(span)), nil
	}
	set.Reset()
	d.text.resetSeries()
	runes := addID(d, set, traceLabel, trace) + addID(d, set, spanLabel, span)
	for i := range d.attrs {
		a := &d.attrs[i]
		if bad := d.text.resolve(set, a); bad != nil {
			return e, bad, nil
		}
		runes += utf8.RuneCount(a.key) + utf8.RuneCount(a.text)
	}
	if runes <= maxExemplarRunes { // otherwise the trace alone is kept, as by Prometheus
		for _, a := range d.attrs {
			set.Add(a.key, a.text)
		}
	}
	e.Labels, bad = set.BuildExemplar()
	return e, bad, nil
}

// addID adds a trace or span id, unless it is zero, and returns the length of its label.
func addID(d *decoder, set *door.LabelSet, name, id []byte) int {
	if len(bytes.Trim(id, "\x00")) == 0 {
		return 0
	}
	text := d.text.series(func(dst []byte) []byte { return hex.AppendEncode(dst, id) })
	set.Add(name, text)
	return len(name) + len(text)
}
