package head

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"tsdb/internal/model"
)

// RefRefused is the ref of an alias whose labels are known to be refused. It has no
// epoch, so no series ever has it, and the slot that no series has.
const RefRefused model.Ref = (model.MaxSlots - 1) << 32

// aliasParts is the number of parts of the table, each with its own lock.
const aliasParts = 32

// aliasTable maps the hash of labels as a client sent them to a ref. An alias that was
// not looked up during a generation is removed at its end, so it lives one to two
// generations.
//
// Senders repeat their series in the same order. So the entries of a part are kept in
// the order in which they were made, and each remembers which one was looked up
// next: a lookup of many reads memory in order and rarely needs the index, whose
// cache misses would cost more than everything else in it.
type aliasTable struct {
	max   int // entries per part
	parts [aliasParts]aliasPart
}

type aliasPart struct {
	mu      sync.RWMutex
	entries []aliasEntry
	index   []uint32 // open addressing, three quarters full at most: see indexEntry; noAlias = free
	_       [48]byte
}

// aliasEntry is half a cache line. Readers write next and used, hence atomically.
type aliasEntry struct {
	hash model.Hash
	ref  model.Ref
	next uint32 // the entry that was looked up after this one, if there is one with that number
	used uint32 // 1 = made or looked up in this generation
}

const (
	aliasEntryBytes = 32
	aliasIndexBytes = 4
	// aliasTagBits are the bits of the hash in an element of the index; the others
	// number an entry.
	aliasTagBits = 8
	// maxAliases bounds the entries of a part.
	maxAliases = 1<<(32-aliasTagBits) - 1
	// noAlias is the number of no entry, and a free element of the index.
	noAlias = ^uint32(0)
)

// indexEntry returns the element of the index for an entry.
func indexEntry(i uint32, a model.Hash) uint32 { return i<<aliasTagBits | aliasTag(a) }

func aliasTag(a model.Hash) uint32 { return uint32(a.Hi) & (1<<aliasTagBits - 1) }

func (t *aliasTable) init(bytesMax int64) {
	perEntry := int64(aliasEntryBytes + aliasIndexBytes*4/3 + 1)
	t.max = int(min(max(64, bytesMax/aliasParts/perEntry), maxAliases))
}

func (t *aliasTable) part(a model.Hash) *aliasPart { return &t.parts[a.Lo%aliasParts] }

func (p *aliasPart) home(a model.Hash) int {
	hi, _ := bits.Mul64(a.Hi, uint64(len(p.index)))
	return int(hi)
}

// find returns the number of the entry of an alias, noAlias if it is absent.
func (p *aliasPart) find(a model.Hash) uint32 {
	if len(p.index) == 0 {
		return noAlias
	}
	for i := p.home(a); ; {
		x := p.index[i]
		if x == noAlias {
			return noAlias
		}
		if x&(1<<aliasTagBits-1) == aliasTag(a) && p.entries[x>>aliasTagBits].hash == a {
			return x >> aliasTagBits
		}
		if i++; i == len(p.index) {
			i = 0
		}
	}
}

// touch marks an entry as used.
func (e *aliasEntry) touch() {
	if atomic.LoadUint32(&e.used) == 0 {
		atomic.StoreUint32(&e.used, 1)
	}
}

// Alias returns the value that SetAlias recorded for a hash: a ref, whose series may
// have been evicted, or RefRefused.
func (h *Head) Alias(a model.Hash) (model.Ref, bool) {
	p := h.aliases.part(a)
	p.mu.RLock()
	defer p.mu.RUnlock()
	i := p.find(a)
	if i == noAlias {
		return 0, false
	}
	e := &p.entries[i]
	e.touch()
	return e.ref, true
}

// lookupBatch is the number of lookups that read their first memory location before
// any of them is completed. At a million aliases every lookup in the index misses the
// caches; overlapping misses cost a fraction.
const lookupBatch = 16

// Aliases looks up many hashes at once: it sets refs[i] to the ref of hashes[i], 0
// if it is unknown. It is several times cheaper than calling Alias for each.
func (h *Head) Aliases(hashes []model.Hash, refs []model.Ref) {
	t := &h.aliases
	for i := range t.parts {
		t.parts[i].mu.RLock()
	}
	var s aliasScan
	for i := range s.last {
		s.last[i] = noAlias
	}
	refs = refs[:len(hashes)]
	for from := 0; from < len(hashes); from += lookupBatch {
		to := min(from+lookupBatch, len(hashes))
		t.lookup(&s, hashes[from:to], refs[from:to])
	}
	for i := range t.parts {
		t.parts[i].mu.RUnlock()
	}
}

// aliasScan is the state of a lookup of many aliases.
type aliasScan struct {
	last [aliasParts]uint32 // the entry found last in each part
}

// lookup finds at most lookupBatch aliases under the locks of all parts.
func (t *aliasTable) lookup(s *aliasScan, hashes []model.Hash, refs []model.Ref) {
	var missed [lookupBatch]uint8
	n := 0
	for i, a := range hashes {
		p := t.part(a)
		last := &s.last[a.Lo%aliasParts]
		if uint(*last) < uint(len(p.entries)) {
			next := atomic.LoadUint32(&p.entries[*last].next)
			if uint(next) < uint(len(p.entries)) {
				if e := &p.entries[next]; e.hash == a {
					e.touch()
					refs[i] = e.ref
					*last = next
					continue
				}
			}
		}
		missed[n] = uint8(i)
		n++
	}
	if n > 0 {
		t.lookupMissed(s, hashes, refs, missed[:n])
	}
}

