package storage

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/manifest"
	"tsdb/storage/head"
	"tsdb/storage/log"
)

// maxExemplars bounds the exemplars of a series in one cut: about half an hour
// at one a scrape.
const maxExemplars = 128

// replayWorkers is the number of goroutines that replay the log; shards are
// dealt out among them.
const replayWorkers = 4

// replayDoor is the replay of the log as a door in the rejection metrics.
const replayDoor = "replay"

// replayer makes a head of the frames of the log, one generation after the other.
// Frames of different shards come concurrently, those of one shard in order. No
// limit and no retention applies: samples in the log have been acknowledged. But
// samples that no door accepts any more, because they would stand in the way of
// others, are left out: times that no sample can have, histograms that cannot be
// added up.
type replayer struct {
	head       *head.Head
	seed       uint64 // of identities
	active     *memtable
	tombstones *pendingTombstones
	now        time.Time

	deletions map[uint64]bool // that count in the generation
	seen      struct {        // deletions of the generation: each is there once for every shard
		sync.Mutex
		payloads map[string]bool
	}

	shards                 [model.Shards]replayShard
	frames                 atomic.Uint64 // of the generation
	samples, series, lost  atomic.Uint64
	badTime, badHistograms atomic.Uint64
}

// replayShard maps the slots of the generation being replayed to those of the
// head.
type replayShard struct {
	refs  []model.Ref // by the generation's slot; 0 = not defined
	cols  log.SampleColumns
	hists log.HistogramColumns
	exs   log.ExemplarColumns
	kept  []int // scratch

	cursor  head.Cursor
	builder labels.ScratchBuilder
	text    []byte // scratch
}

// newReplayer returns a replayer with an empty head, whose active memtable gets
// generation gen unless the log has lower ones.
func newReplayer(st *manifest.State, gen uint64) *replayer {
	r := &replayer{
		head:       head.New(head.Options{IdentitySeed: st.Seed, ExemplarsMax: maxExemplars}),
		seed:       st.Seed,
		tombstones: &pendingTombstones{},
	}
	r.active = &memtable{buf: r.head.NewBuffer(gen), low: gen}
	for _, t := range st.Tombstones {
		r.tombstones.last = max(r.tombstones.last, t.ID)
	}
	// A new deletion must not look like one that a rollup has applied already,
	// also if that one has left.
	for _, c := range st.Coverage {
		r.tombstones.last = max(r.tombstones.last, c.Tombstone)
	}
	return r
}

// replay applies the generations from low on; lower ones are in blocks, and their
// segments leave with the next release.
func (r *replayer) replay(ctx context.Context, rec log.Recovery, low uint64) error {
	for _, gen := range rec.Generations() {
		if gen < low {
			continue
		}
		r.begin()
		r.deletions = rec.Deletions(gen)
		if err := rec.Replay(ctx, gen, replayWorkers, r.apply); err != nil {
			return fmt.Errorf("replay of generation %d: %w", gen, err)
		}
		if r.frames.Load() > 0 { // other generations hold only the log's own frames
			r.active.low, r.active.high = min(r.active.low, gen), gen
		}
	}
	return nil
}

func (r *replayer) begin() {
	r.frames.Store(0)
	r.seen.payloads = make(map[string]bool)
	for i := range r.shards {
		clear(r.shards[i].refs)
	}
}

func (r *replayer) apply(shard int, f log.Frame) error {
	r.frames.Add(1)
	s, buf := &r.shards[shard], r.active.buf
	switch f.Type {
	case log.FrameSeries:
		return r.define(shard, f)
	case log.FrameSamples:
		c := &s.cols
		if err := log.DecodeSamples(f.Payload, c); err != nil {
			return err
		}
		kept := r.keep(s, c.Slots, func(i int) bool { return r.timeOK(c.T[i]) })
		c.Slots, c.T, c.V, c.ST = rows(c.Slots, kept), rows(c.T, kept), rows(c.V, kept), rows(c.ST, kept)
		sh := r.head.Shard(shard)
		sh.Lock()
		defer sh.Unlock()
		sh.AppendFloatsLocked(buf, c.Slots, c.T, c.V, c.ST)
	case log.FrameHistograms:
		c := &s.hists
		if err := log.DecodeHistograms(f.Payload, c); err != nil {
			return err
		}
		kept := r.keep(s, c.Slots, func(i int) bool { return r.timeOK(c.T[i]) && r.histogramOK(c.H[i]) })
		c.Slots, c.T, c.H, c.ST = rows(c.Slots, kept), rows(c.T, kept), rows(c.H, kept), rows(c.ST, kept)
		sh := r.head.Shard(shard)
		sh.Lock()
		defer sh.Unlock()
		sh.AppendHistogramsLocked(buf, c.Slots, c.T, c.ST, c.H)
	case log.FrameExemplars:
		c := &s.exs
		if err := log.DecodeExemplars(f.Payload, c); err != nil {
			return err
		}
		kept, _ := s.resolve(c.Slots, func(i int) bool { return model.ValidTime(c.E[i].T) })
		c.Slots, c.E = rows(c.Slots, kept), rows(c.E, kept)
		sh := r.head.Shard(shard)
		sh.Lock()
		defer sh.Unlock()
		sh.AppendExemplarsLocked(buf, c.Slots, c.E)
	case log.FrameTombstone:
		t, err := log.DecodeTombstone(f.Payload)
		if err != nil {
			return err
		}
		return r.delete(shard, f, t)
	case log.FrameDeletion:
		number, t, err := log.DecodeDeletion(f.Payload)
		if err != nil || !r.deletions[number] {
			return err // without its end it was not acknowledged, and does not count
		}
		return r.delete(shard, f, t)
	case log.FrameMetadata:
		return log.DecodeMetadata(f.Payload, func(metric string, m model.Metadata) error {
			r.active.metadata.set(f.Tenant, metric, m)
			r.head.SetMetadata(f.Tenant, metric, m)
			return nil
		})
	}
	return nil
}

