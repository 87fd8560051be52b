package head

import (
	"github.com/zeebo/xxh3"

	"tsdb/internal/model"
)

// A dictionary numbers the labels of a shard: a term is one name=value pair. Series
// refer to terms by id, and each term has its postings. Names are few and kept as Go
// strings; values are bytes of an arena. It is guarded by the shard's lock.
type dictionary struct {
	byName map[string]uint32
	names  []nameEntry
	terms  slab[term]
	n      uint32   // terms in use, the dead included
	dead   uint32   // terms without series
	table  []uint32 // open addressing over terms: id + 1, 0 = free
}

// nameEntry is a label name and the terms that have it.
type nameEntry struct {
	name  string
	terms []uint32 // rising
}

// term is one name=value pair. Only its postings change.
type term struct {
	name  uint32 // index into names
	value uint32 // address in the arena
	size  uint32 // bytes of the value
	hash  uint32 // of name and value, for the table
	list  postings
}

const termBytes = 24

func newDictionary() dictionary {
	return dictionary{byName: make(map[string]uint32), terms: newSlab[term](termBytes)}
}

// tenantName is the name of the hidden label that holds a series' tenant. No
// label has it, because names are not empty.
const tenantName = ""

// metricName is the label that blocks are ordered by first.
const metricName = "__name__"

// nameID returns the number of a label name, if there is one.
func (d *dictionary) nameID(name string) (uint32, bool) {
	id, ok := d.byName[name]
	return id, ok
}

// addName returns the number of a label name.
func (d *dictionary) addName(name string) uint32 {
	if id, ok := d.byName[name]; ok {
		return id
	}
	id := uint32(len(d.names))
	own := string(append([]byte(nil), name...))
	d.names = append(d.names, nameEntry{name: own})
	d.byName[own] = id
	return id
}

func termHash(name uint32, value string) uint32 {
	h := xxh3.HashString(value) ^ uint64(name)*0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return uint32(h >> 32)
}

// value returns the value of a term. It is valid forever and keeps the arena's chunk in
// memory.
func (s *Shard) value(t *term) string {
	return view(s.text.from(t.value)[:t.size])
}

// lookup returns the term of a pair, if there is one. It may be dead.
func (s *Shard) lookup(name uint32, value string) (uint32, bool) {
	d := &s.dict
	if len(d.table) == 0 {
		return 0, false
	}
	hash := termHash(name, value)
	for i := home(hash, len(d.table)); ; {
		e := d.table[i]
		if e == 0 {
			return 0, false
		}
		t := d.terms.at(e - 1)
		if t.hash == hash && t.name == name && int(t.size) == len(value) && s.value(t) == value {
			return e - 1, true
		}
		if i++; i == len(d.table) {
			i = 0
		}
	}
}

// intern returns the term of a pair, a new one if there is none. It reports
// false if the arena is full or the value too long for it.
func (s *Shard) intern(name uint32, value string) (uint32, bool) {
	if id, ok := s.lookup(name, value); ok {
		return id, true
	}
	addr, dst, ok := s.text.alloc(len(value))
	if !ok {
		return 0, false
	}
	copy(dst, value)
	return s.dict.add(term{name: name, value: addr, size: uint32(len(value)), hash: termHash(name, value)}), true
}

// add appends a new term. It counts as dead until it has postings.
func (d *dictionary) add(t term) uint32 {
	id := d.n
	d.terms.ensure(id + 1)
	*d.terms.at(id) = t
	d.n++
	d.dead++
	d.names[t.name].terms = append(d.names[t.name].terms, id)
	if int(d.n)*4 > len(d.table)*3 {
		d.rehash()
	} else {
		d.insert(id, t.hash)
	}
	return id
}

func (d *dictionary) insert(id, hash uint32) {
	i := home(hash, len(d.table))
	for d.table[i] != 0 {
		if i++; i == len(d.table) {
			i = 0
		}
	}
	d.table[i] = id + 1
}

func (d *dictionary) rehash() {
	d.table = make([]uint32, grownTable(len(d.table), int(d.n)))
	for id := range d.n {
		d.insert(id, d.terms.at(id).hash)
	}
}

// home maps a hash to an index into a table of n entries.
func home(hash uint32, n int) int { return int(uint64(hash) * uint64(n) >> 32) }

// grownTable returns the size of the table that replaces one of n entries: half as
// large again, and at most three quarters full with the entries given.
func grownTable(n, entries int) int {
	return max(16, n+n/2, entries*3/2+1)
}

func (d *dictionary) bytes() int64 {
	b := d.terms.bytes() + int64(cap(d.table))*4
	for i := range d.names {
		b += int64(cap(d.names[i].terms))*4 + int64(len(d.names[i].name)) + 64
	}
	return b
}

// A Numbering numbers labels for a reader of many series, which meets the same few labels
// over and over: each is passed to a function once, and series are then told by numbers.
// So no labels of a series are built, and nothing of their text is read. It is for one
// goroutine.
type Numbering struct {
	number func(name, value string) uint32
	shards [model.Shards]shardNumbers
}

type shardNumbers struct {
	packed  uint32   // Shard.packed of the terms
	numbers []uint32 // by term: its number + 1, 0 = none yet
}

// NewNumbering returns a Numbering of the numbers that a function returns for labels. It
// does not retain them, and calls no method of the head; numbers are less than 2^32 - 1.
func NewNumbering(number func(name, value string) uint32) *Numbering {
	return &Numbering{number: number}
}

// LabelNumbers is Labels with the labels by their numbers, in order, which are appended to
// dst.
func (h *Head) LabelNumbers(ref model.Ref, n *Numbering, dst []uint32) (tenant uint32, id model.Identity, _ []uint32, ok bool) {
	s := &h.shards[ref.Shard()]
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.alive(ref) {
		return 0, model.Identity{}, dst, false
	}
	sn := &n.shards[s.number]
	if sn.packed != s.packed {
		sn.packed, sn.numbers = s.packed, sn.numbers[:0]
	}
	if have := uint32(len(sn.numbers)); have < s.dict.n {
		sn.numbers = append(sn.numbers, make([]uint32, s.dict.n-have)...)
	}
	r := s.series.at(ref.Slot())
	b := s.text.from(r.labels)
	terms, k := uvarint(b)
	b = b[k:]
	for i := range terms {
		t, k := uvarint(b)
		b = b[k:]
		if i == 0 {
			continue // the tenant
		}
		number := sn.numbers[t]
		if number == 0 {
			e := s.dict.terms.at(uint32(t))
			number = n.number(s.dict.names[e.name].name, s.value(e)) + 1
			sn.numbers[t] = number
		}
		dst = append(dst, number-1)
	}
	return r.tenant, r.id, dst, true
}
