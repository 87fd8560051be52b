package block

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/format"
)

const exemplarPageBytes = 64 << 10 // size at which a page of exemplars is closed

// exemplarWriter writes the exemplars of the series of a block, in pages
// between the columns.
type exemplarWriter struct {
	out     *output
	fences  []page
	content []byte
	packed  []byte
	first   uint32 // ordinal of the first series in content
	last    uint32 // of the last one
}

// add adds the exemplars of one series; ordinals must be ascending. Like
// decodeExemplarPage, it rejects too many or too long labels, and more bytes than
// the limit of a page.
func (w *exemplarWriter) add(ord uint32, es []model.Exemplar) error {
	for _, e := range es {
		if n := e.Labels.Len(); n > model.MaxExemplarLabels {
			return fmt.Errorf("exemplar at %d: %d labels exceed the limit of %d", e.T, n, model.MaxExemplarLabels)
		}
		long := 0
		e.Labels.Range(func(l labels.Label) { long = max(long, len(l.Name), len(l.Value)) })
		if long > maxLabelBytes {
			return fmt.Errorf("exemplar at %d: a label of %d bytes exceeds the limit of %d", e.T, long, maxLabelBytes)
		}
	}
	if len(w.content) == 0 {
		w.first, w.last = ord, ord
	}
	before := len(w.content)
	w.content = appendSeriesExemplars(w.content, ord-w.last, es)
	if n := len(w.content); n > maxPageBytes {
		w.content = w.content[:before]
		return fmt.Errorf("exemplars of %d bytes exceed the limit of %d for a page", n-before, maxPageBytes)
	}
	w.last = ord
	if len(w.content) >= exemplarPageBytes {
		w.flush()
	}
	return nil
}

func (w *exemplarWriter) flush() {
	if len(w.content) == 0 {
		return
	}
	p, stored := makePage(w.first, w.content, w.packed)
	w.packed = stored
	w.fences = append(w.fences, w.out.writePage(p, stored))
	w.content = w.content[:0]
}

// appendSeriesExemplars appends the distance of the ordinal from the previous one
// in the page, the number of exemplars, and for each: time (as the difference from
// the previous one), value, labels.
func appendSeriesExemplars(dst []byte, gap uint32, es []model.Exemplar) []byte {
	dst = binary.AppendUvarint(dst, uint64(gap))
	dst = binary.AppendUvarint(dst, uint64(len(es)))
	last := int64(0)
	for _, e := range es {
		dst = binary.AppendVarint(dst, e.T-last)
		last = e.T
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(e.V))
		dst = binary.AppendUvarint(dst, uint64(e.Labels.Len()))
		e.Labels.Range(func(l labels.Label) {
			dst = format.AppendString(dst, l.Name)
			dst = format.AppendString(dst, l.Value)
		})
	}
	return dst
}

// seriesExemplars are the exemplars of one series.
type seriesExemplars struct {
	ord uint32
	es  []model.Exemplar
}

// decodeExemplarPage decodes a page whose first series has ordinal first.
func decodeExemplarPage(b []byte, first uint32) ([]seriesExemplars, error) {
	r := format.Reader{B: b}
	var all []seriesExemplars
	ord := uint64(first)
	var builder labels.ScratchBuilder
	for len(r.B) > 0 {
		gap := r.Uvarint(math.MaxUint32)
		ord += gap
		if ord > maxSeriesInBlock || (gap == 0) != (len(all) == 0) {
			r.Fail("ordinal out of range")
		}
		n := r.Count()
		s := seriesExemplars{ord: uint32(ord), es: make([]model.Exemplar, 0, min(n, 1<<10))}
		last := int64(0)
		for range n {
			last += r.Varint()
			e := model.Exemplar{T: last, V: math.Float64frombits(r.Uint64())}
			builder.Reset()
			for range r.Uvarint(model.MaxExemplarLabels) {
				name, value := r.Text(maxLabelBytes), r.Text(maxLabelBytes)
				if r.Err != nil {
					break
				}
				builder.Add(name, value)
			}
			if r.Err != nil {
				break
			}
			e.Labels = builder.Labels()
			s.es = append(s.es, e)
		}
		all = append(all, s)
	}
	return all, r.End("exemplar page")
}

// exemplarsOf returns the exemplars of a series in a page.
func exemplarsOf(all []seriesExemplars, ord uint32) []model.Exemplar {
	i, ok := slices.BinarySearchFunc(all, ord, func(s seriesExemplars, ord uint32) int {
		return int(int64(s.ord) - int64(ord))
	})
	if !ok {
		return nil
	}
	return all[i].es
}
