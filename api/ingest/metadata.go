package ingest

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
	"unicode/utf8"

	"github.com/zeebo/xxh3"

	"tsdb/internal/model"
	"tsdb/storage"
)

// Tags of MetricMetadata of version 1 and of Metadata of version 2.
const (
	tag1MetadataType = 1<<3 | wireVarint
	tag1MetadataName = 2<<3 | wireBytes
	tag1MetadataHelp = 4<<3 | wireBytes
	tag1MetadataUnit = 5<<3 | wireBytes

	tag2MetadataType = 1<<3 | wireVarint
	tag2MetadataHelp = 3<<3 | wireVarint
	tag2MetadataUnit = 4<<3 | wireVarint
)

// maxMetadataBytes is the length to which the help and the unit of a metric are
// truncated.
const maxMetadataBytes = 16 << 10

// metadataCache remembers the metadata last stored through remote write 2.
// Metadata come with every series of every request; the cache avoids storing them
// again unless they change. A slot holds a hash of a metric and its metadata. Two
// metrics that share a slot only evict each other. It is safe for concurrent use.
// The zero value is empty.
type metadataCache struct {
	slots [1 << 14]atomic.Uint64
}

// A metadataEntry is added to the cache once the metadata are stored.
type metadataEntry struct{ slot, sum uint64 }

func (s *metadataCache) has(m metadataEntry) bool {
	return s.slots[m.slot%uint64(len(s.slots))].Load() == m.sum
}

func (s *metadataCache) set(m metadataEntry) {
	s.slots[m.slot%uint64(len(s.slots))].Store(m.sum)
}

// metricTypes are the names of the metric types, by their number in the messages
// of both remote-write versions.
var metricTypes = [...]string{"unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"}

func metricType(n uint64) string {
	if n >= uint64(len(metricTypes)) {
		n = 0
	}
	return metricTypes[n]
}

// newMetadata returns the metadata of a metric. Unit and help are documentation:
// text that is too long or not UTF-8 is truncated to its longest valid prefix.
func newMetadata(kind uint64, unit, help []byte) model.Metadata {
	return model.Metadata{Type: metricType(kind), Unit: validPrefix(unit), Help: validPrefix(help)}
}

func validPrefix(b []byte) string {
	b = b[:min(len(b), maxMetadataBytes)]
	if utf8.Valid(b) {
		return string(b)
	}
	n := 0
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		n += size
	}
	return string(b[:n])
}

// addMetadata decodes a MetricMetadata message and adds it to the batch. Metadata
// without a valid metric name are ignored.
func (d *decoder1) addMetadata(start, end int, b batch) error {
	m := d.src[:end]
	var kind uint64
	var name, help, unit []byte
	for i := start; i < end; {
		tag, n := uvarint(m, i)
		if n < 0 {
			return &wireError{"MetricMetadata", i}
		}
		at := i
		switch tag {
		case tag1MetadataType:
			kind, i = uvarint(m, n)
		case tag1MetadataName, tag1MetadataHelp, tag1MetadataUnit:
			var from int
			if from, i = lengthPrefixed(m, n); i < 0 {
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
			i = skipField(m, n, tag, 1<<1|1<<2|1<<4|1<<5)
		}
		if i < 0 {
			return &wireError{"MetricMetadata", at}
		}
	}
	if len(name) > 0 && len(name) <= d.labels.limits.ValueBytes {
		if metric := validPrefix(name); len(metric) == len(name) {
			b.Metadata(metric, newMetadata(kind, unit, help))
		}
	}
	return nil
}

// metadataRefs identifies a metric and its metadata by symbols of the request.
type metadataRefs struct {
	name, help, unit uint32
	kind             uint64
}

// addMetadata adds the metadata of a series to the batch unless they are cached.
// It returns false if they refer to symbols that do not exist: the series has
// then been refused.
func (d *decoder2) addMetadata(s *series2, labelRefs []uint32, b batch) (ok bool, err error) {
	src := d.src[:s.end]
	start, end := lengthPrefixed(src, s.metadata)
	m := src[start:end]
	var kind, help, unit uint64
	for i := 0; i < len(m); {
		tag, n := uvarint(m, i)
		if n < 0 {
			return false, &wireError{"Metadata", s.metadata}
		}
		switch tag {
		case tag2MetadataType:
			kind, i = uvarint(m, n)
		case tag2MetadataHelp:
			help, i = uvarint(m, n)
		case tag2MetadataUnit:
			unit, i = uvarint(m, n)
		default:
			i = skipField(m, n, tag, 1<<1|1<<3|1<<4)
		}
		if i < 0 {
			return false, &wireError{"Metadata", s.metadata}
		}
	}
	help, unit = uint64(uint32(help)), uint64(uint32(unit))
	if kind == 0 && help == 0 && unit == 0 {
		return true, nil
	}
	if n := uint64(len(d.symbols)); help >= n || unit >= n {
		d.refuse(storage.ReasonUnsupported, labelRefs, s.samples, b, "parsing metadata: help_ref %d or unit_ref %d outside of symbols table (size %d)", help, unit, n)
		return false, nil
	}
	for i := 0; i < len(labelRefs); i += 2 {
		if labelRefs[i] != d.nameSymbol {
			continue
		}
		name := labelRefs[i+1]
		refs := metadataRefs{name, uint32(help), uint32(unit), kind}
		if d.last == refs {
			return true, nil
		}
		d.last = refs
		entry := d.entryOf(refs)
		if d.seen.has(entry) {
			return true, nil
		}
		metric := familyName(d.bytes(name), kind)
		if text := validPrefix(metric); len(text) == len(metric) && len(text) > 0 {
			b.Metadata(text, newMetadata(kind, d.bytes(uint32(unit)), d.bytes(uint32(help))))
			d.unconfirmed = append(d.unconfirmed, entry)
		}
		return true, nil
	}
	return true, nil
}

func (d *decoder2) entryOf(r metadataRefs) metadataEntry {
	var buf [4 * 8]byte
	b := binary.LittleEndian.AppendUint64(buf[:0], d.symbols[r.name].hash.Lo)
	b = binary.LittleEndian.AppendUint64(b, d.symbols[r.help].hash.Lo)
	b = binary.LittleEndian.AppendUint64(b, d.symbols[r.unit].hash.Lo)
	b = binary.LittleEndian.AppendUint64(b, r.kind)
	return metadataEntry{slot: d.symbols[r.name].hash.Lo, sum: xxh3.HashSeed(b, d.seed)}
}

// familyName returns the name of the metric family: a series of a classic
// histogram or a summary has a suffix after it.
func familyName(name []byte, kind uint64) []byte {
	switch metricType(kind) {
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
