package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/storage/head"
	"tsdb/storage/log"
)

// pieceSamples bounds how many samples are applied while the gate is held, so
// that a cut never waits for a whole large request.
const pieceSamples = 8192

// headWait bounds how long a writer waits for a full head to be cut.
const headWait = time.Second

// A piece is a part of a batch, sorted by shard. Its columns are what the log
// and the head take; everything about it is made before the gate is entered.
type piece struct {
	shards [model.Shards]shardPiece
	bytes  int // of the frames of its samples

	oldest   int64 // no sample is older
	tenant   uint32
	door     string
	replaced int // values it replaced in the head

	metrics []uint8 // scratch of countLate
}

// shardPiece is what a piece has for one shard.
type shardPiece struct {
	floats floatRows
	hists  histRows
	exs    exemplarRows

	applied   bool     // to log and head
	undefined []uint32 // slots not yet defined in the running generation
	defs      []log.SeriesDef

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
	piece piece
	meta  []byte
}

// apply writes a batch to log and head in pieces and waits until all of it,
// and everything that was in the log before, is durable. Samples too large for
// the log are refused and counted in r.
func (db *DB) apply(ctx context.Context, b *Batch, r *Receipt) error {
	if err := db.acceptsWrites(ctx); err != nil {
		return err
	}
	p := &b.commit.piece
	p.door, p.tenant, p.oldest = b.door, b.tenant, b.oldest
	floats := func(i, j int) { p.addFloats(&b.floats, i, j) }
	hists := func(i, j int) { p.addHistograms(&b.hists, i, j) }
	exs := func(i, j int) { p.addExemplars(&b.exs, i, j) }
	stale := false
	for _, c := range [...]struct {
		n    int
		add  func(i, j int)
		most int
		took *int
	}{
		{len(b.floats.ts), floats, pieceSamples, &r.Floats},
		{len(b.hists.ts), hists, pieceSamples / 16, &r.Histograms},
		{len(b.exs.es), exs, pieceSamples / 4, &r.Exemplars},
	} {
		for i := 0; i < c.n; i += c.most {
			refused, s, err := db.applyRange(ctx, p, c.add, i, min(i+c.most, c.n))
			if err != nil {
				return err
			}
			stale = stale || s
			if refused > 0 {
				*c.took -= refused
				b.rejects.Add(ReasonLimit, "", 0, "sample is too large for the log", refused)
			}
		}
	}
	if err := db.applyMetadata(ctx, b); err != nil {
		return err
	}
	if stale {
		return ErrStaleRef
	}
	// Even a batch that changed nothing waits: it may repeat samples of
	// another request whose frames are not yet on disk.
	return walError(db.wal.Wait(ctx, db.wal.LastLSN()))
}

// applyRange applies the rows i ≤ k < j that add puts into a piece, in halves
// if they are too many bytes at once.
func (db *DB) applyRange(ctx context.Context, p *piece, add func(i, j int), i, j int) (refused int, stale bool, err error) {
	p.reset()
	add(i, j)
	stale, err = db.applyPiece(ctx, p)
	if p.replaced > 0 {
		db.metrics.replaced.WithLabelValues(p.door).Add(float64(p.replaced))
	}
	if !errors.Is(err, log.ErrTooLarge) {
		return 0, stale, err
	}
	if j-i == 1 {
		return 1, false, nil
	}
	m := i + (j-i)/2
	r1, s1, err := db.applyRange(ctx, p, add, i, m)
	if err != nil {
		return r1, s1, err
	}
	r2, s2, err := db.applyRange(ctx, p, add, m, j)
	return r1 + r2, s1 || s2, err
}

func (p *piece) reset() {
	for i := range p.shards {
		s := &p.shards[i]
		f, h, e := &s.floats, &s.hists, &s.exs
		f.refs, f.slots, f.ts, f.vs, f.sts = f.refs[:0], f.slots[:0], f.ts[:0], f.vs[:0], f.sts[:0]
		clear(h.hs)
		h.refs, h.slots, h.ts, h.sts, h.hs = h.refs[:0], h.slots[:0], h.ts[:0], h.sts[:0], h.hs[:0]
		clear(e.es)
		e.refs, e.slots, e.es = e.refs[:0], e.slots[:0], e.es[:0]
		s.applied = false
	}
	p.bytes, p.replaced = 0, 0
}

