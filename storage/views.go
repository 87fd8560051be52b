package storage

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"tsdb/internal/model"
	"tsdb/partition/manifest"
	"tsdb/storage/head"
)

// views owns the present state and counts its readers. Writer, flusher
// and catalog replace the state; readers pin it.
//
// Lock order: changing, mu. Nothing is locked under mu.
type views struct {
	head       *head.Head
	tombstones *pendingTombstones

	tiers atomic.Pointer[tiersOfState] // see View.Tiers

	changing sync.Mutex // one change at a time
	mu       struct {
		sync.Mutex
		state *state // nil before the first publish and after close
		// buffers counts the states that name a buffer.
		buffers map[*head.Buffer]int
	}
}

func newViews(h *head.Head, tombstones *pendingTombstones) *views {
	v := &views{head: h, tombstones: tombstones}
	v.mu.buffers = make(map[*head.Buffer]int)
	return v
}

// pin returns the present state, nil after close. It stays valid until release.
func (v *views) pin() *state {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.mu.state != nil {
		v.mu.state.refs++
	}
	return v.mu.state
}

// publish replaces the present state. It owns the reference to next.blocks.
func (v *views) publish(next *state) {
	v.mu.Lock()
	prev := v.mu.state
	next.refs = 1
	for _, b := range next.buffers() {
		v.mu.buffers[b]++
	}
	v.mu.state = next
	v.mu.Unlock()
	if prev != nil {
		v.release(prev)
	}
}

// change publishes a copy of the present state that edit has changed.
func (v *views) change(edit func(*state)) {
	v.changing.Lock()
	defer v.changing.Unlock()
	v.mu.Lock()         // refs changes
	next := *v.mu.state // replaced only under changing
	v.mu.Unlock()
	blocks := next.blocks
	edit(&next)
	if next.blocks == blocks {
		next.blocks = blocks.Retain()
	}
	v.publish(&next)
}

// release drops a reference to a state, and with the last one the buffers and
// blocks that no other state names.
func (v *views) release(s *state) {
	v.mu.Lock()
	s.refs--
	last := s.refs == 0
	var unused []*head.Buffer
	if last {
		for _, b := range s.buffers() {
			if v.mu.buffers[b]--; v.mu.buffers[b] == 0 {
				delete(v.mu.buffers, b)
				unused = append(unused, b)
			}
		}
	}
	v.mu.Unlock()
	if !last {
		return
	}
	for _, b := range unused {
		b.Release()
	}
	s.blocks.Release()
}

// close drops the present state; pinned ones stay valid.
func (v *views) close() {
	v.mu.Lock()
	st := v.mu.state
	v.mu.state = nil
	v.mu.Unlock()
	if st != nil {
		v.release(st)
	}
}

// floor returns the recorded retention floor, Unix milliseconds.
func (v *views) floor() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.mu.state == nil {
		return manifest.NoFloor
	}
	return v.mu.state.floor
}

// highestFloor returns the recorded floor above which samples of every series are kept,
// Unix milliseconds.
func (v *views) highestFloor() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch st := v.mu.state; {
	case st == nil:
		return manifest.NoFloor
	case st.rules != nil:
		return max(st.floor, st.rules.highest)
	default:
		return st.floor
	}
}

// recordedRules returns the floors of retention rules and that of all series.
func (v *views) recordedRules() (rules *ruleFloors, floor int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.mu.state == nil {
		return nil, manifest.NoFloor
	}
	return v.mu.state.rules, v.mu.state.floor
}

// oldestInHead returns the time of the oldest sample in a buffer, Unix milliseconds,
// math.MaxInt64 if there is none.
func (v *views) oldestInHead() int64 {
	oldest := int64(math.MaxInt64)
	st := v.pin()
	if st == nil {
		return oldest
	}
	defer v.release(st)
	for _, b := range st.buffers() {
		if s := b.Stats(); s.Samples > 0 {
			oldest = min(oldest, s.MinTime)
		}
	}
	return oldest
}

// concerns reports whether a buffer may have a sample in a range, or a deletion of
// samples of generation gen there, recorded or not.
func (v *views) concerns(tr model.TimeRange, gen uint64) bool {
	st := v.pin()
	if st == nil {
		return true
	}
	defer v.release(st)
	return len(st.buffersIn(tr)) > 0 || slices.ContainsFunc(st.tombstones, func(t manifest.Tombstone) bool {
		return t.Gen > gen && t.Range.Overlaps(tr)
	})
}

// isCutting reports whether there is a frozen buffer.
func (v *views) isCutting() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.mu.state != nil && v.mu.state.frozen != nil
}

// headStatus adds up the buffers of the present state.
func (v *views) headStatus() HeadStatus {
	st := v.pin()
	if st == nil {
		return HeadStatus{}
	}
	defer v.release(st)
	var h HeadStatus
	for _, b := range st.buffers() {
		s := b.Stats()
		h.Series = max(h.Series, uint64(s.Series))
		h.Samples += uint64(s.Samples)
		h.Bytes += s.Bytes
	}
	h.TableBytes = v.head.Stats().Bytes
	return h
}
