package head

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// check is CheckLocked for one ref.
func check(h *Head, gen uint64, ref model.Ref) (undefined []uint32, stale int) {
	s := h.Shard(ref.Shard())
	s.Lock()
	defer s.Unlock()
	return s.CheckLocked(gen, []model.Ref{ref}, nil)
}

func alive(h *Head, ref model.Ref) bool {
	_, _, _, ok := h.Labels(ref)
	return ok
}

// sameShard returns label sets of series that all live in the shard of the
// first one, so that they can only reuse each other's slots.
func sameShard(n int) []labels.Labels {
	var sets []labels.Labels
	for i := 0; len(sets) < n; i++ {
		ls := labels.FromStrings("__name__", "same", "i", fmt.Sprint(i))
		if id, _ := model.IdentityOf(0, 0, ls, nil); id.Shard() == 3 {
			sets = append(sets, ls)
		}
	}
	return sets
}

func TestIdleSeriesLeavesAndItsRefIsStale(t *testing.T) {
	h := New(Options{})
	b1 := h.NewBuffer(1)
	ls := sameShard(2)
	idle, _ := h.Resolve(0, ls[0])
	busy, _ := h.Resolve(0, ls[1])
	write(t, h, b1, idle, floats(1, 1))
	write(t, h, b1, busy, floats(1, 1))
	alias := model.Hash{Hi: 1, Lo: 2}
	h.SetAlias(alias, idle)

	b2 := h.NewBuffer(2)
	write(t, h, b2, busy, floats(2, 1))
	b1.Release()
	evictions := func() uint64 {
		s := h.Shard(idle.Shard())
		s.Lock()
		defer s.Unlock()
		return s.EvictionsLocked()
	}
	if left := h.Evict(1); left != 0 || evictions() != 0 {
		t.Fatalf("%d series left that generation 1 had defined, %d evictions", left, evictions())
	}
	if left := h.Evict(2); left != 1 || evictions() != 1 {
		t.Fatalf("%d series left, want 1, %d evictions", left, evictions())
	}
	if alive(h, idle) || !alive(h, busy) {
		t.Fatalf("alive: idle %v, busy %v", alive(h, idle), alive(h, busy))
	}
	if _, stale := check(h, 2, idle); stale != 1 {
		t.Error("the ref of a series that left is not stale")
	}
	for _, m := range []string{"i", "__name__"} {
		vs, err := h.LabelValues(context.Background(), 0, m, nil, model.AllTime, 0)
		if err != nil || len(vs) != 1 {
			t.Errorf("values of %s: %v, %v", m, vs, err)
		}
	}
	if ref, created := h.Resolve(0, ls[0]); !created || ref == idle {
		t.Errorf("the series that left was found again: %x, created %v", uint64(ref), created)
	}
	h.Evict(2)
	if ref, ok := h.Alias(alias); ok {
		t.Errorf("alias of a series that left stands for %x", uint64(ref))
	}
	h.SetAlias(alias, idle)
	if ref, ok := h.Alias(alias); ok {
		t.Errorf("alias made for a stale ref stands for %x", uint64(ref))
	}
}