func (p *piece) addFloats(c *floatColumns, i, j int) {
	starts := len(c.sts) > 0
	for ; i < j; i++ {
		ref := c.refs[i]
		r := &p.shards[ref.Shard()].floats
		r.refs = append(r.refs, ref)
		r.slots = append(r.slots, ref.Slot())
		r.ts = append(r.ts, c.ts[i])
		r.vs = append(r.vs, c.vs[i])
		if starts {
			r.sts = append(r.sts, c.sts[i])
		}
	}
}

func (p *piece) addHistograms(c *histColumns, i, j int) {
	for ; i < j; i++ {
		ref := c.refs[i]
		r := &p.shards[ref.Shard()].hists
		r.refs = append(r.refs, ref)
		r.slots = append(r.slots, ref.Slot())
		r.ts = append(r.ts, c.ts[i])
		r.sts = append(r.sts, c.sts[i])
		r.hs = append(r.hs, c.hs[i])
	}
}

func (p *piece) addExemplars(c *exemplarColumns, i, j int) {
	for ; i < j; i++ {
		ref := c.refs[i]
		r := &p.shards[ref.Shard()].exs
		r.refs = append(r.refs, ref)
		r.slots = append(r.slots, ref.Slot())
		r.es = append(r.es, c.es[i])
	}
}

// encode makes the frames of the piece's samples.
func (p *piece) encode() (err error) {
	for i := range p.shards {
		s := &p.shards[i]
		s.floatFrame, s.histFrame, s.exFrame = s.floatFrame[:0], s.histFrame[:0], s.exFrame[:0]
		if f := &s.floats; len(f.slots) > 0 {
			s.floatFrame = log.AppendSamples(s.floatFrame, f.slots, f.ts, f.vs, f.sts)
			p.bytes += log.FrameBytes(len(s.floatFrame))
		}
		if h := &s.hists; len(h.slots) > 0 {
			if s.histFrame, err = log.AppendHistograms(s.histFrame, h.slots, h.ts, h.sts, h.hs); err != nil {
				return err
			}
			p.bytes += log.FrameBytes(len(s.histFrame))
		}
		if e := &s.exs; len(e.slots) > 0 {
			if s.exFrame, err = log.AppendExemplars(s.exFrame, e.slots, e.es); err != nil {
				return err
			}
			p.bytes += log.FrameBytes(len(s.exFrame))
		}
	}
	return nil
}

// define makes the frames that define the piece's series in generation gen,
// those that are not yet defined in it. It returns their bytes.
func (db *DB) define(p *piece, gen uint64) (bytes int, err error) {
	for i := range p.shards {
		s := &p.shards[i]
		s.undefined, s.seriesFrame = s.undefined[:0], s.seriesFrame[:0]
		if s.empty() {
			continue
		}
		sh := db.head.Shard(i)
		sh.Lock()
		s.undefined, _ = s.checkLocked(sh, gen, s.undefined)
		sh.Unlock()
		if len(s.undefined) == 0 {
			continue
		}
		clear(s.defs)
		s.defs = s.defs[:0]
		db.head.Definitions(i, s.undefined, func(slot, tenant uint32, id model.Identity, ls labels.Labels) {
			s.defs = append(s.defs, log.SeriesDef{Slot: slot, ID: id, Labels: ls})
		})
		if s.seriesFrame, err = log.AppendSeries(s.seriesFrame, s.defs); err != nil {
			return 0, err
		}
		bytes += log.FrameBytes(len(s.seriesFrame))
	}
	return bytes, nil
}

func (s *shardPiece) empty() bool {
	return len(s.floats.refs)+len(s.hists.refs)+len(s.exs.refs) == 0
}

// checkLocked appends to undefined the slots that generation gen does not
// define yet, and counts the refs whose series has left.
func (s *shardPiece) checkLocked(sh *head.Shard, gen uint64, undefined []uint32) ([]uint32, int) {
	stale := 0
	for _, refs := range [...][]model.Ref{s.floats.refs, s.hists.refs, s.exs.refs} {
		var n int
		undefined, n = sh.CheckLocked(gen, refs, undefined)
		stale += n
	}
	return undefined, stale
}

// largest returns the bytes of the largest payload of the piece.
func (p *piece) largest() int {
	n := 0
	for i := range p.shards {
		s := &p.shards[i]
		n = max(n, len(s.seriesFrame), len(s.floatFrame), len(s.histFrame), len(s.exFrame))
	}
	return n
}

