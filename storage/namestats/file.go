package namestats

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"tsdb/partition/format"
)

const (
	magic      = "tsdbqnam"
	version    = 1
	headLen    = len(magic) + 4
	recordMin  = 3 // bytes of a record, at least
	maxFileLen = 128 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// table is the content of a file.
type table struct {
	since int64
	names map[string]count
}

type count struct {
	requests uint64
	last     int64 // Unix seconds
}

// appendTable appends the encoding of a table.
func appendTable(dst []byte, t table) []byte {
	at := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint32(dst, version)
	dst = binary.AppendVarint(dst, t.since)
	dst = binary.AppendUvarint(dst, uint64(len(t.names)))
	for _, name := range slices.Sorted(maps.Keys(t.names)) {
		c := t.names[name]
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		dst = append(dst, name...)
		dst = binary.AppendUvarint(dst, c.requests)
		dst = binary.AppendVarint(dst, c.last)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// decodeTable decodes a file.
func decodeTable(b []byte) (table, error) {
	if len(b) < headLen+4 || string(b[:len(magic)]) != magic {
		return table{}, format.Corrupt("not a table of queried metrics")
	}
	if v := binary.LittleEndian.Uint32(b[len(magic):]); v != version {
		return table{}, fmt.Errorf("table of queried metrics: %w: %d", format.ErrVersion, v)
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return table{}, format.Corrupt("checksum of the table of queried metrics")
	}
	r := format.Reader{B: body[headLen:]}
	t := table{since: r.Varint()}
	n := min(r.Uvarint(uint64(len(r.B))/recordMin), MaxNames)
	t.names = make(map[string]count, n)
	for range n {
		name := string(r.Bytes(r.Uvarint(MaxNameBytes)))
		t.names[name] = count{requests: r.Uvarint(1 << 62), last: r.Varint()}
	}
	return t, r.End("table of queried metrics")
}
