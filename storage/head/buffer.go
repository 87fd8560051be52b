package head

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"tsdb/internal/model"
)

// A Buffer holds the samples of one generation, in one part per shard, guarded by
// the shard's lock. Its owner releases it when no view refers to it any more; until
// then, slots of series with samples in it are not reused for other series. Reading
// is safe at any time; after Freeze it takes no locks.
type Buffer struct {
	head     *Head
	gen      atomic.Uint64
	frozen   atomic.Bool
	released atomic.Bool
	shards   [model.Shards]bufferShard
}

// bufferShard is a shard's part of a buffer.
type bufferShard struct {
	states     slab[state] // by slot
	present    bitset      // slots with samples or exemplars
	extras     slab[extra] // by state.extra
	nExtras    uint32
	space      pool[byte]    // blocks of streams, encoded histograms, exemplars
	segs       pool[segment] // directories of runs
	exs        pool[exemplarSlot]
	late       pool[lateSample]
	runs       pool[lateRun]
	tombstones pool[tombstone]
	scratch    scratch   // used by writers
	deleting   *deleting // nil = none; guarded by the shard's lock

	stats shardStats
	_     [64]byte
}

// shardStats can be read without the lock.
type shardStats struct {
	series, samples, exemplars, bytes atomic.Int64
	minTime, maxTime                  atomic.Int64 // inclusive; min > max if there is no sample
}

// BufferStats are the sizes of a buffer.
type BufferStats struct {
	Series    int64 // with samples or exemplars
	Samples   int64 // keys written: a sample that replaced another is not counted, a deleted one is
	Exemplars int64
	Bytes     int64 // memory
	MinTime   int64 // time of the first sample, deleted or not, Unix milliseconds; MinTime > MaxTime if there is none
	MaxTime   int64 // time of the last sample
}

// NewBuffer returns an empty buffer for the samples of a generation. It may be
// created long before the generation begins; SetGeneration then sets its number.
func (h *Head) NewBuffer(gen uint64) *Buffer {
	b := &Buffer{head: h}
	for i := range b.shards {
		p := &b.shards[i]
		p.states = newSlab[state](unsafe.Sizeof(state{}))
		p.extras = newSlab[extra](unsafe.Sizeof(extra{}))
		p.space = newPool[byte](1, 16)
		p.segs = newPool[segment](unsafe.Sizeof(segment{}), 1)
		p.exs = newPool[exemplarSlot](unsafe.Sizeof(exemplarSlot{}), 1)
		p.late = newPool[lateSample](unsafe.Sizeof(lateSample{}), 1)
		p.runs = newPool[lateRun](unsafe.Sizeof(lateRun{}), 1)
		p.tombstones = newPool[tombstone](unsafe.Sizeof(tombstone{}), 1)
		p.stats.minTime.Store(math.MaxInt64)
		p.stats.maxTime.Store(math.MinInt64)
	}
	b.SetGeneration(gen)
	h.buffers.Lock()
	h.buffers.live = append(h.buffers.live, b)
	h.buffers.Unlock()
	return b
}

// SetGeneration sets the buffer's generation. It must be called before the first
// sample is appended.
func (b *Buffer) SetGeneration(gen uint64) {
	b.gen.Store(gen)
	for {
		newest := b.head.newest.Load()
		if gen <= newest || b.head.newest.CompareAndSwap(newest, gen) {
			return
		}
	}
}

// Generation returns the generation whose samples the buffer holds.
func (b *Buffer) Generation() uint64 { return b.gen.Load() }

// Freeze marks the buffer as immutable. The caller ensures that there are no writers.
func (b *Buffer) Freeze() { b.frozen.Store(true) }

// Release frees the buffer's memory once it has no readers. Further calls do nothing.
func (b *Buffer) Release() {
	if b.released.Swap(true) {
		return
	}
	l := &b.head.buffers
	l.Lock()
	defer l.Unlock()
	if i := slices.Index(l.live, b); i >= 0 {
		l.live = slices.Delete(l.live, i, i+1)
	}
}

