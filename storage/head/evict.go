package head

import (
	"slices"

	"tsdb/internal/model"
)

// Evict removes idle series and unused aliases and returns the number of series
// removed. The database calls it once after each cut, with the lowest generation that
// counts as recent use:
//
//  1. Aliases not looked up since the last call are removed, and those of evicted
//     series.
//  2. Slots condemned at the last call become free.
//  3. Series that no generation from gen on has defined and that have no samples in a
//     live buffer are evicted: identity, labels and postings are removed, the slot
//     gets a new epoch and is condemned. Series that no generation has defined at all
//     are evicted also if they were created in gen.
//
// gen is at most the running generation, preferably the one before: a cut is shorter
// than a scrape interval, so just after it the running generation has few series.
//
// A slot is reused only when no buffer has samples in it, no frame of the running
// generation names it (it was condemned in that state, and CheckLocked has refused its
// refs since), and no alias names it (another sweep has removed them). A batch with an
// old ref finds the epoch changed; epochs of a slot never repeat. Shards are swept one
// after the other, each under its lock.
func (h *Head) Evict(gen uint64) (left int) {
	h.order.mu.Lock() // no series is evicted while series are sorted
	defer h.order.mu.Unlock()
	h.sweepAliases()
	// A buffer made after this has samples only of series that the running
	// generation has defined.
	h.buffers.Lock()
	live := slices.Clone(h.buffers.live)
	h.buffers.Unlock()
	// A series that no generation has defined has no sample, so it is evicted sooner,
	// unless it was created in the running generation.
	bornGen := max(gen, min(gen+1, h.newest.Load()))
	for i := range h.shards {
		left += h.shards[i].evict(gen, bornGen, live)
	}
	return left
}

// evictSlotsPerLock is the number of slots checked per hold of a shard's lock,
// which delays writers by a millisecond or two.
const evictSlotsPerLock = 2048

func (s *Shard) evict(gen, bornGen uint64, live []*Buffer) (left int) {
	s.mu.Lock()
	s.free = append(s.free, s.condemned...)
	s.condemned = s.condemned[:0]
	slots := s.slots
	s.mu.Unlock()
	for from := uint32(0); from < slots; from += evictSlotsPerLock {
		s.mu.Lock()
		for slot := from; slot < min(from+evictSlotsPerLock, slots); slot++ {
			if s.idle(slot, gen, bornGen, live) {
				s.condemn(slot)
				left++
			}
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.maybePack()
	s.mu.Unlock()
	return left
}

// idle reports whether a slot has a series that can be evicted.
func (s *Shard) idle(slot uint32, gen, bornGen uint64, live []*Buffer) bool {
	used := s.marks.at(slot).used
	if used&bornFlag != 0 {
		gen = bornGen
	}
	if s.series.at(slot).id == (model.Identity{}) || !usedBefore(used, gen) {
		return false
	}
	for _, b := range live {
		if b.shards[s.number].present.has(slot) {
			return false
		}
	}
	return true
}

// condemn removes the series from its slot.
func (s *Shard) condemn(slot uint32) {
	r := s.series.at(slot)
	s.drop(slot, r.id)
	var buf [64]uint32
	terms := s.termsOf(slot, buf[:0])
	for _, t := range terms {
		p := &s.dict.terms.at(t).list
		s.removePosting(p, slot)
		if p.len() == 0 {
			s.dict.dead++
			s.garbage += int64(s.dict.terms.at(t).size)
		}
	}
	s.garbage += int64(len(terms)) * 2
	*r = series{}
	s.live--
	s.head.live.Add(-1)
	if o := s.owner.at(slot); *o != 0 {
		s.head.owned[*o].Add(-1)
		*o = 0
	}
	s.evictions++
	m := s.marks.at(slot)
	m.epoch++
	if m.epoch != lastEpoch {
		s.condemned = append(s.condemned, slot)
	}
}

// minPackedGarbage is the garbage, in bytes, below which tables are not repacked.
const minPackedGarbage = 256 << 10

// maybePack rewrites dictionary, label ids and postings when much of them is
// garbage, to free the memory of evicted series, and only the postings if it is
// arrays that they have outgrown, which cost little to copy.
func (s *Shard) maybePack() {
	dead := int64(s.dict.dead) * termBytes
	switch {
	case s.garbage+dead > minPackedGarbage && (s.garbage > s.text.held/2 || s.dict.dead > s.dict.n/2):
		s.packAnew()
	case s.lists.idle > minPackedGarbage && s.lists.idle > s.lists.held/8:
		s.packLists()
	}
}

// packLists copies the postings to a pool without free arrays.
func (s *Shard) packLists() {
	was := Shard{lists: s.lists}
	s.lists = newPool[uint32](4, 1)
	var slots []uint32
	for t := range s.dict.n {
		if p := &s.dict.terms.at(t).list; p.len() > 1 || p.isBitset() {
			slots = was.appendPostings(slots[:0], *p)
			*p = s.listOf(slots)
		}
	}
}

// Pack frees the memory of garbage in the tables where there is much of it, as Evict
// does. It is called before a cut, which needs memory of its own.
func (h *Head) Pack() {
	h.order.mu.Lock() // no table is repacked while series are sorted
	defer h.order.mu.Unlock()
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		s.maybePack()
		s.mu.Unlock()
	}
}

func (s *Shard) packAnew() {
	oldDict, oldText, oldLists := s.dict, s.text, s.lists
	s.dict, s.text, s.lists = newDictionary(), arena{}, newPool[uint32](4, 1)
	was := Shard{dict: oldDict, text: oldText, lists: oldLists}
	ids := make([]uint32, oldDict.n)
	var slots []uint32
	for t := range oldDict.n {
		e := *oldDict.terms.at(t)
		if e.list.len() == 0 {
			continue
		}
		name := s.dict.addName(oldDict.names[e.name].name)
		addr, dst, _ := s.text.alloc(int(e.size))
		copy(dst, was.value(&e))
		ids[t] = s.dict.add(term{name: name, value: addr, size: e.size, hash: termHash(name, was.value(&e))})
		s.dict.dead--
		slots = was.appendPostings(slots[:0], e.list)
		s.dict.terms.at(ids[t]).list = s.listOf(slots)
	}
	var terms []uint32
	var run []byte
	for slot := range s.slots {
		r := s.series.at(slot)
		if r.id == (model.Identity{}) {
			continue
		}
		was.series = s.series
		terms = was.termsOf(slot, terms[:0])
		for i, t := range terms {
			terms[i] = ids[t]
		}
		run = appendRun(run[:0], terms)
		addr, dst, _ := s.text.alloc(len(run))
		copy(dst, run)
		r.labels = addr
	}
	s.garbage = 0
	s.created = s.created[:0]
	s.packed++
}

// listOf returns a set of rising slots, at least one.
func (s *Shard) listOf(slots []uint32) postings {
	n := len(slots)
	if n == 1 {
		return postings{n: 1, at: slots[0]}
	}
	if s.wantsBitset(n) {
		return s.bitsetOf(slots)
	}
	p := postings{n: uint32(n), at: s.lists.alloc(n)}
	copy(s.lists.get(p.at, n), slots)
	return p
}
