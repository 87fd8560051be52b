package head

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"tsdb/internal/model"
)

func TestRecordsHaveTheirSizes(t *testing.T) {
	for name, c := range map[string]struct{ got, want uintptr }{
		"mark":         {unsafe.Sizeof(mark{}), markBytes},
		"series":       {unsafe.Sizeof(series{}), seriesBytes},
		"term":         {unsafe.Sizeof(term{}), termBytes},
		"state":        {unsafe.Sizeof(state{}), 64},
		"segment":      {unsafe.Sizeof(segment{}), 32},
		"lateSample":   {unsafe.Sizeof(lateSample{}), 32},
		"lateRun":      {unsafe.Sizeof(lateRun{}), 16},
		"exemplarSlot": {unsafe.Sizeof(exemplarSlot{}), 16},
		"aliasEntry":   {unsafe.Sizeof(aliasEntry{}), aliasEntryBytes},
	} {
		if c.got != c.want {
			t.Errorf("%s has %d bytes, want %d", name, c.got, c.want)
		}
	}
}

func TestSizeClassesHoldTheirSizes(t *testing.T) {
	for n := uint32(1); n < 1<<20; n += 1 + n/50 {
		c := classOf(n)
		if got := classUnits(c); got < n {
			t.Fatalf("class %d of %d units has %d", c, n, got)
		}
		if c >= 3 && classUnits(c-1) >= n || c == 2 && n == 1 {
			t.Fatalf("%d units fit class %d, got %d", n, c-1, c)
		}
		if c >= classes {
			t.Fatalf("class %d of %d units", c, n)
		}
	}
}

// Arrays of a pool keep their content while others are allocated and released, and
// the pool counts the allocated memory.
func TestPoolArraysDoNotOverlap(t *testing.T) {
	seed := uint64(seedOf(t))
	for round := range 10 {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		p := newPool[uint32](4, 1<<r.IntN(3))
		type array struct {
			h, stamp uint32
			n        int
		}
		var live []array
		fill := func(a array) {
			for i := range p.get(a.h, a.n) {
				p.get(a.h, a.n)[i] = a.stamp
			}
		}
		for step := range 4000 {
			if len(live) > 0 && r.IntN(3) == 0 {
				k := r.IntN(len(live))
				a := live[k]
				for _, v := range p.get(a.h, a.n) {
					if v != a.stamp {
						t.Fatalf("seed %d, round %d, step %d: array of %d holds %d, want %d", seed, round, step, a.n, v, a.stamp)
					}
				}
				p.release(a.h, a.n)
				live = slices.Delete(live, k, k+1)
				continue
			}
			n := 1 + r.IntN(1<<r.IntN(12))
			if r.IntN(500) == 0 {
				n = 100_000 + r.IntN(900_000) // has a chunk of its own
			}
			a := array{h: p.alloc(n), stamp: uint32(step), n: n}
			if a.h == noHandle {
				t.Fatal("the handle of nothing was given away")
			}
			live = append(live, a)
			fill(a)
		}
		used := int64(0)
		for _, a := range live {
			used += int64(p.room(a.n)) * 4
		}
		if got := p.held - p.idle; got < used {
			t.Errorf("%d bytes in use, arrays have %d", got, used)
		}
		for _, a := range live {
			p.release(a.h, a.n)
		}
	}
}

func TestSlabRecordsStay(t *testing.T) {
	s := newSlab[uint64](8)
	total := int64(0)
	for n := uint32(1); n < 500_000; n += 1 + n/7 {
		before := s.len()
		total += s.ensure(n)
		if s.len() < n || s.bytes() != total {
			t.Fatalf("%d records of %d, %d bytes, %d added", s.len(), n, s.bytes(), total)
		}
		for i := before; i < s.len(); i += 1 + (s.len()-before)/100 {
			if *s.at(i) != 0 {
				t.Fatalf("record %d is not zero", i)
			}
			*s.at(i) = uint64(i) + 1
		}
		for i := range min(before, 64) {
			if v := *s.at(i); v != uint64(i)+1 && v != 0 {
				t.Fatalf("record %d is %d", i, v)
			}
		}
	}
}

