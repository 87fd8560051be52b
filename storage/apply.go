package storage

import (
	"context"
	"errors"

	"tsdb/internal/model"
	"tsdb/storage/head"
	"tsdb/storage/log"
)

// chunkSamples bounds how many samples are applied while the gate is held, so
// that a cut never waits for a whole large request.
const chunkSamples = 8192

// An applyChunk is a part of a batch, sorted by shard, as log and head take it.
// Everything in it is made before the gate is entered.
type applyChunk struct {
	shards [model.Shards]shardRows
	bytes  int // of the frames of its samples

	oldest   int64 // no sample is older
	tenant   uint32
	door     string
	replaced int // values it replaced in the head

	metrics    []uint8 // scratch of countLate
	definition head.Definition
	series     log.SeriesEncoder
}

// shardRows are the rows of an applyChunk for one shard.
type shardRows struct {
	floats floatRows
	hists  histRows
	exs    exemplarRows

	applied   bool     // to log and head
	undefined []uint32 // slots not yet defined in the running generation
	evictions uint64   // of the shard when the refs were checked
	stale     bool     // a series had left by then

	seriesFrame, floatFrame, histFrame, exFrame []byte
}

type floatRows struct {
	refs  []model.Ref
	slots []uint32
	ts    []int64
	vs    []float64
	sts   []int64
}

type histRows struct {
	refs  []model.Ref
	slots []uint32
	ts    []int64
	sts   []int64
	hs    []model.Histogram
}

type exemplarRows struct {
	refs  []model.Ref
	slots []uint32
	es    []model.Exemplar
}

// commitScratch is the memory a batch keeps between commits.
type commitScratch struct {
	chunk applyChunk
	meta  []byte
}

// apply writes a batch to log and head in chunks and waits until all of it,
// and everything that was in the log before, is durable. Samples too large for
// the log are refused and counted in r.
func (w *writer) apply(ctx context.Context, b *Batch, r *Receipt) error {
	ch := &b.commit.chunk
	ch.door, ch.tenant, ch.oldest = b.door, b.tenant, b.oldest
	floats := func(i, j int) { ch.addFloats(&b.floats, i, j) }
	hists := func(i, j int) { ch.addHistograms(&b.hists, i, j) }
	exs := func(i, j int) { ch.addExemplars(&b.exs, i, j) }
	stale := false
	for _, c := range [...]struct {
		n        int
		add      func(i, j int)
		max      int // rows of a chunk
		accepted *int
	}{
		{len(b.floats.ts), floats, chunkSamples, &r.Floats},
		{len(b.hists.ts), hists, chunkSamples / 16, &r.Histograms},
		{len(b.exs.es), exs, chunkSamples / 4, &r.Exemplars},
	} {
		for i := 0; i < c.n; i += c.max {
			refused, s, err := w.applyRange(ctx, ch, c.add, i, min(i+c.max, c.n))
			if err != nil {
				return err
			}
			stale = stale || s
			if refused > 0 {
				*c.accepted -= refused
				b.rejects.Add(ReasonLimit, "", 0, "sample is too large for the log", refused)
			}
		}
	}
	if err := w.applyMetadata(ctx, b); err != nil {
		return err
	}
	if stale {
		return ErrStaleRef
	}
	// Even a batch that changed nothing waits: it may repeat samples of
	// another request whose frames are not yet on disk.
	return walError(w.wal.Wait(ctx, w.wal.LastLSN()))
}

// applyRange applies the rows i ≤ k < j that add puts into a chunk, in halves
// if their frames are too large.
func (w *writer) applyRange(ctx context.Context, ch *applyChunk, add func(i, j int), i, j int) (refused int, stale bool, err error) {
	ch.reset()
	add(i, j)
	stale, err = w.appendChunk(ctx, ch)
	if ch.replaced > 0 {
		w.metrics.overwritten.WithLabelValues(ch.door).Add(float64(ch.replaced))
	}
	if !errors.Is(err, log.ErrTooLarge) {
		return 0, stale, err
	}
	if j-i == 1 {
		return 1, false, nil
	}
	m := i + (j-i)/2
	r1, s1, err := w.applyRange(ctx, ch, add, i, m)
	if err != nil {
		return r1, s1, err
	}
	r2, s2, err := w.applyRange(ctx, ch, add, m, j)
	return r1 + r2, s1 || s2, err
}

