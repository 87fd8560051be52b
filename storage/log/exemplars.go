package log

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/encoding"
	"tsdb/internal/model"
)

// ExemplarColumns holds the rows of a FrameExemplars. Decoding reuses its
// memory, except that of the labels, which callers may keep.
type ExemplarColumns struct {
	Slots []uint32 // as in SampleColumns
	E     []model.Exemplar

	keys    keys
	values  []float64
	builder labels.ScratchBuilder
}

// AppendExemplars appends the payload of exemplars: the columns of keys, their
// values, and the labels of each. It fails with ErrTooLarge if one has more than
// model.MaxExemplarLabels.
func AppendExemplars(dst []byte, slots []uint32, es []model.Exemplar) ([]byte, error) {
	if len(es) != len(slots) {
		panic(fmt.Sprintf("BUG: %d slots, %d exemplars", len(slots), len(es)))
	}
	ts, vs := make([]int64, len(es)), make([]float64, len(es))
	for i, e := range es {
		if n := e.Labels.Len(); n > model.MaxExemplarLabels {
			return dst, fmt.Errorf("encode exemplar %d: %d labels exceed the limit of %d: %w", i, n, model.MaxExemplarLabels, ErrTooLarge)
		}
		ts[i], vs[i] = e.T, e.V
	}
	dst = appendKeys(dst, slots, ts, nil, 8)
	dst = appendValues(dst, vs)
	for _, e := range es {
		dst = binary.AppendUvarint(dst, uint64(e.Labels.Len()))
		dst = model.AppendLabels(dst, e.Labels)
	}
	return dst, nil
}

// DecodeExemplars reads what AppendExemplars wrote.
func DecodeExemplars(src []byte, c *ExemplarColumns) error {
	n, rest, err := c.keys.decode(src, 9)
	if err != nil {
		return fmt.Errorf("exemplars: %w", err)
	}
	c.Slots = c.keys.Slots
	if len(rest) < 8*n {
		return fmt.Errorf("exemplars: %w", Corruptf("%d bytes for %d values", len(rest), n))
	}
	c.values = slices.Grow(c.values[:0], n)[:n]
	getValues(c.values, rest)
	rest = rest[8*n:]
	clear(c.E)
	c.E = slices.Grow(c.E[:0], n)[:n]
	for i := range c.E {
		e := &c.E[i]
		e.T, e.V = c.keys.T[i], c.values[i]
		if e.Labels, rest, err = decodeLabels(rest, &c.builder); err != nil {
			return fmt.Errorf("exemplars: row %d: %w", i, err)
		}
	}
	return atEnd("exemplars", rest)
}

// decodeLabels reads a count and that many labels written by model.AppendLabels.
func decodeLabels(src []byte, b *labels.ScratchBuilder) (_ labels.Labels, rest []byte, err error) {
	n, rest, err := encoding.Uvarint(src)
	if err != nil {
		return labels.EmptyLabels(), nil, Corruptf("labels: %v", err)
	}
	if n > model.MaxExemplarLabels || 2*n > uint64(len(rest)) {
		return labels.EmptyLabels(), nil, Corruptf("%d labels in %d bytes", n, len(rest))
	}
	b.Reset()
	for range n {
		var name, value []byte
		if name, rest, err = encoding.Bytes(rest, len(rest)); err == nil {
			value, rest, err = encoding.Bytes(rest, len(rest))
		}
		if err != nil {
			return labels.EmptyLabels(), nil, Corruptf("labels: %v", err)
		}
		b.Add(string(name), string(value))
	}
	return b.Labels(), rest, nil
}