// lookupMissed finds the aliases with the numbers in missed by the index.
func (t *aliasTable) lookupMissed(s *aliasScan, hashes []model.Hash, refs []model.Ref, missed []uint8) {
	var first [lookupBatch]uint32
	for k, i := range missed {
		first[k] = noAlias
		if p := t.part(hashes[i]); len(p.index) > 0 {
			first[k] = p.index[p.home(hashes[i])]
		}
	}
	var low [lookupBatch]uint64
	for k, i := range missed {
		if first[k] != noAlias {
			low[k] = t.part(hashes[i]).entries[first[k]>>aliasTagBits].hash.Lo
		}
	}
	for k, i := range missed {
		a := hashes[i]
		refs[i] = 0
		if first[k] == noAlias {
			continue
		}
		p := t.part(a)
		at := first[k] >> aliasTagBits
		if low[k] != a.Lo || p.entries[at].hash.Hi != a.Hi {
			if at = p.find(a); at == noAlias {
				continue
			}
		}
		e := &p.entries[at]
		e.touch()
		refs[i] = e.ref
		last := &s.last[a.Lo%aliasParts]
		if *last != noAlias {
			atomic.StoreUint32(&p.entries[*last].next, at)
		}
		*last = at
	}
}

// SetAlias replaces any ref previously stored under the hash. A ref of an evicted
// series is not stored.
func (h *Head) SetAlias(a model.Hash, ref model.Ref) {
	if ref == 0 || ref.Epoch() != 0 && !h.alive(ref) {
		return
	}
	h.setAlias(a, ref)
}

// setAlias is SetAlias for a ref that was current a moment ago.
func (h *Head) setAlias(a model.Hash, ref model.Ref) {
	p := h.aliases.part(a)
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.find(a); i != noAlias {
		e := &p.entries[i]
		e.ref = ref
		e.touch()
		return
	}
	if len(p.entries) == cap(p.entries) {
		h.aliases.makeRoom(p)
	}
	n := uint32(len(p.entries))
	p.entries = append(p.entries, aliasEntry{hash: a, ref: ref, next: n + 1, used: 1})
	if len(p.entries)*4 > len(p.index)*3 {
		p.reindex(min(grownTable(len(p.index), len(p.entries)), h.aliases.max*4/3+1))
		return
	}
	p.insert(n)
}

// insert adds an entry to the index.
func (p *aliasPart) insert(n uint32) {
	a := p.entries[n].hash
	i := p.home(a)
	for p.index[i] != noAlias {
		if i++; i == len(p.index) {
			i = 0
		}
	}
	p.index[i] = indexEntry(n, a)
}

// reindex makes the index anew, with size elements.
func (p *aliasPart) reindex(size int) {
	if len(p.index) != size {
		p.index = make([]uint32, size)
	}
	for i := range p.index {
		p.index[i] = noAlias
	}
	for n := range p.entries {
		p.insert(uint32(n))
	}
}

// makeRoom enlarges a full part by a quarter. If its limit does not allow that, it
// removes the aliases not used in this generation, or all if that would not free half
// of the entries: clients then take the slow path once more.
func (t *aliasTable) makeRoom(p *aliasPart) {
	if n := len(p.entries); n < t.max {
		p.resize(min(max(16, n+n/4), t.max))
		return
	}
	busy := 0
	for i := range p.entries {
		busy += int(p.entries[i].used)
	}
	dropAll := busy*2 > t.max
	p.keep(func(e *aliasEntry) bool { return e.used != 0 && !dropAll })
	p.reindex(len(p.index))
}

// resize moves the entries to memory for n of them.
func (p *aliasPart) resize(n int) {
	p.entries = append(make([]aliasEntry, 0, n), p.entries...)
}

// keep removes the entries for which f returns false. The index must be made anew if
// it has removed any.
func (p *aliasPart) keep(f func(*aliasEntry) bool) (removed int) {
	n := 0
	for i := range p.entries {
		if e := &p.entries[i]; f(e) {
			p.entries[n] = *e
			n++
		}
	}
	removed = len(p.entries) - n
	p.entries = p.entries[:n]
	if removed > 0 {
		for i := range p.entries { // the numbers have changed
			p.entries[i].next = uint32(i + 1)
		}
	}
	return removed
}

// sweepAliases ends a generation: it removes aliases not used in it and those of
// evicted series.
func (h *Head) sweepAliases() {
	for i := range h.aliases.parts {
		p := &h.aliases.parts[i]
		p.mu.Lock()
		removed := p.keep(func(e *aliasEntry) bool {
			return e.used != 0 && (e.ref.Epoch() == 0 || h.alive(e.ref))
		})
		if n := len(p.entries); removed > 0 {
			size := len(p.index)
			if n < size/4 {
				size = grownTable(0, n)
				p.resize(n)
			}
			p.reindex(size)
		}
		for k := range p.entries {
			p.entries[k].used = 0
		}
		p.mu.Unlock()
	}
}

// alive reports whether a ref names a series at the moment.
func (h *Head) alive(ref model.Ref) bool {
	s := &h.shards[ref.Shard()]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.alive(ref)
}

// stats returns the number of aliases and the memory of the table.
func (t *aliasTable) stats() (n int, bytes int64) {
	for i := range t.parts {
		p := &t.parts[i]
		p.mu.RLock()
		n += len(p.entries)
		bytes += int64(cap(p.entries))*aliasEntryBytes + int64(len(p.index))*aliasIndexBytes
		p.mu.RUnlock()
	}
	return n, bytes
}
