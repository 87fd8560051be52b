package head

import "tsdb/internal/model"

// identities finds the slot of a series by its identity: open addressing over
// slots, each stored with four bits of the hash, so that a probe that does not match
// rarely reads the series itself. It is guarded by the shard's lock.
type identities struct {
	table []uint32 // slot << 4 | four bits of the identity, or freeEntry
	n     int
}

const freeEntry = ^uint32(0)

// entryOf returns the table entry of a series.
func entryOf(slot uint32, id model.Identity) uint32 { return slot<<4 | uint32(id.Hi&15) }

func (x *identities) home(id model.Identity) int { return home(uint32(id.Hi>>32), len(x.table)) }

// find returns the slot of an identity.
func (s *Shard) find(id model.Identity) (uint32, bool) {
	x := &s.ids
	if len(x.table) == 0 {
		return 0, false
	}
	for i := x.home(id); ; {
		e := x.table[i]
		if e == freeEntry {
			return 0, false
		}
		if e&15 == uint32(id.Hi&15) && s.series.at(e>>4).id == id {
			return e >> 4, true
		}
		if i++; i == len(x.table) {
			i = 0
		}
	}
}

// put adds a series whose record has been written.
func (s *Shard) put(slot uint32, id model.Identity) {
	x := &s.ids
	x.n++
	if x.n*4 > len(x.table)*3 {
		s.rebuildIDs(grownTable(len(x.table), x.n))
	}
	x.insert(slot, id)
}

func (x *identities) insert(slot uint32, id model.Identity) {
	i := x.home(id)
	for x.table[i] != freeEntry {
		if i++; i == len(x.table) {
			i = 0
		}
	}
	x.table[i] = entryOf(slot, id)
}

func (s *Shard) rebuildIDs(size int) {
	x := &s.ids
	old := x.table
	x.table = make([]uint32, size)
	for i := range x.table {
		x.table[i] = freeEntry
	}
	for _, e := range old {
		if e != freeEntry {
			x.insert(e>>4, s.series.at(e>>4).id)
		}
	}
}

// drop removes a series whose record still exists. It moves up the entries after it,
// so that no probe ends early.
func (s *Shard) drop(slot uint32, id model.Identity) {
	x := &s.ids
	n := len(x.table)
	i := x.home(id)
	for x.table[i] != entryOf(slot, id) {
		if i++; i == n {
			i = 0
		}
	}
	x.n--
	hole := i
	for {
		if i++; i == n {
			i = 0
		}
		e := x.table[i]
		if e == freeEntry {
			break
		}
		// e may fill the hole unless its home is after the hole.
		h := x.home(s.series.at(e >> 4).id)
		if (i-h+n)%n >= (i-hole+n)%n {
			x.table[hole] = e
			hole = i
		}
	}
	x.table[hole] = freeEntry
}