// A slot whose series has samples in any live buffer keeps its series, and a
// buffer that a reader still holds never shows another series' samples.
func TestSlotIsNotReusedWhileABufferNamesIt(t *testing.T) {
	h := New(Options{})
	ls := sameShard(40)
	b1 := h.NewBuffer(1)
	old, _ := h.Resolve(0, ls[0])
	write(t, h, b1, old, floats(1, 42))
	held := b1 // a view of a long query
	for gen := uint64(2); gen < 8; gen++ {
		b := h.NewBuffer(gen)
		h.Evict(gen)
		ref, _ := h.Resolve(0, ls[gen])
		write(t, h, b, ref, floats(float64(gen), 7))
		var s model.Samples
		held.Samples(ref, model.AllTime, &s)
		if s.Len() != 0 {
			t.Fatalf("generation %d: series %x has %v of another in an old buffer", gen, uint64(ref), s.V)
		}
		if ref.Slot() == old.Slot() {
			t.Fatalf("generation %d: slot %d given to another series while a buffer holds samples in it", gen, old.Slot())
		}
		s.Reset()
		held.Samples(old, model.AllTime, &s)
		if s.Len() != 1 || s.V[0] != 42 || !alive(h, old) {
			t.Fatalf("generation %d: the held buffer lost its series", gen)
		}
		b.Release()
	}
	held.Release()
	h.Evict(9) // condemned
	if alive(h, old) {
		t.Fatal("the series did not leave after the last buffer was released")
	}
	b := h.NewBuffer(9)
	h.Evict(9)
	reused := false
	for i := 21; i < 40; i++ {
		ref, _ := h.Resolve(0, ls[i])
		if ref.Slot() == old.Slot() {
			reused = true
			if ref.Epoch() <= old.Epoch() {
				t.Errorf("epoch %d after %d", ref.Epoch(), old.Epoch())
			}
			write(t, h, b, ref, floats(1, 1))
			if _, stale := check(h, 9, old); stale != 1 {
				t.Error("the old ref is not stale once the slot is taken again")
			}
			if undefined, _ := check(h, 9, ref); len(undefined) != 0 {
				t.Error("the new series is not defined")
			}
		}
	}
	if !reused {
		t.Error("the slot was never given away")
	}
}

func TestCondemnedSlotIsFreeOneEvictionLater(t *testing.T) {
	h := New(Options{})
	ls := sameShard(3)
	old, _ := h.Resolve(0, ls[0])
	h.Evict(1)
	if ref, _ := h.Resolve(0, ls[1]); ref.Slot() == old.Slot() {
		t.Fatal("a condemned slot was given away before the next eviction")
	}
	h.Evict(0)
	if ref, _ := h.Resolve(0, ls[2]); ref.Slot() != old.Slot() || ref.Epoch() == old.Epoch() {
		t.Fatalf("slot %d was not given away: got %d, epoch %d", old.Slot(), ref.Slot(), ref.Epoch())
	}
}

// A slot at its last epoch is never used again: no old ref can match.
func TestSlotAtItsLastEpochIsRetired(t *testing.T) {
	h := New(Options{})
	ls := sameShard(3)
	old, _ := h.Resolve(0, ls[0])
	h.Shard(old.Shard()).marks.at(old.Slot()).epoch = lastEpoch - 1
	h.Evict(1)
	h.Evict(1)
	if ref, _ := h.Resolve(0, ls[1]); ref.Slot() == old.Slot() {
		t.Fatal("a slot at its last epoch was given away")
	}
}

// A series defined in the running generation is in its log: its slot must not be
// reused in that generation, with or without samples.
func TestSeriesOfTheRunningGenerationStays(t *testing.T) {
	h := New(Options{})
	h.NewBuffer(5)
	ref, _ := h.Resolve(0, labels.FromStrings("a", "b"))
	h.Evict(5)
	if !alive(h, ref) {
		t.Fatal("a series made in the running generation left before its first sample")
	}
	s := h.Shard(ref.Shard())
	s.Lock()
	s.MarkDefinedLocked(5, []uint32{ref.Slot()})
	s.Unlock()
	h.Evict(5)
	if !alive(h, ref) {
		t.Fatal("a series defined in the running generation left")
	}
	h.Evict(6)
	if alive(h, ref) {
		t.Fatal("an idle series stayed")
	}
}