// applyPiece appends a piece to log and head. stale reports that the samples of
// a shard were left out because a series of it had left the head.
func (db *DB) applyPiece(ctx context.Context, p *piece) (stale bool, err error) {
	if err := p.encode(); err != nil {
		return false, err
	}
	for {
		gen := db.wal.Generation()
		bytes, err := db.define(p, gen)
		if err != nil {
			return false, err
		}
		bytes += p.bytes
		if p.largest() > db.wal.MaxPayload() {
			return false, log.ErrTooLarge
		}
		if err := db.wal.Reserve(ctx, bytes); err != nil {
			return false, walError(err)
		}
		if current, stale := db.applyGated(p, gen); current {
			return stale, nil
		}
		// A cut came between: the definitions belong to the generation before
		// it.
		db.wal.Unreserve(bytes)
	}
}

// applyGated appends a piece to log and head if gen is still the running
// generation.
func (db *DB) applyGated(p *piece, gen uint64) (current, stale bool) {
	db.gate.RLock()
	defer db.gate.RUnlock() // also after a panic: every cut would wait for it
	if db.wal.Generation() != gen {
		return false, false
	}
	for i := range p.shards {
		if s := &p.shards[i]; !s.empty() {
			s.applied = db.applyShard(p, i, gen)
			stale = stale || !s.applied
		}
	}
	db.countLate(p)
	return true, stale
}

// countLate counts the samples of an applied piece that come late enough to
// change answers that were kept. What comes in time costs one comparison a
// piece. The caller holds the gate, so that the series are still in their slots.
func (db *DB) countLate(p *piece) {
	before := db.changes.uncounted()
	if p.oldest >= before {
		return
	}
	for i := range p.shards {
		s := &p.shards[i]
		if !s.applied {
			continue
		}
		sh := db.head.Shard(i)
		p.metrics = sh.Metrics(s.floats.slots, p.metrics[:0])
		db.changes.addSamples(s.floats.ts, p.metrics, before)
		p.metrics = sh.Metrics(s.hists.slots, p.metrics[:0])
		db.changes.addSamples(s.hists.ts, p.metrics, before)
	}
}

// applyShard appends one shard's part of a piece under the shard's lock, so
// that the head's order is the log's. The caller holds the gate's read side and
// has reserved the bytes. It does nothing and returns false if a series has
// left meanwhile.
func (db *DB) applyShard(p *piece, i int, gen uint64) bool {
	s, sh, buf := &p.shards[i], db.head.Shard(i), db.active.buf
	sh.Lock()
	defer sh.Unlock()
	defined := len(s.undefined)
	_, stale := s.checkLocked(sh, gen, s.undefined)
	if stale > 0 {
		db.wal.Unreserve(s.reserved())
		return false
	}
	if len(s.seriesFrame) > 0 {
		db.wal.Append(i, p.tenant, log.FrameSeries, s.seriesFrame)
		sh.MarkDefinedLocked(gen, s.undefined[:defined])
	}
	if f := &s.floats; len(f.slots) > 0 {
		db.wal.Append(i, p.tenant, log.FrameSamples, s.floatFrame)
		p.replaced += sh.AppendFloatsLocked(buf, f.slots, f.ts, f.vs, f.sts)
	}
	if h := &s.hists; len(h.slots) > 0 {
		db.wal.Append(i, p.tenant, log.FrameHistograms, s.histFrame)
		p.replaced += sh.AppendHistogramsLocked(buf, h.slots, h.ts, h.sts, h.hs)
	}
	if e := &s.exs; len(e.slots) > 0 {
		db.wal.Append(i, p.tenant, log.FrameExemplars, s.exFrame)
		if n := sh.AppendExemplarsLocked(buf, e.slots, e.es); n > 0 {
			db.metrics.exemplarsDropped.Add(float64(n))
		}
	}
	return true
}

func (s *shardPiece) reserved() int {
	n := 0
	for _, f := range [...][]byte{s.seriesFrame, s.floatFrame, s.histFrame, s.exFrame} {
		if len(f) > 0 {
			n += log.FrameBytes(len(f))
		}
	}
	return n
}

// acceptsWrites waits for a full head to be cut, for a bounded time, and
// reports why writes are not taken at the moment.
func (db *DB) acceptsWrites(ctx context.Context) error {
	if err := db.wal.Err(); err != nil {
		return walError(err)
	}
	if why := db.space.refusal(); why != "" {
		return fmt.Errorf("%w: %s", ErrBusy, why)
	}
	return awaitCut(ctx, db.headFull, db.cutDone, func() <-chan time.Time {
		db.kickCut()
		return db.opts.Clock.After(headWait)
	})
}
