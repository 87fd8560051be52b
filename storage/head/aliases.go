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

// aliasTable maps the hash of labels as a client sent them to a ref: open addressing,
// three quarters full at most. An alias that was not looked up during a
// generation is removed at its end, so it lives one to two generations.
type aliasTable struct {
	max   int64 // slots per part
	parts [aliasParts]aliasPart
}

type aliasPart struct {
	mu      sync.RWMutex
	entries []aliasEntry
	// used has a bit per entry: set when the alias is made or looked up,
	// cleared at the end of a generation. Readers set it, hence the atomics.
	used []atomic.Uint64
	n    int
	_    [48]byte
}

// aliasEntry is free if its ref is 0.
type aliasEntry struct {
	hash model.Hash
	ref  model.Ref
}

const aliasEntryBytes = 24

func (t *aliasTable) init(bytesMax int64) {
	t.max = max(64, bytesMax/aliasParts/aliasEntryBytes)
}

func (t *aliasTable) part(a model.Hash) *aliasPart { return &t.parts[a.Lo%aliasParts] }

func (p *aliasPart) home(a model.Hash) int {
	hi, _ := bits.Mul64(a.Hi, uint64(len(p.entries)))
	return int(hi)
}

// find returns the index of an alias, -1 if it is absent.
func (p *aliasPart) find(a model.Hash) int {
	if len(p.entries) == 0 {
		return -1
	}
	return p.findFrom(p.home(a), a)
}

func (p *aliasPart) findFrom(i int, a model.Hash) int {
	for {
		e := &p.entries[i]
		if e.ref == 0 {
			return -1
		}
		if e.hash == a {
			return i
		}
		if i++; i == len(p.entries) {
			i = 0
		}
	}
}

func (p *aliasPart) touch(i int) {
	if w := &p.used[i/64]; w.Load()&(1<<(i%64)) == 0 {
		w.Or(1 << (i % 64))
	}
}

// Alias returns the value that SetAlias recorded for a hash: a ref, whose series may
// have been evicted, or RefRefused.
func (h *Head) Alias(a model.Hash) (model.Ref, bool) {
	p := h.aliases.part(a)
	p.mu.RLock()
	defer p.mu.RUnlock()
	i := p.find(a)
	if i < 0 {
		return 0, false
	}
	p.touch(i)
	return p.entries[i].ref, true
}

// lookupBatch is the number of lookups that read their first memory location before
// any of them is completed. At a million aliases every lookup misses the caches;
// overlapping misses cost a fraction.
const lookupBatch = 16

// Aliases looks up many hashes at once: it sets refs[i] to the ref of hashes[i], 0
// if it is unknown. It is several times cheaper than calling Alias for each.
func (h *Head) Aliases(hashes []model.Hash, refs []model.Ref) {
	t := &h.aliases
	for i := range t.parts {
		t.parts[i].mu.RLock()
	}
	refs = refs[:len(hashes)]
	for from := 0; from < len(hashes); from += lookupBatch {
		to := min(from+lookupBatch, len(hashes))
		t.lookup(hashes[from:to], refs[from:to])
	}
	for i := range t.parts {
		t.parts[i].mu.RUnlock()
	}
}

// lookup finds at most lookupBatch aliases under the locks of all parts.
func (t *aliasTable) lookup(hashes []model.Hash, refs []model.Ref) {
	var homes [lookupBatch]int
	var first [lookupBatch]uint64
	for i, a := range hashes {
		if p := t.part(a); len(p.entries) > 0 {
			homes[i] = p.home(a)
			first[i] = p.entries[homes[i]].hash.Lo
		}
	}
	for i, a := range hashes {
		refs[i] = 0
		p := t.part(a)
		if len(p.entries) == 0 {
			continue
		}
		at := homes[i]
		if e := &p.entries[at]; first[i] != a.Lo || e.hash.Hi != a.Hi || e.ref == 0 {
			if at = p.findFrom(at, a); at < 0 {
				continue
			}
		}
		p.touch(at)
		refs[i] = p.entries[at].ref
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
	if i := p.find(a); i >= 0 {
		p.entries[i].ref = ref
		p.touch(i)
		return
	}
	if (p.n+1)*4 > len(p.entries)*3 {
		h.aliases.makeRoom(p)
	}
	p.insert(aliasEntry{hash: a, ref: ref}, true)
}

func (p *aliasPart) insert(e aliasEntry, used bool) {
	i := p.home(e.hash)
	for p.entries[i].ref != 0 {
		if i++; i == len(p.entries) {
			i = 0
		}
	}
	p.entries[i] = e
	p.n++
	if used {
		p.touch(i)
	}
}

// makeRoom enlarges a part. If its limit does not allow that, it removes the aliases
// not used in this generation, or all if that would not free half of the entries:
// clients then take the slow path once more.
func (t *aliasTable) makeRoom(p *aliasPart) {
	size := int64(grownTable(len(p.entries), p.n+1))
	if size <= t.max {
		p.rebuild(int(size), func(used bool) bool { return true })
		return
	}
	busy := int64(0)
	for i := range p.used {
		busy += int64(bits.OnesCount64(p.used[i].Load()))
	}
	dropAll := busy*2 > t.max
	p.rebuild(int(t.max), func(used bool) bool { return used && !dropAll })
}

// rebuild moves the entries for which keep, called with their used bit, returns true
// to a table of the given size.
func (p *aliasPart) rebuild(size int, keep func(used bool) bool) {
	entries, used := p.entries, p.used
	p.entries = make([]aliasEntry, size)
	p.used = make([]atomic.Uint64, (size+63)/64)
	p.n = 0
	for i, e := range entries {
		if e.ref == 0 {
			continue
		}
		if used := used[i/64].Load()&(1<<(i%64)) != 0; keep(used) {
			p.insert(e, used)
		}
	}
}

// sweepAliases ends a generation: it removes aliases not used in it and those of
// evicted series.
func (h *Head) sweepAliases() {
	for i := range h.aliases.parts {
		p := &h.aliases.parts[i]
		p.mu.Lock()
		n := 0
		for k, e := range p.entries {
			if e.ref == 0 {
				continue
			}
			if p.used[k/64].Load()&(1<<(k%64)) == 0 || e.ref.Epoch() != 0 && !h.alive(e.ref) {
				p.entries[k].ref = 0 // the table is built anew below
				continue
			}
			n++
		}
		size := len(p.entries)
		if n < size/4 {
			size = grownTable(0, n)
		}
		if n < p.n || size != len(p.entries) {
			p.rebuild(size, func(bool) bool { return true })
		}
		for k := range p.used {
			p.used[k].Store(0)
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
		n += p.n
		bytes += int64(len(p.entries))*aliasEntryBytes + int64(len(p.used))*8
		p.mu.RUnlock()
	}
	return n, bytes
}
