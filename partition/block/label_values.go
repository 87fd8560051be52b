package block

import (
	"fmt"
	"strings"
)

// labelValues holds strings that are named by their place, 4 bytes instead of the 16
// of a string: 18 bits for a slab, 14 for an offset in it in units of 4 bytes. At its
// place a string has its length (u) before it. What a string named once stays in place,
// so what at returns is valid as long as the labelValues.
type labelValues struct {
	slabs []*strings.Builder
	err   error // more strings than places
}

const (
	valueSlabBits = 14 // of a place: the offset
	valueUnit     = 4
	valueSlab     = valueUnit << valueSlabBits // bytes
	valueSlabs    = 1 << (32 - valueSlabBits)
)

// add copies s and returns its place. If there is none, err is set.
func (a *labelValues) add(s string) uint32 {
	var head [5]byte
	n, size := 0, uint32(len(s))
	for ; size >= 0x80; size >>= 7 {
		head[n] = byte(size) | 0x80
		n++
	}
	head[n] = byte(size)
	n++
	need := (n + len(s) + valueUnit - 1) &^ (valueUnit - 1)
	last := len(a.slabs) - 1
	if last < 0 || a.slabs[last].Len()+need > valueSlab { // a longer string has a slab of its own
		if len(a.slabs) >= valueSlabs {
			a.err = fmt.Errorf("the label values of a block exceed %d slabs of %d bytes", valueSlabs, valueSlab)
			return 0
		}
		slab := new(strings.Builder)
		slab.Grow(max(valueSlab, need))
		a.slabs = append(a.slabs, slab)
		last++
	}
	b := a.slabs[last]
	from := b.Len()
	b.Write(head[:n])
	b.WriteString(s)
	for b.Len()%valueUnit != 0 {
		b.WriteByte(0)
	}
	return uint32(last)<<valueSlabBits | uint32(from/valueUnit)
}

// at returns the string at a place.
func (a *labelValues) at(place uint32) string {
	s := a.slabs[place>>valueSlabBits].String()[place%(1<<valueSlabBits)*valueUnit:]
	size, n := int(s[0]), 1
	if size >= 0x80 {
		size &= 0x7f
		for shift := 7; ; shift += 7 {
			b := s[n]
			n++
			size |= int(b&0x7f) << shift
			if b < 0x80 {
				break
			}
		}
	}
	return s[n : n+size]
}
