package log

import (
	"encoding/binary"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/encoding"
	"tsdb/internal/model"
)

// Bounds of one series' labels.
const (
	maxLabels      = 1 << 16
	maxLabelsBytes = 64 << 20 // names and values
)

// SeriesDef defines the series of a slot, for one shard and generation.
type SeriesDef struct {
	Slot   uint32
	ID     model.Identity
	Labels labels.Labels
}

// A definition is the difference from the previous slot (zz), the identity
// (16 bytes), the number of labels (u), and the labels. Consecutive definitions
// mostly come from one target and share most labels, so each label is written
// against a cursor in the labels of the previous definition:
//
//	u = 4 × labels of the previous definition to skip + the kind of entry
//	    0  the label at the cursor, unchanged
//	    1  the name at the cursor; bytes shared with its value (u), rest of the value (u, bytes)
//	    2  another label: name (u, bytes), value (u, bytes); the cursor stays
const (
	sameLabel = 0
	sameName  = 1
	newLabel  = 2
)

// AppendSeries appends the payload of definitions, as SeriesEncoder makes it.
func AppendSeries(dst []byte, defs []SeriesDef) ([]byte, error) {
	var e SeriesEncoder
	var ls []labels.Label
	for _, d := range defs {
		ls = ls[:0]
		d.Labels.Range(func(l labels.Label) { ls = append(ls, l) })
		if err := e.Add(d.Slot, d.ID, ls, nil); err != nil {
			return dst, err
		}
	}
	return e.Append(dst), nil
}

// SeriesEncoder makes the payload of definitions, at most 65,536, one after the other.
// The zero value is ready. It reuses its memory after Reset.
type SeriesEncoder struct {
	rows []byte
	n    int
	slot int64
	prev []labels.Label // of the last definition
}

// Reset empties the encoder.
func (e *SeriesEncoder) Reset() {
	e.rows, e.n, e.slot = e.rows[:0], 0, 0
	clear(e.prev)
	e.prev = e.prev[:0]
}

// Add adds a definition. ls are sorted by name and not retained, their strings are until
// Reset; same has for each of them the index of the same label in the previous
// definition, or -1 if it is not known that there is one; nil = of none. It fails with
// ErrTooLarge if a series has more than 65,536 labels or 64 MiB of them.
func (e *SeriesEncoder) Add(slot uint32, id model.Identity, ls []labels.Label, same []int) error {
	if slot >= model.MaxSlots {
		panic(fmt.Sprintf("BUG: definition of slot %d", slot))
	}
	if e.n++; e.n > maxRows {
		panic(fmt.Sprintf("BUG: %d definitions in a frame", e.n))
	}
	size := 0
	for _, l := range ls {
		size += len(l.Name) + len(l.Value)
	}
	if len(ls) > maxLabels || size > maxLabelsBytes {
		return fmt.Errorf("encode series definition %d: %d labels of %d bytes exceed %d labels or %d bytes: %w",
			e.n-1, len(ls), size, maxLabels, maxLabelsBytes, ErrTooLarge)
	}
	e.rows = binary.AppendVarint(e.rows, int64(slot)-e.slot)
	e.slot = int64(slot)
	e.rows = binary.LittleEndian.AppendUint64(e.rows, id.Hi)
	e.rows = binary.LittleEndian.AppendUint64(e.rows, id.Lo)
	e.rows = appendAgainst(e.rows, e.prev, ls, same)
	e.prev = append(e.prev[:0], ls...)
	return nil
}

// Append appends the payload of the definitions added since Reset.
func (e *SeriesEncoder) Append(dst []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(e.n)), e.rows...)
}

// appendAgainst appends labels as differences from those of the previous definition.
func appendAgainst(dst []byte, prev, cur []labels.Label, same []int) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(cur)))
	at := 0
	for i, l := range cur {
		if i < len(same) && same[i] >= at {
			dst = binary.AppendUvarint(dst, uint64(same[i]-at)<<2|sameLabel)
			at = same[i] + 1
			continue
		}
		skip := 0
		for at+skip < len(prev) && prev[at+skip].Name != l.Name && prev[at+skip].Name < l.Name {
			skip++
		}
		at += skip
		switch op := uint64(skip) << 2; {
		case at == len(prev) || prev[at].Name != l.Name:
			dst = binary.AppendUvarint(dst, op|newLabel)
			dst = appendString(dst, l.Name)
			dst = appendString(dst, l.Value)
		case prev[at].Value == l.Value:
			dst = binary.AppendUvarint(dst, op|sameLabel)
			at++
		default:
			shared := sharedPrefix(prev[at].Value, l.Value)
			dst = binary.AppendUvarint(dst, op|sameName)
			dst = binary.AppendUvarint(dst, uint64(shared))
			dst = appendString(dst, l.Value[shared:])
			at++
		}
	}
	return dst
}

// DecodeSeries reads what AppendSeries wrote and calls add for each definition.
// It stops at the first error of add. add may keep the labels.
func DecodeSeries(src []byte, add func(SeriesDef) error) error {
	var b labels.ScratchBuilder
	return DecodeDefinitions(src, func(d *Definition) error { return add(SeriesDef{Slot: d.Slot, ID: d.ID, Labels: d.Build(&b)}) })
}

