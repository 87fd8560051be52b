package partition

import (
	"slices"
	"strings"

	"github.com/zeebo/xxh3"
)

// pairTable numbers label pairs (name and value) in the order in which they
// come, from 0. Beside the bytes of the values it holds about 40 bytes a pair.
type pairTable struct {
	names   []string
	nameIDs map[string]uint32
	pairs   []labelPair
	slots   []uint32 // open addressing: number of a pair + 1, 0 = free; a power of two
	arena   strings.Builder
}

type labelPair struct {
	value string
	name  uint32
	hash  uint32
}

// arenaBytes is how many bytes of values share one allocation.
const arenaBytes = 64 << 10

// keep copies s into the arena.
func (t *pairTable) keep(s string) string {
	if t.arena.Len()+len(s) > t.arena.Cap() {
		t.arena = strings.Builder{}
		t.arena.Grow(max(arenaBytes, len(s)))
	}
	from := t.arena.Len()
	t.arena.WriteString(s)
	return t.arena.String()[from:]
}

// name returns the number of a label name.
func (t *pairTable) name(name string) uint32 {
	if id, ok := t.nameIDs[name]; ok {
		return id
	}
	if t.nameIDs == nil {
		t.nameIDs = make(map[string]uint32)
	}
	id := uint32(len(t.names))
	name = strings.Clone(name)
	t.names = append(t.names, name)
	t.nameIDs[name] = id
	return id
}

// pair returns the number of a pair. guess is the number of a pair that it may
// well be, for instance the one in the same place of the series before.
func (t *pairTable) pair(name, value string, guess uint32) uint32 {
	var id uint32
	if g := int(guess); g < len(t.pairs) && t.names[t.pairs[g].name] == name {
		if t.pairs[g].value == value {
			return guess
		}
		id = t.pairs[g].name
	} else {
		id = t.name(name)
	}
	if len(t.pairs)*2 >= len(t.slots) {
		t.grow()
	}
	hash := uint32(xxh3.HashStringSeed(value, uint64(id)))
	mask := uint32(len(t.slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		n := t.slots[at]
		if n == 0 {
			t.pairs = append(t.pairs, labelPair{value: t.keep(value), name: id, hash: hash})
			t.slots[at] = uint32(len(t.pairs))
			return uint32(len(t.pairs) - 1)
		}
		if p := &t.pairs[n-1]; p.hash == hash && p.name == id && p.value == value {
			return n - 1
		}
	}
}

func (t *pairTable) grow() {
	t.slots = make([]uint32, max(1024, 2*len(t.slots)))
	mask := uint32(len(t.slots) - 1)
	for n, p := range t.pairs {
		at := p.hash & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = uint32(n + 1)
	}
}

// symbols is a pairTable in its final order: names sorted, and the values of
// each name sorted.
type symbols struct {
	names []string
	first []uint32 // of each name: rank of its first pair; one more at the end
	value []string // by rank
	rank  []uint32 // by number in the pairTable
	name  []uint32 // by rank: number of the name in names
}

// order sorts the pairs that are in use. A name without a pair is left out.
func (t *pairTable) order() *symbols {
	byRank := make([]uint32, len(t.pairs))
	for i := range byRank {
		byRank[i] = uint32(i)
	}
	nameOrder := make([]uint32, len(t.names))
	for i := range nameOrder {
		nameOrder[i] = uint32(i)
	}
	slices.SortFunc(nameOrder, func(a, b uint32) int { return strings.Compare(t.names[a], t.names[b]) })
	nameRank := make([]uint32, len(t.names))
	for i, id := range nameOrder {
		nameRank[id] = uint32(i)
	}
	slices.SortFunc(byRank, func(a, b uint32) int {
		pa, pb := &t.pairs[a], &t.pairs[b]
		if pa.name != pb.name {
			return int(nameRank[pa.name]) - int(nameRank[pb.name])
		}
		return strings.Compare(pa.value, pb.value)
	})

	s := &symbols{
		value: make([]string, len(byRank)),
		rank:  make([]uint32, len(byRank)),
		name:  make([]uint32, len(byRank)),
	}
	last := uint32(0)
	for r, n := range byRank {
		p := &t.pairs[n]
		if len(s.names) == 0 || p.name != last {
			s.names = append(s.names, t.names[p.name])
			s.first = append(s.first, uint32(r))
			last = p.name
		}
		s.value[r], s.rank[n], s.name[r] = p.value, uint32(r), uint32(len(s.names)-1)
	}
	s.first = append(s.first, uint32(len(byRank)))
	return s
}

// values returns the sorted values of a name.
func (s *symbols) values(name int) []string { return s.value[s.first[name]:s.first[name+1]] }
