package block

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"tsdb/partition/format"
)

// Repeated is the part of the MANIFEST's state that a block repeats in its footer,
// for a repair of the database without a MANIFEST. The zero value repeats nothing.
type Repeated struct {
	Seed   uint64         // of the series' identities; 0 = unknown
	Floors map[Tier]int64 // retention floors, Unix milliseconds; a tier without one is absent
	// Tombstones are the live ones, oldest first, in an encoding of the manifest. Of
	// more than MaxRepeatedTombstones bytes a Writer leaves out the oldest.
	Tombstones [][]byte
	LeftOut    bool // some tombstones were left out; set by the Writer
}

// MaxRepeatedTombstones bounds the bytes of the tombstones in a footer, because a
// reader of the block reads them at once: some 500 tombstones fit.
const MaxRepeatedTombstones = 64 << 10

// Repeated returns what the footer repeats. It is shared and must not be changed.
func (b *Block) Repeated() Repeated { return b.foot.repeated }

// bounded returns what a Writer repeats of r.
func (r Repeated) bounded() Repeated {
	all, bytes := r.Tombstones, 0
	r.Tombstones = nil
	for _, t := range slices.Backward(all) {
		if n := bytes + len(t); n <= MaxRepeatedTombstones {
			r.Tombstones, bytes = append(r.Tombstones, t), n
		} else {
			r.LeftOut = true
		}
	}
	slices.Reverse(r.Tombstones)
	return r
}

// check returns an error if a Writer may not repeat r.
func (r Repeated) check() error {
	for t := range r.Floors {
		if !t.Valid() {
			return fmt.Errorf("floor of an unknown tier %d", uint32(t))
		}
	}
	for _, t := range r.Tombstones {
		if len(t) == 0 {
			return fmt.Errorf("tombstone without bytes among %d", len(r.Tombstones))
		}
	}
	return nil
}

func (r Repeated) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, r.Seed)
	dst = binary.AppendUvarint(dst, uint64(len(r.Floors)))
	for _, t := range slices.Sorted(maps.Keys(r.Floors)) {
		dst = binary.AppendUvarint(dst, uint64(t))
		dst = binary.AppendVarint(dst, r.Floors[t])
	}
	leftOut := uint64(0)
	if r.LeftOut {
		leftOut = 1
	}
	dst = binary.AppendUvarint(dst, uint64(len(r.Tombstones))<<1|leftOut)
	for _, t := range r.Tombstones {
		dst = format.AppendString(dst, string(t))
	}
	return dst
}

func readRepeated(in *format.Reader) Repeated {
	r := Repeated{Seed: in.Uint64()}
	last := int64(-1)
	for range in.Uvarint(uint64(len(Rollups) + 1)) {
		t, floor := Tier(in.Uvarint(math.MaxUint32)), in.Varint()
		if !t.Valid() || int64(t) <= last {
			in.Fail("floor of a tier")
		}
		if in.Err != nil {
			break
		}
		if r.Floors == nil {
			r.Floors = map[Tier]int64{}
		}
		r.Floors[t], last = floor, int64(t)
	}
	n := in.Uvarint(MaxRepeatedTombstones<<1 | 1)
	r.LeftOut = n&1 != 0
	for range n >> 1 {
		length := in.Uvarint(MaxRepeatedTombstones)
		if length == 0 {
			in.Fail("tombstone without bytes")
		}
		t := in.Bytes(length)
		if in.Err != nil {
			break
		}
		r.Tombstones = append(r.Tombstones, slices.Clone(t))
	}
	return r
}
