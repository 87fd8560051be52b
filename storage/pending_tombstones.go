package storage

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// pendingTombstones are the deletions that no edit has recorded yet: they are in the
// log. Many small ones are combined.
//
// Lock order: mu is a leaf.
type pendingTombstones struct {
	mu    sync.Mutex
	last  uint64 // highest ID in use
	list  []manifest.Tombstone
	fresh int       // at the end of list, since it was combined
	since time.Time // when the oldest was made; zero if there is none

	compiled map[uint64][]*match.Matcher // of tombstones in list, by ID; made when needed
}

// combineEvery is the number of deletions after which pending ones are combined. Each
// time, the series of the results are looked up in the blocks again.
const combineEvery = 64

// add adds a deletion, which the log has, and publishes it.
func (p *pendingTombstones) add(v *views, tenant uint32, ms []*labels.Matcher, tr model.TimeRange, gen uint64, now time.Time) {
	p.mu.Lock()
	before := slices.Clone(p.list)
	p.addLocked(tenant, ms, tr, gen, now)
	if p.fresh >= combineEvery {
		p.combineLocked()
	}
	after := slices.Clone(p.list)
	p.mu.Unlock()
	v.change(func(s *state) { s.tombstones = replaceTombstones(s.tombstones, before, after) })
}

func (p *pendingTombstones) addLocked(tenant uint32, ms []*labels.Matcher, tr model.TimeRange, gen uint64, now time.Time) {
	p.list = append(p.list, manifest.Tombstone{ID: p.nextLocked(), Tenant: tenant, Matchers: ms, Range: tr, Gen: gen})
	p.fresh++
	if p.since.IsZero() {
		p.since = now
	}
}

func (p *pendingTombstones) nextLocked() uint64 {
	p.last++
	return p.last
}

// combineLocked combines the tombstones. IDs rise with generations afterwards too: a
// rollup that has applied the deletions of an edit names the highest ID, and those of
// later edits must be above it.
func (p *pendingTombstones) combineLocked() {
	p.list = manifest.Combine(p.list, p.nextLocked)
	slices.SortStableFunc(p.list, func(a, b manifest.Tombstone) int { return cmp.Compare(a.Gen, b.Gen) })
	for i := 1; i < len(p.list); i++ {
		if p.list[i].ID < p.list[i-1].ID {
			p.list[i].ID = p.nextLocked()
		}
	}
	p.fresh = 0
	clear(p.compiled)
}

// replaceTombstones returns the tombstones of a state with those of before replaced by
// those of after. An edit may have done so already.
func replaceTombstones(list, before, after []manifest.Tombstone) []manifest.Tombstone {
	old := make(map[uint64]bool, len(before)+len(after))
	for _, ts := range [...][]manifest.Tombstone{before, after} {
		for i := range ts {
			old[ts[i].ID] = true
		}
	}
	kept := make([]manifest.Tombstone, 0, len(list)+1)
	for _, t := range list {
		if !old[t.ID] {
			kept = append(kept, t)
		}
	}
	return append(kept, after...)
}

// room returns an error if there is no room for n more deletions whose matchers take
// the given bytes.
func (p *pendingTombstones) room(v *views, n int, bytes int64) error {
	u := v.tombstoneUse()
	if u.Bytes+bytes > maxTombstoneBytes {
		return fmt.Errorf("delete: %w: %d bytes of matchers, deletions not yet carried out have %d, together at most %d: merges make room, at once with POST /api/v1/admin/tsdb/clean_tombstones",
			ErrDeleteTooLarge, bytes, u.Bytes, maxTombstoneBytes)
	}
	if u.Live+n > maxTombstones+combineEvery {
		return fmt.Errorf("delete: %w: %d are, at most %d may be: merges carry them out, at once with POST /api/v1/admin/tsdb/clean_tombstones; selectors that differ in the value of one label, or in times that touch, count once",
			ErrTooManyDeletions, u.Live, maxTombstones)
	}
	return nil
}

// tombstoneUse returns how many deletions the present state knows.
func (v *views) tombstoneUse() DeletionStatus {
	u := DeletionStatus{Limit: maxTombstones, BytesLimit: maxTombstoneBytes}
	st := v.pin()
	if st == nil {
		return u
	}
	defer v.release(st)
	low := st.blocks.State().WALLow
	for i := range st.tombstones {
		u.Live++
		u.Bytes += st.tombstones[i].Bytes()
		if st.tombstones[i].Gen >= low {
			u.Unrecorded++
		}
	}
	return u
}

// replayed adds the deletions of the log.
func (p *pendingTombstones) replayed(tenant uint32, ms []*labels.Matcher, tr model.TimeRange, gen uint64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addLocked(tenant, ms, tr, gen, now)
	if p.fresh >= combineEvery {
		p.combineLocked()
	}
}

// upTo returns the deletions of generations up to gen, which a cut records.
func (p *pendingTombstones) upTo(gen uint64) []manifest.Tombstone {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fresh > 0 {
		p.combineLocked()
	}
	return slices.DeleteFunc(slices.Clone(p.list), func(t manifest.Tombstone) bool { return t.Gen > gen })
}

// recorded forgets the deletions of generations up to gen: an edit has them.
func (p *pendingTombstones) recorded(gen uint64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = slices.DeleteFunc(slices.Clone(p.list), func(t manifest.Tombstone) bool { return t.Gen <= gen })
	p.fresh = min(p.fresh, len(p.list))
	clear(p.compiled)
	p.since = now
	if len(p.list) == 0 {
		p.since = time.Time{}
	}
}

// all returns every deletion a state must know: those of edits and those that
// are pending.
func (p *pendingTombstones) all(recorded []manifest.Tombstone) []manifest.Tombstone {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(slices.Clone(recorded), p.list...)
}

// age returns for how long a deletion has waited to be recorded, 0 if none does.
func (p *pendingTombstones) age(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) == 0 {
		return 0
	}
	return now.Sub(p.since)
}

// any reports whether a deletion waits to be recorded.
func (p *pendingTombstones) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.list) > 0
}

// matchers returns the compiled matchers of a tombstone.
func (p *pendingTombstones) matchers(t *manifest.Tombstone) ([]*match.Matcher, error) {
	p.mu.Lock()
	ms := p.compiled[t.ID]
	p.mu.Unlock()
	if ms != nil {
		return ms, nil
	}
	ms, err := match.Compiled(t.Matchers)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.compiled == nil || len(p.compiled) > maxTombstones {
		p.compiled = make(map[uint64][]*match.Matcher)
	}
	p.compiled[t.ID] = ms
	return ms, nil
}

// frozenDeletion is a tombstone that covers the frozen head.
type frozenDeletion struct {
	ms []*match.Matcher
	tr model.TimeRange
}

// frozenDeletions returns the tombstones of a tenant that cover the frozen head.
func (v *views) frozenDeletions(s *state, tenant uint32) ([]frozenDeletion, error) {
	if s.frozen == nil {
		return nil, nil
	}
	var all []frozenDeletion
	for i := range s.tombstones {
		t := &s.tombstones[i]
		if t.Gen <= s.frozen.Generation() || t.Tenant != tenant {
			continue
		}
		ms, err := v.tombstones.matchers(t)
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