// delete applies a shard's frame of a deletion.
func (r *replayer) delete(shard int, f log.Frame, t log.Tombstone) error {
	ms, err := match.Compiled(t.Matchers)
	if err != nil {
		return err
	}
	key := string(binary.AppendUvarint(nil, uint64(f.Tenant))) + string(f.Payload)
	r.seen.Lock()
	if !r.seen.payloads[key] {
		r.seen.payloads[key] = true
		r.tombstones.replayed(f.Tenant, t.Matchers, t.Range, f.Generation, r.now)
	}
	r.seen.Unlock()
	head.NewDeletion(f.Tenant, ms, t.Range).Apply(r.head.Shard(shard), r.active.buf, nil)
	return nil
}

// keep resolves the slots of samples, counts them and returns the rows to keep.
func (r *replayer) keep(s *replayShard, slots []uint32, ok func(i int) bool) []int {
	kept, lost := s.resolve(slots, ok)
	r.samples.Add(uint64(len(kept)))
	r.lost.Add(uint64(lost))
	return kept
}

// resolve turns the generation's slots into those of the head, in place, and
// returns the rows to keep, valid until the next call. Rows without a definition
// are lost; others are kept if ok.
func (s *replayShard) resolve(slots []uint32, ok func(i int) bool) (kept []int, lost int) {
	kept = s.kept[:0]
	for i, slot := range slots {
		if int(slot) >= len(s.refs) || s.refs[slot] == 0 {
			lost++
			continue
		}
		if ok(i) {
			slots[i] = s.refs[slot].Slot()
			kept = append(kept, i)
		}
	}
	s.kept = kept
	return kept, lost
}

// rows compacts a column to the rows kept, which rise, in place. A column that a
// frame does not have is empty and stays so.
func rows[T any](column []T, kept []int) []T {
	if len(column) == 0 || len(column) == len(kept) {
		return column
	}
	for to, from := range kept {
		column[to] = column[from]
	}
	return column[:len(kept)]
}

// report adds the counts of samples that were replayed, lost and left out.
func (r *replayer) report(report *RecoveryReport, m *metrics) {
	report.Samples, report.Series, report.LostSamples = r.samples.Load(), r.series.Load(), r.lost.Load()
	m.lostSamples.Add(float64(report.LostSamples))
	var all Rejections
	for _, x := range [...]struct {
		reason Reason
		n      uint64
		detail string
	}{
		{ReasonBadTime, r.badTime.Load(), fmt.Sprintf("their times are not between %s and %s", model.FormatTime(model.MinTime), model.FormatTime(model.MaxTime))},
		{ReasonBadHistogram, r.badHistograms.Load(), "the indexes of their buckets are out of bounds, or the zero threshold is NaN"},
	} {
		if x.n > 0 {
			all.Add(x.reason, "", 0, x.detail, int(x.n))
			m.rejected.WithLabelValues(replayDoor, string(x.reason)).Add(float64(x.n))
		}
	}
	report.Refused = all.List()
}

func (r *replayer) timeOK(t int64) bool {
	if !model.ValidTime(t) {
		r.badTime.Add(1)
		return false
	}
	return true
}

func (r *replayer) histogramOK(h model.Histogram) bool {
	if h.CheckLayout() != nil {
		r.badHistograms.Add(1)
		return false
	}
	return true
}

// define takes the definitions of a frame over into the head. Their identities are
// those in the log if that of the first one is right, and computed otherwise: then the
// log was written with another seed.
func (r *replayer) define(shard int, f log.Frame) error {
	s, sh := &r.shards[shard], r.head.Shard(shard)
	sh.Lock()
	defer sh.Unlock()
	s.cursor.Reset()
	defined, logged := uint64(0), false
	err := log.DecodeDefinitions(f.Payload, func(d *log.Definition) error {
		if d.Slot >= model.MaxSlots {
			return fmt.Errorf("definition of slot %d: %w", d.Slot, log.ErrCorrupt)
		}
		id := d.ID
		if defined == 0 || !logged {
			id, s.text = model.IdentityOf(r.seed, f.Tenant, d.Build(&s.builder), s.text[:0])
			logged = id == d.ID
		}
		if id.Shard() != shard {
			return fmt.Errorf("definition of %s in shard %d of the log: the identity seed of this MANIFEST puts it in shard %d, so the log is another database's: %w",
				d.Build(&s.builder), shard, id.Shard(), log.ErrCorrupt)
		}
		ref := sh.RestoreLocked(&s.cursor, f.Tenant, id, d.Labels, d.Same)
		if ref == 0 {
			return fmt.Errorf("replay: the head has no free slot (the limit is %d a shard) or no memory for labels: %s", model.MaxSlots, d.Build(&s.builder))
		}
		if n := int(d.Slot) + 1; n > len(s.refs) {
			s.refs = append(s.refs, make([]model.Ref, n+n/2-len(s.refs))...)
		}
		s.refs[d.Slot] = ref
		defined++
		return nil
	})
	r.series.Add(defined)
	return err
}