func TestUndefinedSlotsAreListedOnce(t *testing.T) {
	h := New(Options{})
	ls := sameShard(3)
	var refs []model.Ref
	for _, l := range ls {
		ref, _ := h.Resolve(0, l)
		refs = append(refs, ref, ref)
	}
	refs = append(refs, refs[0], model.MakeRef(3, 77, 1), model.MakeRef(3, refs[0].Slot(), 9))
	s := h.Shard(3)
	s.Lock()
	defer s.Unlock()
	undefined, stale := s.CheckLocked(4, refs, []uint32{99})
	if stale != 2 || fmt.Sprint(undefined) != "[99 0 1 2]" {
		t.Fatalf("undefined %v, stale %d", undefined, stale)
	}
	s.MarkDefinedLocked(4, undefined[2:])
	if undefined, _ = s.CheckLocked(4, refs, nil); fmt.Sprint(undefined) != "[0]" {
		t.Errorf("undefined %v after two were defined", undefined)
	}
	if undefined, _ = s.CheckLocked(5, refs, nil); fmt.Sprint(undefined) != "[0 1 2]" {
		t.Errorf("undefined %v in the next generation", undefined)
	}
}

func TestAliasesLeaveAfterAGenerationUnused(t *testing.T) {
	h := New(Options{})
	ref, _ := h.Resolve(0, labels.FromStrings("a", "b"))
	used, unused, dropped := model.Hash{Hi: 1, Lo: 1}, model.Hash{Hi: 2, Lo: 2}, model.Hash{Hi: 3, Lo: 3}
	h.SetAlias(used, ref)
	h.SetAlias(unused, ref)
	h.SetAlias(dropped, RefRefused)
	for gen := uint64(1); gen < 5; gen++ {
		s := h.Shard(ref.Shard())
		s.Lock()
		s.MarkDefinedLocked(gen, []uint32{ref.Slot()})
		s.Unlock()
		h.Evict(gen)
		got := make([]model.Ref, 2)
		h.Aliases([]model.Hash{used, dropped}, got)
		if got[0] != ref || got[1] != RefRefused {
			t.Fatalf("generation %d: aliases in use stand for %x", gen, got)
		}
	}
	if _, ok := h.Alias(unused); ok {
		t.Error("an alias not used for generations is still there")
	}
}

func TestAliasTableIsBounded(t *testing.T) {
	const bound = 1 << 20
	h := New(Options{AliasBytesMax: bound})
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 200_000 {
		a := model.Hash{Hi: r.Uint64(), Lo: r.Uint64()}
		h.SetAlias(a, RefRefused)
		if ref, ok := h.Alias(a); !ok || ref != RefRefused {
			t.Fatalf("alias %d is not there right after it was made", i)
		}
	}
	if _, bytes := h.aliases.stats(); bytes > bound*11/10 {
		t.Errorf("the table has %d bytes, bound %d", bytes, bound)
	}
}

// Lookups of many aliases, in orders that repeat and others, return what was set last, while
// aliases come and leave and the table grows and is swept.
func TestAliasesAreThoseSetLast(t *testing.T) {
	h := New(Options{AliasBytesMax: 1 << 20})
	r := rand.New(rand.NewPCG(3, 4))
	set := map[model.Hash]model.Ref{}
	var order []model.Hash
	hit := 0
	for round := range 60 {
		for range r.IntN(200) {
			a := model.Hash{Hi: r.Uint64(), Lo: r.Uint64()}
			if len(order) > 0 && r.IntN(3) == 0 {
				a = order[r.IntN(len(order))]
			} else {
				order = append(order, a)
			}
			ref := RefRefused
			if r.IntN(2) == 0 {
				ref, _ = h.Resolve(0, labels.FromStrings("a", fmt.Sprint(r.IntN(50))))
			}
			h.SetAlias(a, ref)
			set[a] = ref
		}
		switch round % 5 {
		case 3:
			r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		case 4: // those that are not looked up leave, after a second sweep
			gone := order[:len(order)/4]
			order = slices.Clone(order[len(order)/4:])
			h.sweepAliases()
			h.Aliases(order, make([]model.Ref, len(order)))
			h.sweepAliases()
			for _, a := range gone {
				delete(set, a)
				if _, ok := h.Alias(a); ok {
					t.Fatalf("round %d: an alias that was not looked up is there after two sweeps", round)
				}
			}
		}
		hashes := slices.Clone(order)
		for range 20 { // unknown ones between them
			hashes = slices.Insert(hashes, r.IntN(len(hashes)+1), model.Hash{Hi: r.Uint64(), Lo: r.Uint64()})
		}
		refs := make([]model.Ref, len(hashes))
		h.Aliases(hashes, refs)
		for i, a := range hashes {
			if refs[i] != set[a] {
				t.Fatalf("round %d: alias %d of %d is %x, want %x", round, i, len(hashes), refs[i], set[a])
			}
			if refs[i] != 0 {
				hit++
			}
		}
	}
	if hit < 50_000 {
		t.Errorf("only %d lookups of known aliases", hit)
	}
}