func (ch *applyChunk) reset() {
	for i := range ch.shards {
		s := &ch.shards[i]
		f, h, e := &s.floats, &s.hists, &s.exs
		f.refs, f.slots, f.ts, f.vs, f.sts = f.refs[:0], f.slots[:0], f.ts[:0], f.vs[:0], f.sts[:0]
		clear(h.hs)
		h.refs, h.slots, h.ts, h.sts, h.hs = h.refs[:0], h.slots[:0], h.ts[:0], h.sts[:0], h.hs[:0]
		clear(e.es)
		e.refs, e.slots, e.es = e.refs[:0], e.slots[:0], e.es[:0]
		s.applied = false
	}
	ch.bytes, ch.replaced = 0, 0
}

func (ch *applyChunk) addFloats(c *floatColumns, i, j int) {
	starts := len(c.sts) > 0
	for ; i < j; i++ {
		ref := c.refs[i]
		r := &ch.shards[ref.Shard()].floats
		r.refs = append(r.refs, ref)
		r.slots = append(r.slots, ref.Slot())
		r.ts = append(r.ts, c.ts[i])
		r.vs = append(r.vs, c.vs[i])
		if starts {
			r.sts = append(r.sts, c.sts[i])
		}
	}
}

func (ch *applyChunk) addHistograms(c *histColumns, i, j int) {
	for ; i < j; i++ {
		ref := c.refs[i]
		r := &ch.shards[ref.Shard()].hists
		r.refs = append(r.refs, ref)
		r.slots = append(r.slots, ref.Slot())
		r.ts = append(r.ts, c.ts[i])
		r.sts = append(r.sts, c.sts[i])
		r.hs = append(r.hs, c.hs[i])
	}
}

func (ch *applyChunk) addExemplars(c *exemplarColumns, i, j int) {
	for ; i < j; i++ {
		ref := c.refs[i]
		r := &ch.shards[ref.Shard()].exs
		r.refs = append(r.refs, ref)
		r.slots = append(r.slots, ref.Slot())
		r.es = append(r.es, c.es[i])
	}
}

// encode makes the frames of the chunk's samples.
func (ch *applyChunk) encode() (err error) {
	for i := range ch.shards {
		s := &ch.shards[i]
		s.floatFrame, s.histFrame, s.exFrame = s.floatFrame[:0], s.histFrame[:0], s.exFrame[:0]
		if f := &s.floats; len(f.slots) > 0 {
			s.floatFrame = log.AppendSamples(s.floatFrame, f.slots, f.ts, f.vs, f.sts)
			ch.bytes += log.FrameBytes(len(s.floatFrame))
		}
		if h := &s.hists; len(h.slots) > 0 {
			if s.histFrame, err = log.AppendHistograms(s.histFrame, h.slots, h.ts, h.sts, h.hs); err != nil {
				return err
			}
			ch.bytes += log.FrameBytes(len(s.histFrame))
		}
		if e := &s.exs; len(e.slots) > 0 {
			if s.exFrame, err = log.AppendExemplars(s.exFrame, e.slots, e.es); err != nil {
				return err
			}
			ch.bytes += log.FrameBytes(len(s.exFrame))
		}
	}
	return nil
}

// define makes the frames that define the chunk's series in generation gen,
// those that are not yet defined in it. It returns their bytes.
func (w *writer) define(ch *applyChunk, gen uint64) (bytes int, err error) {
	for i := range ch.shards {
		s := &ch.shards[i]
		s.undefined, s.seriesFrame = s.undefined[:0], s.seriesFrame[:0]
		if s.empty() {
			continue
		}
		sh := w.head.Shard(i)
		sh.Lock()
		stale := 0
		s.undefined, stale = s.checkLocked(sh, gen, s.undefined)
		s.evictions, s.stale = sh.EvictionsLocked(), stale > 0
		sh.Unlock()
		if len(s.undefined) == 0 {
			continue
		}
		w.head.Definitions(i, s.undefined, &ch.definition, func(d *head.Definition) {
			if err == nil {
				err = ch.series.Add(d.Slot, d.ID, d.Labels, d.Same)
			}
		})
		s.seriesFrame = ch.series.Append(s.seriesFrame)
		ch.series.Reset()
		if err != nil {
			return 0, err
		}
		bytes += log.FrameBytes(len(s.seriesFrame))
	}
	return bytes, nil
}

func (s *shardRows) empty() bool {
	return len(s.floats.refs)+len(s.hists.refs)+len(s.exs.refs) == 0
}

// checkLocked appends to undefined the slots that generation gen does not
// define yet, and counts the refs whose series has left.
func (s *shardRows) checkLocked(sh *head.Shard, gen uint64, undefined []uint32) ([]uint32, int) {
	stale := 0
	for _, refs := range [...][]model.Ref{s.floats.refs, s.hists.refs, s.exs.refs} {
		var n int
		undefined, n = sh.CheckLocked(gen, refs, undefined)
		stale += n
	}
	return undefined, stale
}

