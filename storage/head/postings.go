package head

import (
	"math/bits"
	"slices"
)

// postings is the set of slots of a term: a single slot in place, or a rising list or
// a bitset, whichever is smaller, in the pool. A roaring bitmap would be as small, but
// a shard's slots are dense and the bitset holds no pointer.
type postings struct {
	n  uint32 // slots; 0 = none
	at uint32 // the slot if n is 1, otherwise the handle of the list or bitset
}

// bitsetFlag, set in n, distinguishes a bitset from a list. The array of a bitset
// starts with its length in words.
const bitsetFlag = 1 << 31

// A set of at most maxShortList slots is a list, one of minBitsetSlots or more a
// bitset; between them, the smaller of the two.
const (
	maxShortList   = 128
	minBitsetSlots = 1 << 16
)

func (p postings) len() int       { return int(p.n &^ bitsetFlag) }
func (p postings) isBitset() bool { return p.n&bitsetFlag != 0 }

// addPosting adds a slot, which must not be in the set.
func (s *Shard) addPosting(p *postings, slot uint32) {
	pool := &s.lists
	n := p.len()
	switch {
	case n == 0:
		*p = postings{n: 1, at: slot}
	case p.isBitset():
		s.growBitset(p, slot)
		w := pool.get(p.at, s.bitsetWords(p))
		w[1+slot/32] |= 1 << (slot % 32)
		p.n++
	case n == 1:
		h := pool.alloc(2)
		l := pool.get(h, 2)
		l[0], l[1] = min(p.at, slot), max(p.at, slot)
		*p = postings{n: 2, at: h}
	case s.wantsBitset(n):
		s.listToBitset(p)
		s.addPosting(p, slot)
	default:
		if n == pool.room(n) {
			h := pool.alloc(n + 1)
			grown := pool.get(h, n+1)
			copy(grown, pool.get(p.at, n))
			pool.release(p.at, n)
			p.at = h
		}
		l := pool.get(p.at, n+1)
		i := n
		if l[n-1] > slot {
			i, _ = slices.BinarySearch(l[:n], slot)
			copy(l[i+1:], l[i:n])
		}
		l[i] = slot
		p.n++
	}
}

// wantsBitset reports whether a bitset suits a set of n slots better than a list.
func (s *Shard) wantsBitset(n int) bool {
	return n >= minBitsetSlots || n > maxShortList && uint32(n) > s.slots/32
}

// removePosting removes a slot, which must be in the set.
func (s *Shard) removePosting(p *postings, slot uint32) {
	pool := &s.lists
	n := p.len()
	switch {
	case n == 1:
		if p.isBitset() {
			pool.release(p.at, s.bitsetWords(p))
		}
		*p = postings{}
	case p.isBitset():
		w := pool.get(p.at, s.bitsetWords(p))
		w[1+slot/32] &^= 1 << (slot % 32)
		p.n--
	case n == 2:
		l := pool.get(p.at, 2)
		rest := l[0]
		if rest == slot {
			rest = l[1]
		}
		pool.release(p.at, 2)
		*p = postings{n: 1, at: rest}
	default:
		l := pool.get(p.at, n)
		i, _ := slices.BinarySearch(l, slot)
		copy(l[i:], l[i+1:])
		if n-1 == pool.room(n-1) {
			h := pool.alloc(n - 1)
			copy(pool.get(h, n-1), pool.get(p.at, n)[:n-1])
			pool.release(p.at, n)
			p.at = h
		}
		p.n--
	}
}

// bitsetWords returns the length of a bitset's array: a header word, which
// holds that length, and 32 slots a word.
func (s *Shard) bitsetWords(p *postings) int { return int(s.lists.get(p.at, 1)[0]) }

func (s *Shard) growBitset(p *postings, slot uint32) {
	words := s.bitsetWords(p)
	need := int(slot/32) + 2
	if need <= words {
		return
	}
	p.at = s.resizeBitset(p.at, words, max(need, s.bitsetRoom()))
}

// bitsetRoom returns the number of words of a bitset that covers all slots of the shard.
func (s *Shard) bitsetRoom() int { return int(s.slots/32) + 2 }

func (s *Shard) resizeBitset(h uint32, words, want int) uint32 {
	pool := &s.lists
	want = pool.room(want)
	grown := pool.alloc(want)
	w := pool.get(grown, want)
	clear(w)
	if words > 0 {
		copy(w, pool.get(h, words))
		pool.release(h, words)
	}
	w[0] = uint32(want)
	return grown
}

func (s *Shard) listToBitset(p *postings) {
	list, n := p.at, p.len()
	*p = s.bitsetOf(s.lists.get(list, n))
	s.lists.release(list, n)
}

// bitsetOf returns a bitset of rising slots, at least one, which may lie in the pool.
func (s *Shard) bitsetOf(slots []uint32) postings {
	n := len(slots)
	h := s.resizeBitset(noHandle, 0, max(int(slots[n-1]/32)+2, s.bitsetRoom()))
	w := s.lists.get(h, s.bitsetWords(&postings{at: h}))
	for _, slot := range slots {
		w[1+slot/32] |= 1 << (slot % 32)
	}
	return postings{n: uint32(n) | bitsetFlag, at: h}
}

// appendPostings appends the slots of a set, rising.
func (s *Shard) appendPostings(dst []uint32, p postings) []uint32 {
	n := p.len()
	switch {
	case n == 0:
	case p.isBitset():
		dst = slices.Grow(dst, n)
		for i, w := range s.lists.get(p.at, s.bitsetWords(&p))[1:] {
			for ; w != 0; w &= w - 1 {
				dst = append(dst, uint32(i)*32+uint32(bits.TrailingZeros32(w)))
			}
		}
	case n == 1:
		dst = append(dst, p.at)
	default:
		dst = append(dst, s.lists.get(p.at, n)...)
	}
	return dst
}

// setBits sets the bits of a set's slots in a bitset that covers all slots.
func (s *Shard) setBits(dst bitset, p postings) {
	n := p.len()
	switch {
	case n == 0:
	case p.isBitset():
		words := s.lists.get(p.at, s.bitsetWords(&p))[1:]
		for i, w := range words[:min(len(words), 2*len(dst))] {
			dst[i/2] |= uint64(w) << (i % 2 * 32)
		}
	case n == 1:
		dst.set(p.at)
	default:
		for _, slot := range s.lists.get(p.at, n) {
			dst.set(slot)
		}
	}
}

// anyIn reports whether the set and the bitset intersect.
func (s *Shard) anyIn(p postings, b bitset) bool {
	n := p.len()
	switch {
	case n == 0:
	case p.isBitset():
		words := s.lists.get(p.at, s.bitsetWords(&p))[1:]
		for i, w := range words[:min(len(words), 2*len(b))] {
			if uint64(w)<<(i%2*32)&b[i/2] != 0 {
				return true
			}
		}
	case n == 1:
		return b.has(p.at)
	default:
		for _, slot := range s.lists.get(p.at, n) {
			if b.has(slot) {
				return true
			}
		}
	}
	return false
}

// A bitset is a set of slots of a shard.
type bitset []uint64

func bitsetFor(slots uint32) bitset { return make(bitset, (slots+63)/64) }

func (b bitset) set(i uint32)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) unset(i uint32)    { b[i/64] &^= 1 << (i % 64) }
func (b bitset) has(i uint32) bool { return int(i/64) < len(b) && b[i/64]&(1<<(i%64)) != 0 }

func (b bitset) appendTo(dst []uint32) []uint32 {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			dst = append(dst, uint32(i)*64+uint32(bits.TrailingZeros64(w)))
		}
	}
	return dst
}