// The churn test creates, writes and evicts series at random, with readers that hold
// buffers for a while and batches that keep refs for long. Invariants at every step:
// a write through a ref accepted by CheckLocked reaches the series of the ref; a
// buffer returns for a live ref exactly the samples written to that series in that
// buffer; series with samples in a live buffer are never evicted.
func TestChurnNeverMixesSeries(t *testing.T) {
	seed := uint64(seedOf(t))
	rounds := 20
	if raceEnabled {
		rounds = 4
	}
	for round := range rounds {
		churn(t, rand.New(rand.NewPCG(seed, uint64(round))))
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, round)
		}
	}
}

func churn(t *testing.T, r *rand.Rand) {
	type holder struct {
		b    *Buffer
		want map[string]float64 // by label: the last value written, its time is the generation
	}
	h := New(Options{})
	ls := sameShard(60)
	name := func(i int) string { return ls[i].Get("i") }
	refs := make(map[model.Ref]int) // every ref ever returned, and its series
	var held []holder
	gen := uint64(1)
	active := holder{h.NewBuffer(gen), map[string]float64{}}
	for step := range 600 {
		switch r.IntN(12) {
		case 0: // a cut: the active buffer is held for a while
			gen++
			held = append(held, active)
			active = holder{h.NewBuffer(gen), map[string]float64{}}
		case 1:
			h.Evict(gen - uint64(r.IntN(2)))
		case 2:
			if len(held) > 0 {
				k := r.IntN(len(held))
				held[k].b.Release()
				held = append(held[:k:k], held[k+1:]...)
			}
		case 3, 4, 5: // a new or known series
			i := r.IntN(len(ls))
			ref, _ := h.Resolve(0, ls[i])
			if j, ok := refs[ref]; ok && j != i {
				t.Errorf("step %d: ref %x of series %d is also that of %d", step, uint64(ref), j, i)
				return
			}
			refs[ref] = i
		default: // a write through any ref ever returned
			for ref, i := range refs {
				s := h.Shard(ref.Shard())
				s.Lock()
				undefined, stale := s.CheckLocked(gen, []model.Ref{ref}, nil)
				if stale == 0 {
					s.MarkDefinedLocked(gen, undefined)
					v := float64(step)
					s.AppendFloatsLocked(active.b, []uint32{ref.Slot()}, []int64{int64(step)}, []float64{v}, nil)
					active.want[name(i)] = v
				}
				s.Unlock()
				break
			}
		}
		for _, b := range append(held, active) {
			seen := 0
			for ref, i := range refs {
				_, _, got, ok := h.Labels(ref)
				if !ok {
					continue
				}
				if !labels.Equal(got, ls[i]) {
					t.Errorf("step %d: ref %x names %v, was made for %v", step, uint64(ref), got, ls[i])
					return
				}
				var s model.Samples
				b.b.Samples(ref, model.AllTime, &s)
				want, has := b.want[name(i)]
				if has != (s.Len() > 0) || has && s.V[s.Len()-1] != want {
					t.Errorf("step %d: buffer of generation %d has %v of %v, want %v", step, b.b.Generation(), s.V, got, want)
					return
				}
				if has {
					seen++
				}
			}
			if seen != len(b.want) {
				t.Errorf("step %d: %d of %d series of a live buffer can be read", step, seen, len(b.want))
				return
			}
		}
	}
}
