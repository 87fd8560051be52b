package head

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"tsdb/internal/model"
)

// The memory of a series, that is tables, alias and the empty part of a buffer, as
// measured for the process and as reported by Stats.
func TestFixedBytesPerSeries(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("measures the heap")
	}
	const n = 200_000
	before, objects := heapBytes(), heapObjects()
	h, refs := fleet(t, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i, ref := range refs {
		h.SetAlias(model.Hash{Hi: r.Uint64(), Lo: uint64(i)}, ref)
	}
	ps := batches(refs, 8192)
	inBatches := int64(n * (8 + 4 + 8 + 8))
	b := h.NewBuffer(1)
	scrape(h, b, ps, 0, r, nil)
	h.Sorted(b)
	runtime.GC()
	heap := heapBytes() - before - int64(n)*8 - inBatches*5/4
	perSeries := float64(heap) / n
	stated := h.Stats().Bytes + b.Stats().Bytes
	t.Logf("%.1f B a series, %.1f as stated, %d objects", perSeries, float64(stated)/n, heapObjects()-objects)
	t.Logf("tables %+v", tableBytes(h, n))
	if perSeries > 260 {
		t.Errorf("a series costs %.1f B", perSeries)
	}
	if ratio := float64(stated) / float64(heap); ratio < 0.9 || ratio > 1.1 {
		t.Errorf("stated %d B, the heap grew by %d", stated, heap)
	}
	runtime.KeepAlive(ps)
	runtime.KeepAlive(h)
}

// tableBytes returns the bytes per series of each table.
func tableBytes(h *Head, n int) map[string]float64 {
	m := make(map[string]float64)
	for i := range h.shards {
		s := &h.shards[i]
		for name, bytes := range map[string]int64{
			"marks": s.marks.bytes(), "series": s.series.bytes(), "text": s.text.held, "dict": s.dict.bytes(),
			"lists": s.lists.held, "lists-idle": s.lists.idle, "ids": int64(cap(s.ids.table)) * 4, "fresh": int64(cap(s.fresh)) * 8,
		} {
			m[name] += float64(bytes) / float64(n)
		}
	}
	_, aliases := h.aliases.stats()
	m["aliases"] = float64(aliases) / float64(n)
	m["order"] = float64(h.order.bytes.Load()) / float64(n)
	return m
}

// Pack frees the arrays that postings have outgrown, and a second call has nothing to do.
func TestPackFreesOutgrownPostings(t *testing.T) {
	h := New(Options{})
	s := &h.shards[3]
	const terms, series = 3000, 90
	s.slots = 1 << 20
	name := s.dict.addName("i")
	for k := range uint32(terms) {
		s.dict.add(term{name: name, hash: k})
	}
	for slot := range uint32(series) { // all lists grow together
		for k := range uint32(terms) {
			s.addPosting(&s.dict.terms.at(k).list, slot*uint32(terms)+k)
		}
	}
	held, idle := s.lists.held, s.lists.idle
	h.Pack()
	if s.lists.held > held-idle/2 || s.lists.idle > s.lists.held/8 {
		t.Errorf("%d bytes of postings, %d of them outgrown; packed %d and %d", held, idle, s.lists.held, s.lists.idle)
	}
	for k := range uint32(terms) {
		got := s.appendPostings(nil, s.dict.terms.at(k).list)
		if len(got) != series || got[0] != k || got[series-1] != (series-1)*terms+k {
			t.Fatalf("term %d has %d series", k, len(got))
		}
	}
	first := &s.lists.chunks[0][0]
	if h.Pack(); first != &s.lists.chunks[0][0] {
		t.Error("postings without outgrown arrays were copied again")
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	h, refs := fleet(t, 2000)
	b := h.NewBuffer(1)
	ps := batches(refs, 2000)
	r := rand.New(rand.NewPCG(1, 2))
	var undefined []uint32
	round := 0
	for range 3 {
		undefined = scrape(h, b, ps, round, r, undefined)
		round++
	}
	space := 0
	for i := range b.shards {
		space -= len(b.shards[i].space.chunks)
	}
	got := testing.AllocsPerRun(200, func() {
		undefined = scrape(h, b, ps, round, r, undefined)
		round++
	})
	for i := range b.shards {
		space += len(b.shards[i].space.chunks)
	}
	// Memory is occasionally allocated in chunks of 1 MiB.
	if got > 1 {
		t.Errorf("%v allocations a scrape of 2000 series, %d chunks came", got, space)
	}
	var s model.Samples
	ref := refs[7]
	b.Samples(ref, model.AllTime, &s)
	if raceEnabled {
		return // the race detector makes pools drop their content
	}
	if got := testing.AllocsPerRun(100, func() {
		s.Reset()
		b.Samples(ref, model.AllTime, &s)
	}); got != 0 {
		t.Errorf("%v allocations a read", got)
	}
	h2 := make([]model.Hash, 100)
	out := make([]model.Ref, 100)
	if got := testing.AllocsPerRun(100, func() { h.Aliases(h2, out) }); got != 0 {
		t.Errorf("%v allocations a lookup of aliases", got)
	}
	ls := fleetLabels(11)
	if got := testing.AllocsPerRun(100, func() { h.Resolve(0, ls) }); got != 0 {
		t.Errorf("%v allocations to find a known series", got)
	}
}

// Senders repeat requests; samples with start timestamps are then decoded to be compared.
func TestARepeatedSampleDoesNotAllocate(t *testing.T) {
	if testing.Short() {
		t.Skip("counts allocations")
	}
	h, refs := fleet(t, 1)
	b := h.NewBuffer(1)
	sh := h.Shard(refs[0].Shard())
	write := func(at int64) {
		sh.Lock()
		defer sh.Unlock()
		sh.AppendFloatsLocked(b, []uint32{refs[0].Slot()}, []int64{at}, []float64{float64(at) / 7}, []int64{5})
	}
	for at := int64(1000); at < 1100; at++ { // streams of many lengths
		write(at)
		if got := testing.AllocsPerRun(20, func() { write(at) }); got != 0 {
			t.Fatalf("%v allocations for a sample that repeats the one at %d", got, at)
		}
	}
}

// A buffer's memory is freed once nothing refers to the buffer.
func TestReleaseFreesBufferMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("measures the heap")
	}
	h, refs := fleet(t, 20_000)
	ps := batches(refs, 2000)
	r := rand.New(rand.NewPCG(1, 2))
	before := heapBytes()
	b := h.NewBuffer(1)
	for round := range 100 {
		scrape(h, b, ps, round, r, nil)
	}
	held := b.Stats().Bytes
	b.Release()
	runtime.KeepAlive(b)
	b = nil
	if left := heapBytes() - before; left > held/10 {
		t.Errorf("%d of %d bytes are still there after the buffer was released", left, held)
	}
	runtime.KeepAlive(h)
	runtime.KeepAlive(ps)
}