// largest returns the bytes of the largest payload of the chunk.
func (ch *applyChunk) largest() int {
	n := 0
	for i := range ch.shards {
		s := &ch.shards[i]
		n = max(n, len(s.seriesFrame), len(s.floatFrame), len(s.histFrame), len(s.exFrame))
	}
	return n
}

// appendChunk appends a chunk to log and head. stale reports that the samples of
// a shard were left out because a series of it had left the head.
func (w *writer) appendChunk(ctx context.Context, ch *applyChunk) (stale bool, err error) {
	if err := ch.encode(); err != nil {
		return false, err
	}
	for {
		gen := w.wal.Generation()
		bytes, err := w.define(ch, gen)
		if err != nil {
			return false, err
		}
		bytes += ch.bytes
		if ch.largest() > w.wal.MaxPayload() {
			return false, log.ErrTooLarge
		}
		if err := w.wal.Reserve(ctx, bytes); err != nil {
			return false, walError(err)
		}
		if current, stale := w.applyGated(ch, gen); current {
			return stale, nil
		}
		// A cut came between: the definitions belong to the generation before
		// it.
		w.wal.Unreserve(bytes)
	}
}

// applyGated appends a chunk to log and head if gen is still the running
// generation.
func (w *writer) applyGated(ch *applyChunk, gen uint64) (current, stale bool) {
	w.gate.RLock()
	defer w.gate.RUnlock() // also after a panic: every cut would wait for it
	if w.wal.Generation() != gen {
		return false, false
	}
	for i := range ch.shards {
		if s := &ch.shards[i]; !s.empty() {
			s.applied = w.applyShard(ch, i, gen)
			stale = stale || !s.applied
		}
	}
	w.countLate(ch)
	return true, stale
}

// countLate counts the samples of an applied chunk that come late enough to
// change cached answers. Samples in time cost one comparison a chunk. The caller
// holds the gate, so that the series are still in their slots.
func (w *writer) countLate(ch *applyChunk) {
	before := w.changes.uncounted()
	if ch.oldest >= before {
		return
	}
	for i := range ch.shards {
		s := &ch.shards[i]
		if !s.applied {
			continue
		}
		sh := w.head.Shard(i)
		ch.metrics = sh.Metrics(s.floats.slots, ch.metrics[:0])
		w.changes.addSamples(s.floats.ts, ch.metrics, before)
		ch.metrics = sh.Metrics(s.hists.slots, ch.metrics[:0])
		w.changes.addSamples(s.hists.ts, ch.metrics, before)
	}
}

// applyShard appends one shard's part of a chunk under the shard's lock, so
// that the head's order is the log's. The caller holds the gate's read side and
// has reserved the bytes. It does nothing and returns false if a series has
// left meanwhile.
func (w *writer) applyShard(ch *applyChunk, i int, gen uint64) bool {
	s, sh, buf := &ch.shards[i], w.head.Shard(i), w.gate.active.buf
	sh.Lock()
	defer sh.Unlock()
	if s.stale || sh.EvictionsLocked() != s.evictions {
		if _, stale := s.checkLocked(sh, gen, nil); stale > 0 {
			w.wal.Unreserve(s.reserved())
			return false
		}
	}
	if len(s.seriesFrame) > 0 {
		w.wal.Append(i, ch.tenant, log.FrameSeries, s.seriesFrame)
		sh.MarkDefinedLocked(gen, s.undefined)
	}
	if f := &s.floats; len(f.slots) > 0 {
		w.wal.Append(i, ch.tenant, log.FrameSamples, s.floatFrame)
		ch.replaced += sh.AppendFloatsLocked(buf, f.slots, f.ts, f.vs, f.sts)
	}
	if h := &s.hists; len(h.slots) > 0 {
		w.wal.Append(i, ch.tenant, log.FrameHistograms, s.histFrame)
		ch.replaced += sh.AppendHistogramsLocked(buf, h.slots, h.ts, h.sts, h.hs)
	}
	if e := &s.exs; len(e.slots) > 0 {
		w.wal.Append(i, ch.tenant, log.FrameExemplars, s.exFrame)
		if n := sh.AppendExemplarsLocked(buf, e.slots, e.es); n > 0 {
			w.metrics.exemplarsDropped.Add(float64(n))
		}
	}
	return true
}

func (s *shardRows) reserved() int {
	n := 0
	for _, f := range [...][]byte{s.seriesFrame, s.floatFrame, s.histFrame, s.exFrame} {
		if len(f) > 0 {
			n += log.FrameBytes(len(f))
		}
	}
	return n
}
