package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
	"tsdb/storage/log"
)

// Delete removes the samples of a range from the series of a tenant that match
// all matchers. When it returns nil the deletion is durable and no view taken
// from now on shows the samples; blocks are rewritten by later merges. What is
// written after the call, to the same keys too, stays.
//
// In every shard the tombstone has its place in the order of the log: it takes
// out of the active head what came before it. Blocks and the frozen head are
// covered by their generations, which are lower than the active one.
//
// A deletion that log or MANIFEST could not hold is refused with
// ErrDeleteTooLarge before anything is done.
func (db *DB) Delete(ctx context.Context, tenant uint32, tr model.TimeRange, ms ...*labels.Matcher) error {
	return db.writer.delete(ctx, tenant, tr, ms)
}

func (w *writer) delete(ctx context.Context, tenant uint32, tr model.TimeRange, ms []*labels.Matcher) error {
	if len(ms) == 0 || tr.Empty() {
		return fmt.Errorf("delete needs a matcher and a range, got %d matchers and [%d, %d)", len(ms), tr.Min, tr.Max)
	}
	compiled, err := match.Compiled(ms)
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	frame, err := log.AppendTombstone(nil, log.Tombstone{Matchers: ms, Range: tr})
	if errors.Is(err, log.ErrTooLarge) {
		return fmt.Errorf("delete: %w: %w", ErrDeleteTooLarge, err)
	} else if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if limit := min(w.wal.MaxPayload(), w.wal.MaxReserve()/model.Shards-log.FrameBytes(1)); len(frame) > limit {
		return fmt.Errorf("delete: %w: %d matchers take %d bytes, a frame of the log holds %d", ErrDeleteTooLarge, len(ms), len(frame), limit)
	}
	if held := w.tombstoneBytes(); held+int64(len(frame)) > maxTombstoneBytes {
		return fmt.Errorf("delete: %w: %d bytes of matchers, deletions not yet carried out have %d, together at most %d: merges make room",
			ErrDeleteTooLarge, len(frame), held, maxTombstoneBytes)
	}
	done, err := w.wal.ReserveDelete(ctx, model.Shards*log.FrameBytes(len(frame)))
	if err != nil {
		return walError(err)
	}
	defer done()
	w.applyTombstone(tenant, ms, compiled, tr, frame)
	return walError(w.wal.Wait(ctx, w.wal.LastLSN()))
}

// ErrDeleteTooLarge is returned by Delete for matchers that are too many or too
// long.
var ErrDeleteTooLarge = errors.New("deletion is too large")

// maxTombstoneBytes bounds the matchers of all deletions that are not carried
// out yet: every snapshot of the MANIFEST repeats them.
const maxTombstoneBytes = 64 << 20

// tombstoneBytes returns the bytes of the matchers of all deletions.
func (w *writer) tombstoneBytes() int64 {
	st := w.views.pin()
	if st == nil {
		return 0
	}
	defer w.views.release(st)
	n := int64(0)
	for _, t := range st.tombstones {
		for _, m := range t.Matchers {
			n += int64(len(m.Name) + len(m.Value))
		}
	}
	return n
}

// applyTombstone holds the gate's read side throughout, so that no cut comes
// between the shards.
func (w *writer) applyTombstone(tenant uint32, ms []*labels.Matcher, compiled []*match.Matcher, tr model.TimeRange, frame []byte) {
	w.gate.RLock()
	defer w.gate.RUnlock()
	for i := range model.Shards {
		sh := w.head.Shard(i)
		sh.Lock()
		w.wal.Append(i, tenant, log.FrameTombstone, frame)
		sh.DeleteLocked(w.gate.active.buf, tenant, compiled, tr)
		sh.Unlock()
	}
	t := w.tombstones.add(tenant, ms, tr, w.wal.Generation())
	w.views.change(func(s *state) { s.tombstones = append(slices.Clip(s.tombstones), t) })
	w.changes.addRange(tr, model.MetricsOf(ms))
}

// pendingTombstones are the deletions that no edit has recorded yet: they are
// in the log.
type pendingTombstones struct {
	mu   sync.Mutex
	last uint64 // highest ID in use
	list []manifest.Tombstone
}

func (p *pendingTombstones) add(tenant uint32, ms []*labels.Matcher, tr model.TimeRange, gen uint64) manifest.Tombstone {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	t := manifest.Tombstone{ID: p.last, Tenant: tenant, Matchers: ms, Range: tr, Gen: gen}
	p.list = append(p.list, t)
	return t
}

// replayed adds a tombstone of the log, which has it once for every shard.
func (p *pendingTombstones) replayed(tenant uint32, t log.Tombstone, gen uint64) {
	p.mu.Lock()
	same := slices.ContainsFunc(p.list, func(o manifest.Tombstone) bool {
		return o.Tenant == tenant && o.Gen == gen && o.Range == t.Range && slices.EqualFunc(o.Matchers, t.Matchers,
			func(a, b *labels.Matcher) bool { return a.Type == b.Type && a.Name == b.Name && a.Value == b.Value })
	})
	p.mu.Unlock()
	if !same {
		p.add(tenant, t.Matchers, t.Range, gen)
	}
}

// upTo returns the deletions of generations up to gen, which a cut records.
func (p *pendingTombstones) upTo(gen uint64) []manifest.Tombstone {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.list), func(t manifest.Tombstone) bool { return t.Gen > gen })
}

// recorded forgets the deletions of generations up to gen: an edit has them.
func (p *pendingTombstones) recorded(gen uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = slices.DeleteFunc(p.list, func(t manifest.Tombstone) bool { return t.Gen <= gen })
}

// all returns every deletion a state must know: those of edits and those that
// are pending.
func (p *pendingTombstones) all(recorded []manifest.Tombstone) []manifest.Tombstone {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(slices.Clone(recorded), p.list...)
}

// frozenDeletion is a tombstone that covers the frozen head.
type frozenDeletion struct {
	ms []*match.Matcher
	tr model.TimeRange
}

// frozenDeletions returns the tombstones of a tenant that cover the frozen head.
func (s *state) frozenDeletions(tenant uint32) ([]frozenDeletion, error) {
	if s.frozen == nil {
		return nil, nil
	}
	var all []frozenDeletion
	for i := range s.tombstones {
		t := &s.tombstones[i]
		if t.Gen <= s.frozen.Generation() || t.Tenant != tenant {
			continue
		}
		ms, err := match.Compiled(t.Matchers)
		if err != nil {
			return nil, err
		}
		all = append(all, frozenDeletion{ms, t.Range})
	}
	return all, nil
}

// deletedOf returns the ranges that are deleted of a series.
func deletedOf(ds []frozenDeletion, ls labels.Labels) block.DeletedRanges {
	var ranges block.DeletedRanges
	for _, d := range ds {
		if match.All(d.ms, ls) {
			ranges = ranges.Add(d.tr)
		}
	}
	return ranges
}
