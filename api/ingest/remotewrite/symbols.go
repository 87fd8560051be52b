package remotewrite

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/internal/model"
)

// maxSymbols bounds the symbols of a request. Senders use a few thousand.
const maxSymbols = 1 << 20

// maxPooledSymbols is the capacity for symbols that is kept between requests. More
// are charged, because an empty symbol takes 2 bytes of the message but
// symbolBytes in memory.
const (
	maxPooledSymbols = maxSymbols / 16
	symbolBytes      = 24
)

// A symbol is a string of the request and its hash. Unlike its number, the hash is
// the same in every request.
type symbol struct {
	start, end uint32 // in src
	hash       model.Hash
}

// readSymbols checks the fields of the request and hashes its symbols.
func (d *decoder2) readSymbols(seed uint64) error {
	d.symbols = d.symbols[:0]
	d.nameSymbol = maxSymbols
	src := d.src
	for i := 0; i < len(src); {
		at := i
		tag, n := wire.Uvarint(src, i)
		if n < 0 {
			return door.Malformed("Request", at)
		}
		switch tag {
		case tag2Symbol, tag2Series:
			var start int
			if start, i = wire.LengthPrefixed(src, n); i < 0 {
				return door.Malformed("Request", at)
			}
			if tag == tag2Series {
				continue
			}
			if len(d.symbols) == maxSymbols {
				return &door.RequestError{Text: fmt.Sprintf("too many symbols, limit is %d", maxSymbols)}
			}
			if bytes.Equal(src[start:i], door.MetricName) {
				d.nameSymbol = uint32(len(d.symbols))
			}
			if len(d.symbols) == cap(d.symbols) {
				if err := d.growSymbols(); err != nil {
					return err
				}
			}
			d.symbols = append(d.symbols, symbol{uint32(start), uint32(i), door.AliasOf(seed, src[start:i])})
		default:
			if i = wire.SkipField(src, n, tag, 1<<4|1<<5); i < 0 {
				return door.Malformed("Request", at)
			}
		}
	}
	return nil
}

// growSymbols doubles the capacity for symbols. Capacity beyond maxPooledSymbols
// is charged.
func (d *decoder2) growSymbols() error {
	n := max(2*cap(d.symbols), 1024)
	if n > maxPooledSymbols && d.charge != nil {
		if err := d.charge(int64(n) * symbolBytes); err != nil {
			return err
		}
	}
	grown := make([]symbol, len(d.symbols), n)
	copy(grown, d.symbols)
	d.symbols = grown
	return nil
}

// maxRefs is the number of label refs kept for a series: those of one label more
// than the limit.
func maxRefs(b *door.Batch) int { return 2 * (b.Labels.MaxLabels() + 1) }

// appendRefs decodes packed symbol numbers and appends them to dst, up to a total
// length of limit. It returns their number, which is negative if they are
// malformed.
func appendRefs(dst []uint32, limit int, b []byte) ([]uint32, int) {
	count := 0
	for i := 0; i < len(b); count++ {
		var r uint32
		switch { // numbers below 16,384 are decoded inline
		case b[i] < 0x80:
			r = uint32(b[i])
			i++
		case i+1 < len(b) && b[i+1] < 0x80:
			r = uint32(b[i]&0x7f) | uint32(b[i+1])<<7
			i += 2
		default:
			var u uint64
			if u, i = wire.UvarintLong(b, i); i < 0 {
				return dst, -1
			}
			r = uint32(u)
		}
		if len(dst) < limit {
			dst = append(dst, r)
		}
	}
	return dst, count
}

// hashRefs fills the scratch buffer, from which the alias is computed, with the
// hashes of the symbols. It returns false if the refs are not pairs or a symbol
// does not exist.
func (d *decoder2) hashRefs(refs []uint32) bool {
	d.scratch = slices.Grow(d.scratch[:0], 16*len(refs))[:16*len(refs)]
	if len(refs)%2 != 0 {
		return false
	}
	s := d.scratch
	for _, r := range refs {
		if uint64(r) >= uint64(len(d.symbols)) {
			return false
		}
		h := d.symbols[r].hash
		binary.LittleEndian.PutUint64(s, h.Hi)
		binary.LittleEndian.PutUint64(s[8:], h.Lo)
		s = s[16:]
	}
	return true
}

// refsError describes label refs that are not pairs or refer to a symbol that does
// not exist.
type refsError struct {
	refs    []uint32
	symbols int
}

func (e refsError) String() string {
	if len(e.refs)%2 != 0 {
		return fmt.Sprintf("invalid labelRefs length %d", len(e.refs))
	}
	for i := 0; i < len(e.refs); i += 2 {
		if n := uint64(e.symbols); uint64(e.refs[i]) >= n || uint64(e.refs[i+1]) >= n {
			return fmt.Sprintf("labelRefs %d (name) = %d (value) outside of symbols table (size %d)", e.refs[i], e.refs[i+1], n)
		}
	}
	return ""
}
