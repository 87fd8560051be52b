package block

import (
	"slices"
	"strings"

	"github.com/zeebo/xxh3"
)

// pairTable numbers label pairs (name and value) from 0, in the order in which they
// are first seen. It takes 8 bytes a pair, 5 to 11 for the slots, and the values.
type pairTable struct {
	names   []string
	nameIDs map[string]uint32
	pairs   []*[pairsInPart]labelPair // parts, so that growing copies none
	n       int                       // pairs
	slots   []uint32                  // open addressing: number of a pair + 1, 0 = free; a power of two
	values  labelValues
}

type labelPair struct {
	name  uint32
	value uint32 // place in the values
}

const pairsInPart = 1024

// noPair is the number of no pair.
const noPair = uint32(1<<32 - 1)

func (t *pairTable) at(pair uint32) *labelPair { return &t.pairs[pair/pairsInPart][pair%pairsInPart] }

// valueOf returns the value of a pair.
func (t *pairTable) valueOf(pair uint32) string { return t.values.at(t.at(pair).value) }

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
	if int(guess) < t.n && t.names[t.at(guess).name] == name {
		if t.valueOf(guess) == value {
			return guess
		}
		id = t.at(guess).name
	} else {
		id = t.name(name)
	}
	if t.n*4 >= len(t.slots)*3 {
		t.grow()
	}
	mask := uint32(len(t.slots) - 1)
	for at := hashOf(id, value) & mask; ; at = (at + 1) & mask {
		n := t.slots[at]
		if n == 0 {
			t.slots[at] = t.add(labelPair{name: id, value: t.values.add(value)}) + 1
			return t.slots[at] - 1
		}
		if t.at(n-1).name == id && t.valueOf(n-1) == value {
			return n - 1
		}
	}
}

// hashOf returns the hash of a pair.
func hashOf(name uint32, value string) uint32 {
	return uint32(xxh3.HashStringSeed(value, uint64(name)))
}

// add appends a pair and returns its number.
func (t *pairTable) add(p labelPair) uint32 {
	if t.n%pairsInPart == 0 {
		t.pairs = append(t.pairs, new([pairsInPart]labelPair))
	}
	n := uint32(t.n)
	t.n++
	*t.at(n) = p
	return n
}

func (t *pairTable) grow() {
	t.slots = make([]uint32, max(1024, 2*len(t.slots)))
	mask := uint32(len(t.slots) - 1)
	for n := range uint32(t.n) {
		at := hashOf(t.at(n).name, t.valueOf(n)) & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = n + 1
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

// order sorts the pairs that some series have; counts are those series, by number of the
// pair. No pair may be added to the table afterwards.
func (t *pairTable) order(counts []uint32) *symbols {
	t.slots = nil
	s := &symbols{table: t, nameAt: make([]uint32, len(t.names))}
	have := make([]bool, len(t.names))
	for n, c := range counts {
		have[t.at(uint32(n)).name] = have[t.at(uint32(n)).name] || c > 0
	}
	var byName []uint32
	for i := range t.names {
		if have[i] {
			byName = append(byName, uint32(i))
		}
	}
	slices.SortFunc(byName, func(a, b uint32) int { return strings.Compare(t.names[a], t.names[b]) })
	for i, id := range byName {
		s.names = append(s.names, t.names[id])
		s.nameAt[id] = uint32(i)
	}

	// The pairs by name, by counting; then each name's by value.
	s.first = make([]uint32, len(s.names)+1)
	for n, c := range counts {
		if c > 0 {
			s.first[s.nameAt[t.at(uint32(n)).name]+1]++
		}
	}
	for i := range s.names {
		s.first[i+1] += s.first[i]
	}
	next := slices.Clone(s.first)
	s.pair = make([]uint32, s.first[len(s.names)])
	for n, c := range counts {
		if c > 0 {
			k := s.nameAt[t.at(uint32(n)).name]
			s.pair[next[k]] = uint32(n)
			next[k]++
		}
	}
	for k := range s.names {
		slices.SortFunc(s.pair[s.first[k]:s.first[k+1]], func(a, b uint32) int {
			return strings.Compare(t.valueOf(a), t.valueOf(b))
		})
	}
	s.rank = make([]uint32, t.n)
	for r, n := range s.pair {
		s.rank[n] = uint32(r)
	}
	return s
}

// value returns value number v of name number k.
func (s *symbols) value(k int, v uint32) string {
	return s.table.valueOf(s.pair[s.first[k]+v])
}

// values returns the number of values of name number k.
func (s *symbols) values(k int) uint32 { return s.first[k+1] - s.first[k] }

// numbers returns the numbers of a pair's name, and of its value among the
// values of that name.
func (s *symbols) numbers(pair uint32) (name, value uint32) {
	name = s.nameAt[s.table.at(pair).name]
	return name, s.rank[pair] - s.first[name]
}
