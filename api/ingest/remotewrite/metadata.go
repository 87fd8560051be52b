package remotewrite

import (
	"bytes"
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
)

// Tags of MetricMetadata of version 1 and of Metadata of version 2.
const (
	tag1MetadataType = 1<<3 | wire.Varint
	tag1MetadataName = 2<<3 | wire.Bytes
	tag1MetadataHelp = 4<<3 | wire.Bytes
	tag1MetadataUnit = 5<<3 | wire.Bytes

	tag2MetadataType = 1<<3 | wire.Varint
	tag2MetadataHelp = 3<<3 | wire.Varint
	tag2MetadataUnit = 4<<3 | wire.Varint
)

// addMetadata decodes a MetricMetadata message and adds it to the batch. Metadata
// without a valid metric name are ignored.
func (d *decoder1) addMetadata(start, end int, b *door.Batch) error {
	m := d.src[:end]
	var kind uint64
	var name, help, unit []byte
	for i := start; i < end; {
		tag, n := wire.Uvarint(m, i)
		if n < 0 {
			return door.Malformed("MetricMetadata", i)
		}
		at := i
		switch tag {
		case tag1MetadataType:
			kind, i = wire.Uvarint(m, n)
		case tag1MetadataName, tag1MetadataHelp, tag1MetadataUnit:
			var from int
			if from, i = wire.LengthPrefixed(m, n); i < 0 {
				break
			}
			switch tag {
			case tag1MetadataName:
				name = m[from:i]
			case tag1MetadataHelp:
				help = m[from:i]
			default:
				unit = m[from:i]
			}
		default:
			i = wire.SkipField(m, n, tag, 1<<1|1<<2|1<<4|1<<5)
		}
		if i < 0 {
			return door.Malformed("MetricMetadata", at)
		}
	}
	b.Metadata(name, door.NewMetadata(kind, unit, help))
	return nil
}

// metadataRefs identifies a metric and its metadata by symbols of the request.
type metadataRefs struct {
	name, help, unit uint32
	kind             uint64
}

// metadataOf decodes the metadata message of a series.
func (d *decoder2) metadataOf(s *series2) (kind uint64, help, unit uint32, err error) {
	src := d.src[:s.end]
	start, end := wire.LengthPrefixed(src, s.metadata)
	m := src[start:end]
	var helpRef, unitRef uint64
	for i := 0; i < len(m); {
		tag, n := wire.Uvarint(m, i)
		if n < 0 {
			return 0, 0, 0, door.Malformed("Metadata", s.metadata)
		}
		switch tag {
		case tag2MetadataType:
			kind, i = wire.Uvarint(m, n)
		case tag2MetadataHelp:
			helpRef, i = wire.Uvarint(m, n)
		case tag2MetadataUnit:
			unitRef, i = wire.Uvarint(m, n)
		default:
			i = wire.SkipField(m, n, tag, 1<<1|1<<3|1<<4)
		}
		if i < 0 {
			return 0, 0, 0, door.Malformed("Metadata", s.metadata)
		}
	}
	return kind, uint32(helpRef), uint32(unitRef), nil
}

// addMetadata adds the metadata of a series to the batch unless they are cached.
// It returns false if they refer to symbols that do not exist.
func (d *decoder2) addMetadata(b *door.Batch, s *series2, labelRefs []uint32) (ok bool, err error) {
	kind, help, unit, err := d.metadataOf(s)
	if err != nil {
		return false, err
	}
	if kind == 0 && help == 0 && unit == 0 {
		return true, nil
	}
	if n := uint64(len(d.symbols)); uint64(help) >= n || uint64(unit) >= n {
		return false, nil
	}
	for i := 0; i < len(labelRefs); i += 2 {
		if labelRefs[i] != d.nameSymbol {
			continue
		}
		name := labelRefs[i+1]
		refs := metadataRefs{name, help, unit, kind}
		if d.last == refs {
			return true, nil
		}
		d.last = refs
		entry := d.entryOf(b.Seed, refs)
		if d.seen.Has(entry) {
			return true, nil
		}
		metric := familyName(d.bytes(name), kind)
		b.Metadata(metric, door.NewMetadata(kind, d.bytes(unit), d.bytes(help)))
		d.unconfirmed = append(d.unconfirmed, entry)
		return true, nil
	}
	return true, nil
}

func (d *decoder2) entryOf(seed uint64, r metadataRefs) door.MetadataEntry {
	var buf [4 * 8]byte
	b := binary.LittleEndian.AppendUint64(buf[:0], d.symbols[r.name].hash.Lo)
	b = binary.LittleEndian.AppendUint64(b, d.symbols[r.help].hash.Lo)
	b = binary.LittleEndian.AppendUint64(b, d.symbols[r.unit].hash.Lo)
	b = binary.LittleEndian.AppendUint64(b, r.kind)
	return door.MetadataEntry{Slot: d.symbols[r.name].hash.Lo, Sum: xxh3.HashSeed(b, seed)}
}

// familyName returns the name of the metric family: a series of a classic
// histogram or a summary has a suffix after it.
func familyName(name []byte, kind uint64) []byte {
	switch door.MetricType(kind) {
	case "histogram", "gaugehistogram":
		for _, suffix := range [...]string{"_bucket", "_sum", "_count", "_gsum", "_gcount"} {
			if cut, ok := bytes.CutSuffix(name, []byte(suffix)); ok {
				return cut
			}
		}
	case "summary":
		for _, suffix := range [...]string{"_sum", "_count"} {
			if cut, ok := bytes.CutSuffix(name, []byte(suffix)); ok {
				return cut
			}
		}
	}
	return name
}