func TestArenaRefusesOversizedBytes(t *testing.T) {
	var a arena
	if _, _, ok := a.alloc(chunkBytes + 1); ok {
		t.Error("more than a chunk was given")
	}
	addr, dst, ok := a.alloc(chunkBytes)
	if !ok || len(dst) != chunkBytes {
		t.Fatalf("a whole chunk: %d bytes, %v", len(dst), ok)
	}
	dst[0] = 7
	next, dst, ok := a.alloc(3)
	if !ok || len(dst) != 3 || next>>arenaBits == addr>>arenaBits {
		t.Errorf("behind it: address %x, %d bytes, %v", next, len(dst), ok)
	}
	if a.from(addr)[0] != 7 {
		t.Error("the chunk was overwritten")
	}
}

// Postings are compared with a set while slots are added and removed, through all
// their forms.
func TestPostingsEqualASet(t *testing.T) {
	seed := uint64(seedOf(t))
	for round := range 20 {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		s := new(Shard)
		s.init(nil, 0)
		s.slots = 1 << (5 + r.IntN(12))
		var p postings
		want := make(map[uint32]bool)
		grow := true
		for step := range 3000 {
			if r.IntN(500) == 0 {
				grow = !grow
			}
			slot := uint32(r.IntN(int(s.slots)))
			if grow == want[slot] {
				continue
			}
			if grow {
				s.addPosting(&p, slot)
				want[slot] = true
			} else {
				s.removePosting(&p, slot)
				delete(want, slot)
			}
			if step%100 == 0 {
				checkPostings(t, s, p, want)
			}
			if r.IntN(300) == 0 {
				s.slots += s.slots / 8
			}
		}
		checkPostings(t, s, p, want)
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, round)
		}
	}
}

func checkPostings(t *testing.T, s *Shard, p postings, want map[uint32]bool) {
	t.Helper()
	got := s.appendPostings(nil, p)
	if len(got) != len(want) || p.len() != len(want) || !slices.IsSorted(got) {
		t.Errorf("%d slots, length %d, want %d, rising %v", len(got), p.len(), len(want), slices.IsSorted(got))
		return
	}
	b := bitsetFor(s.slots)
	s.setBits(b, p)
	if n := len(b.appendTo(nil)); n != len(want) {
		t.Errorf("%d bits, want %d", n, len(want))
	}
	for _, slot := range got {
		if !want[slot] || !b.has(slot) {
			t.Errorf("slot %d", slot)
		}
	}
	other := bitsetFor(s.slots)
	if s.anyIn(p, other) {
		t.Error("common slots with an empty set")
	}
	if len(got) > 0 {
		other.set(got[len(got)/2])
		if !s.anyIn(p, other) {
			t.Error("no common slot with a set of one of them")
		}
		if packed := s.listOf(got); !slices.Equal(s.appendPostings(nil, packed), got) {
			t.Error("packed postings differ")
		}
	}
}

// The identity index is compared with a map while series are added and removed.
func TestIdentitiesEqualAMap(t *testing.T) {
	seed := uint64(seedOf(t))
	for round := range 10 {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		s := new(Shard)
		s.init(nil, 0)
		s.series.ensure(2000)
		want := make(map[model.Identity]uint32)
		for slot := uint32(0); slot < 2000; slot++ {
			id := model.Identity{Hi: r.Uint64() &^ (0xff << 56) << uint(r.IntN(2)*8), Lo: r.Uint64()}
			*s.series.at(slot) = series{id: id}
			s.put(slot, id)
			want[id] = slot
			if r.IntN(3) == 0 {
				for gone, at := range want {
					s.drop(at, gone)
					delete(want, gone)
					if _, ok := s.find(gone); ok {
						t.Fatalf("seed %d, round %d: an identity that left is found", seed, round)
					}
					break
				}
			}
		}
		for id, slot := range want {
			if got, ok := s.find(id); !ok || got != slot {
				t.Fatalf("seed %d, round %d: slot %d, %v, want %d", seed, round, got, ok, slot)
			}
		}
	}
}