// Stats returns the buffer's sizes. It takes no lock; while samples are appended the
// figures may be from slightly different moments.
func (b *Buffer) Stats() BufferStats {
	st := BufferStats{MinTime: math.MaxInt64, MaxTime: math.MinInt64}
	for i := range b.shards {
		s := &b.shards[i].stats
		st.Series += s.series.Load()
		st.Samples += s.samples.Load()
		st.Exemplars += s.exemplars.Load()
		st.Bytes += s.bytes.Load()
		st.MinTime = min(st.MinTime, s.minTime.Load())
		st.MaxTime = max(st.MaxTime, s.maxTime.Load())
	}
	return st
}

// rlock acquires and returns the lock that readers of a shard's part need. The
// caller passes it to runlock.
func (b *Buffer) rlock(shard int) *sync.RWMutex {
	if b.frozen.Load() {
		return nil
	}
	mu := &b.head.shards[shard].mu
	mu.RLock()
	return mu
}

func runlock(mu *sync.RWMutex) {
	if mu != nil {
		mu.RUnlock()
	}
}

// Has reports whether the range from the first to the last sample of the series
// overlaps tr in more than was deleted, so that it may have a sample in tr.
func (b *Buffer) Has(ref model.Ref, tr model.TimeRange) bool {
	defer runlock(b.rlock(ref.Shard()))
	return b.shards[ref.Shard()].has(ref.Slot(), tr)
}

// Span returns the range from the first to the last sample of a series, false
// if there are none.
func (b *Buffer) Span(ref model.Ref) (model.TimeRange, bool) {
	defer runlock(b.rlock(ref.Shard()))
	p, slot := &b.shards[ref.Shard()], ref.Slot()
	if !p.has(slot, model.AllTime) {
		return model.TimeRange{}, false
	}
	st := p.states.at(slot)
	return model.Inclusive(st.minT, st.t), true
}

// has is Has for a slot; the caller holds the lock that readers need.
func (p *bufferShard) has(slot uint32, tr model.TimeRange) bool {
	if !p.present.has(slot) {
		return false
	}
	st := p.states.at(slot)
	if st.n == 0 || st.minT >= tr.Max || st.t < tr.Min {
		return false
	}
	if st.extra == 0 {
		return true
	}
	x := p.extras.at(st.extra)
	return x.nTombs == 0 || p.hasUndeleted(st, x, tr)
}

// Samples appends the samples of a series in the range to dst, in time order, one
// per key. The existing rows of dst are unchanged.
func (b *Buffer) Samples(ref model.Ref, tr model.TimeRange, dst *model.ColumnSet) {
	if len(dst.Kinds) > 0 {
		// Runs are decoded into the columns of samples.
		var samples model.Samples
		b.Samples(ref, tr, &samples)
		dst.AppendRange(&samples, 0, samples.Len())
		return
	}
	sc := readScratches.Get().(*scratch)
	defer readScratches.Put(sc)
	defer runlock(b.rlock(ref.Shard()))
	p := &b.shards[ref.Shard()]
	if p.present.has(ref.Slot()) {
		p.read(p.states.at(ref.Slot()), tr, dst, sc)
	}
}

// begin prepares a shard's part for samples of the slots below slots.
func (p *bufferShard) begin(slots uint32) {
	if p.states.len() < slots {
		p.states.ensure(slots)
		words := int(p.states.len()+63) / 64
		if words > len(p.present) {
			grown := make(bitset, words)
			copy(grown, p.present)
			p.present = grown
		}
	}
}

// note marks a slot as present.
func (p *bufferShard) note(slot uint32) {
	if !p.present.has(slot) {
		p.present.set(slot)
		p.stats.series.Add(1)
	}
}

// finish records the effect of a batch: the number of keys it added, and the first
// and the last time of its samples.
func (p *bufferShard) finish(added int, minT, maxT int64) {
	s := &p.stats
	if added != 0 {
		s.samples.Add(int64(added))
	}
	if minT < s.minTime.Load() {
		s.minTime.Store(minT)
	}
	if maxT > s.maxTime.Load() {
		s.maxTime.Store(maxT)
	}
	if n := p.bytes(); n != s.bytes.Load() {
		s.bytes.Store(n)
	}
}

func (p *bufferShard) bytes() int64 {
	return p.states.bytes() + p.extras.bytes() + int64(len(p.present))*8 +
		p.space.held + p.segs.held + p.exs.held + p.late.held + p.runs.held + p.tombstones.held
}
