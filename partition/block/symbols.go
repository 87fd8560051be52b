package block

import (
	"slices"
	"strings"

	"github.com/zeebo/xxh3"
)

// pairTable numbers label pairs (name and value) from 0, in the order in which
// they are first seen. It takes about 40 bytes per pair plus the values.
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

// arenaBytes is the size of an allocation that values share.
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

// pair returns the number of a pair. guess is the number of a likely equal pair,
// such as the one at the same position in the previous series.
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

// symbols is a pairTable in its final order: sorted by name, then value. The rank
// of a pair is its position in that order.
type symbols struct {
	table  *pairTable
	names  []string
	first  []uint32 // of each name: rank of its first pair; one more at the end
	rank   []uint32 // by number in the table
	pair   []uint32 // by rank: number in the table
	nameAt []uint32 // by number of the name in the table: its number in names
}

// order sorts the pairs. No pair may be added to the table afterwards.
func (t *pairTable) order() *symbols {
	t.slots = nil
	s := &symbols{table: t, pair: make([]uint32, len(t.pairs)), nameAt: make([]uint32, len(t.names))}
	byName := make([]uint32, len(t.names))
	for i := range byName {
		byName[i] = uint32(i)
	}
	slices.SortFunc(byName, func(a, b uint32) int { return strings.Compare(t.names[a], t.names[b]) })
	for i, id := range byName {
		s.names = append(s.names, t.names[id])
		s.nameAt[id] = uint32(i)
	}

	// The pairs by name, by counting; then each name's by value.
	s.first = make([]uint32, len(t.names)+1)
	for _, p := range t.pairs {
		s.first[s.nameAt[p.name]+1]++
	}
	for i := range t.names {
		s.first[i+1] += s.first[i]
	}
	next := slices.Clone(s.first)
	for n, p := range t.pairs {
		k := s.nameAt[p.name]
		s.pair[next[k]] = uint32(n)
		next[k]++
	}
	for k := range s.names {
		slices.SortFunc(s.pair[s.first[k]:s.first[k+1]], func(a, b uint32) int {
			return strings.Compare(t.pairs[a].value, t.pairs[b].value)
		})
	}
	s.rank = make([]uint32, len(t.pairs))
	for r, n := range s.pair {
		s.rank[n] = uint32(r)
	}
	return s
}

// value returns value number v of name number k.
func (s *symbols) value(k int, v uint32) string {
	return s.table.pairs[s.pair[s.first[k]+v]].value
}

// values returns the number of values of name number k.
func (s *symbols) values(k int) uint32 { return s.first[k+1] - s.first[k] }

// numbers returns the numbers of a pair's name, and of its value among the
// values of that name.
func (s *symbols) numbers(pair uint32) (name, value uint32) {
	name = s.nameAt[s.table.pairs[pair].name]
	return name, s.rank[pair] - s.first[name]
}