// Definition is a SeriesDef as it is written: against the one before it in the frame.
type Definition struct {
	Slot   uint32
	ID     model.Identity
	Labels []labels.Label // sorted by name; the strings may be kept, the slice not
	// Same has, for each label, the index of the same label in the previous definition,
	// or -1. It is valid as long as Labels.
	Same []int
}

// Build returns the labels, which may be kept.
func (d *Definition) Build(b *labels.ScratchBuilder) labels.Labels {
	b.Reset()
	for _, l := range d.Labels {
		b.Add(l.Name, l.Value)
	}
	return b.Labels()
}

// DecodeDefinitions is DecodeSeries for a caller that makes use of what consecutive
// definitions share. add must not keep the definition.
func DecodeDefinitions(src []byte, add func(*Definition) error) error {
	n, rest, err := encoding.Uvarint(src)
	if err != nil {
		return fmt.Errorf("series: %w", Corruptf("definitions: %v", err))
	}
	if n > maxRows || n*18 > uint64(len(rest)) {
		return fmt.Errorf("series: %w", Corruptf("%d definitions in %d bytes", n, len(rest)))
	}
	var d seriesDecoder
	for i := range n {
		if rest, err = d.next(rest); err != nil {
			return fmt.Errorf("series: definition %d: %w", i, err)
		}
		if err := add(&d.def); err != nil {
			return err
		}
	}
	return atEnd("series", rest)
}

// seriesDecoder holds the definition read last and the labels of the one before it.
type seriesDecoder struct {
	slot int64
	prev []labels.Label
	def  Definition
}

func (d *seriesDecoder) next(src []byte) (rest []byte, err error) {
	step, rest, err := varint(src)
	if err != nil {
		return nil, err
	}
	if d.slot += step; d.slot < 0 || d.slot >= model.MaxSlots {
		return nil, Corruptf("slot %d", d.slot)
	}
	if len(rest) < 16 {
		return nil, Corruptf("identity cut short")
	}
	d.def.Slot = uint32(d.slot)
	d.def.ID = model.Identity{Hi: binary.LittleEndian.Uint64(rest), Lo: binary.LittleEndian.Uint64(rest[8:])}
	d.prev, d.def.Labels = d.def.Labels, d.prev
	return d.labels(rest[16:])
}

// labels reads one definition's labels.
func (d *seriesDecoder) labels(src []byte) (rest []byte, err error) {
	n, rest, err := encoding.Uvarint(src)
	if err != nil {
		return nil, Corruptf("labels: %v", err)
	}
	if n > maxLabels || n > uint64(len(rest)) {
		return nil, Corruptf("%d labels in %d bytes", n, len(rest))
	}
	d.def.Labels, d.def.Same = d.def.Labels[:0], d.def.Same[:0]
	at, size := 0, 0
	for range n {
		var l labels.Label
		var same int
		if l, same, at, rest, err = d.label(at, rest); err != nil {
			return nil, err
		}
		if size += len(l.Name) + len(l.Value); size > maxLabelsBytes {
			return nil, Corruptf("labels of more than %d bytes", maxLabelsBytes)
		}
		d.def.Labels, d.def.Same = append(d.def.Labels, l), append(d.def.Same, same)
	}
	return rest, nil
}

// label reads one label with the cursor at at, and returns the new cursor and the
// label's entry in Definition.Same.
func (d *seriesDecoder) label(at int, src []byte) (l labels.Label, same, _ int, rest []byte, err error) {
	op, rest, err := encoding.Uvarint(src)
	if err != nil {
		return l, 0, 0, nil, Corruptf("label: %v", err)
	}
	if op>>2 > uint64(len(d.prev)-at) {
		return l, 0, 0, nil, Corruptf("cursor steps over %d labels", op>>2)
	}
	at += int(op >> 2)
	op &= 3
	if op == newLabel {
		var name, value []byte
		if name, rest, err = encoding.Bytes(rest, len(rest)); err == nil {
			value, rest, err = encoding.Bytes(rest, len(rest))
		}
		if err != nil {
			return l, 0, 0, nil, Corruptf("label: %v", err)
		}
		return labels.Label{Name: string(name), Value: string(value)}, -1, at, rest, nil
	}
	if op > newLabel || at >= len(d.prev) {
		return l, 0, 0, nil, Corruptf("no label at the cursor")
	}
	l = d.prev[at]
	same = at
	if op == sameName {
		same = -1
		var shared uint64
		if shared, rest, err = encoding.Uvarint(rest); err != nil {
			return l, 0, 0, nil, Corruptf("label: %v", err)
		}
		if shared > uint64(len(l.Value)) {
			return l, 0, 0, nil, Corruptf("%d bytes shared with a value of %d", shared, len(l.Value))
		}
		var tail []byte
		if tail, rest, err = encoding.Bytes(rest, len(rest)); err != nil {
			return l, 0, 0, nil, Corruptf("label: %v", err)
		}
		l.Value = l.Value[:shared] + string(tail)
	}
	return l, same, at + 1, rest, nil
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
