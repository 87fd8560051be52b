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

	// Edit is the number of the edit after which the state was as repeated; 0 = unknown,
	// and then there are no RuleLists.
	Edit uint64
	// RuleLists are the lists of retention rules with their floors, oldest first, in an
	// encoding of the manifest. Of more than MaxRepeatedRules bytes a Writer leaves out
	// the oldest.
	RuleLists    [][]byte
	RulesLeftOut bool // some lists were left out; set by the Writer
}

// MaxRepeatedTombstones and MaxRepeatedRules bound the bytes of tombstones and retention
// rules in a footer, because a reader of the block reads them at once: some 500
// tombstones and as many rules fit.
const (
	MaxRepeatedTombstones = 64 << 10
	MaxRepeatedRules      = 64 << 10
)

// Repeated returns what the footer repeats. It is shared and must not be changed.
func (b *Block) Repeated() Repeated { return b.foot.repeated }

// bounded returns what a Writer repeats of r.
func (r Repeated) bounded() Repeated {
	r.Tombstones, r.LeftOut = newest(r.Tombstones, MaxRepeatedTombstones)
	r.RuleLists, r.RulesLeftOut = newest(r.RuleLists, MaxRepeatedRules)
	return r
}

// newest returns the last of all that have at most bytesMax together, in their order, and
// whether others are left out. One that is too large by itself does not keep older ones out.
func newest(all [][]byte, bytesMax int) (kept [][]byte, leftOut bool) {
	bytes := 0
	for _, b := range slices.Backward(all) {
		if n := bytes + len(b); n <= bytesMax {
			kept, bytes = append(kept, b), n
		} else {
			leftOut = true
		}
	}
	slices.Reverse(kept)
	return kept, leftOut
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
	for _, l := range r.RuleLists {
		if len(l) == 0 {
			return fmt.Errorf("retention rules without bytes among %d lists", len(r.RuleLists))
		}
	}
	if r.Edit == 0 && len(r.RuleLists) > 0 {
		return fmt.Errorf("%d lists of retention rules of an unknown edit", len(r.RuleLists))
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
	dst = appendNewest(dst, r.Tombstones, r.LeftOut)
	dst = binary.AppendUvarint(dst, r.Edit)
	return appendNewest(dst, r.RuleLists, r.RulesLeftOut)
}

func appendNewest(dst []byte, kept [][]byte, leftOut bool) []byte {
	n := uint64(len(kept)) << 1
	if leftOut {
		n |= 1
	}
	dst = binary.AppendUvarint(dst, n)
	for _, b := range kept {
		dst = format.AppendString(dst, string(b))
	}
	return dst
}

// readRepeated reads what append writes. Before versionRules there are no rules.
func readRepeated(in *format.Reader, version uint32) Repeated {
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
	r.Tombstones, r.LeftOut = readNewest(in, MaxRepeatedTombstones)
	if version >= versionRules {
		r.Edit = in.Uvarint(math.MaxUint64)
		r.RuleLists, r.RulesLeftOut = readNewest(in, MaxRepeatedRules)
		if r.Edit == 0 && len(r.RuleLists) > 0 {
			in.Fail("retention rules of an unknown edit")
		}
	}
	return r
}

// readNewest reads what appendNewest writes; each has at most bytesMax.
func readNewest(in *format.Reader, bytesMax uint64) (kept [][]byte, leftOut bool) {
	n := in.Uvarint(bytesMax<<1 | 1)
	for range n >> 1 {
		length := in.Uvarint(bytesMax)
		if length == 0 {
			in.Fail("entry without bytes")
		}
		b := in.Bytes(length)
		if in.Err != nil {
			break
		}
		kept = append(kept, slices.Clone(b))
	}
	return kept, n&1 != 0
}
