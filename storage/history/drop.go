package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// MayKeep implements blockset.Keeper.
func (s *Store) MayKeep(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.pins[name]) > 0
}

// Keep implements blockset.Keeper.
func (s *Store) Keep(_ context.Context, b block.Info) (bool, error) {
	s.io.Lock()
	defer s.io.Unlock()
	s.mu.Lock()
	pinned := s.mu.pins.has(b)
	s.mu.Unlock()
	if !pinned {
		return false, nil
	}
	key := keyOf(b)
	if err := s.makeDirLocked(path.Dir(key)); err != nil {
		return false, err
	}
	err := s.fs.Rename(path.Join(s.dir, b.Name), path.Join(s.dir, key))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // it is missing: the marks lack it too
	} else if err != nil {
		return false, err
	}
	s.mu.Lock()
	if _, held := s.mu.held[key]; !held {
		s.mu.held[key] = b.Size
		s.mu.bytes += b.Size
	}
	s.mu.Unlock()
	// The new name first: a file with none would be lost, one with both is moved again.
	for _, d := range []string{path.Dir(key), path.Dir(b.Name)} {
		if err := s.fs.SyncDir(path.Join(s.dir, d)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Tidy drops the groups that are older than history is kept, deletes the files that none
// pins any more, and forgets purges that concern no mark.
func (s *Store) Tidy(now time.Time) error {
	s.io.Lock()
	defer s.io.Unlock()
	oldest := now.UnixMilli() - s.o.Keep.Milliseconds()
	var errs []error
	for {
		g := s.expired(oldest)
		if g == nil {
			break
		}
		if _, err := s.dropLocked(g); err != nil {
			errs = append(errs, err)
			break
		}
		s.o.Log.Info("marks of the history have expired", "marks", len(g.marks), "from_ms", g.wallMs, "to_ms", g.lastMs())
	}
	s.deleteUnpinned()
	errs = append(errs, s.forgetPurgesLocked())
	return errors.Join(errs...)
}

// expired returns the oldest group if it can leave: the mark after its last one is so old
// that no time is asked for any more which the group would answer.
func (s *Store) expired(oldest int64) *group {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.groups) == 0 {
		return nil
	}
	g := s.mu.groups[0]
	if len(s.mu.groups) > 1 && s.mu.groups[1].wallMs <= oldest || g.lastMs() < oldest {
		return g
	}
	return nil
}

// GiveUp drops the oldest group, to make room. It returns the bytes that this frees and the
// number of marks; ok is false if there is no group.
func (s *Store) GiveUp() (freed int64, marks int, ok bool, err error) {
	s.io.Lock()
	defer s.io.Unlock()
	s.mu.Lock()
	if len(s.mu.groups) == 0 {
		s.mu.Unlock()
		return 0, 0, false, nil
	}
	g := s.mu.groups[0]
	s.mu.Unlock()
	if freed, err = s.dropLocked(g); err != nil {
		return freed, 0, true, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.givenUp += uint64(len(g.marks))
	return freed, len(g.marks), true, nil
}

// dropAll drops all groups.
func (s *Store) dropAll() error {
	s.io.Lock()
	defer s.io.Unlock()
	for len(s.mu.groups) > 0 {
		if _, err := s.dropLocked(s.mu.groups[0]); err != nil {
			return err
		}
	}
	return nil
}

// dropLocked removes the file of a group, the oldest, and then the blocks that only it
// pins. It returns the bytes of these.
func (s *Store) dropLocked(g *group) (freed int64, err error) {
	if s.io.current == g {
		_ = s.endGroupLocked() // all that was written is synced
	}
	if err := s.fs.Remove(path.Join(s.dir, marksDir, g.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("drop marks of the history: %w", err)
	}
	s.mu.Lock()
	s.mu.groups = slices.DeleteFunc(s.mu.groups, func(o *group) bool { return o == g })
	s.mu.pins.drop(g.first)
	before := s.mu.bytes
	s.mu.Unlock()
	if err := s.fs.SyncDir(path.Join(s.dir, marksDir)); err != nil {
		return 0, fmt.Errorf("drop marks of the history: %w", err)
	}
	s.deleteUnpinned()
	s.mu.Lock()
	defer s.mu.Unlock()
	return before - s.mu.bytes, nil
}

// deleteUnpinned deletes the blocks that history has and no mark pins, unless the marks of a
// damaged group may. One that cannot be deleted is tried again by the next Tidy.
func (s *Store) deleteUnpinned() {
	var gone []string
	for _, key := range s.unpinned() {
		if err := s.fs.Remove(path.Join(s.dir, key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.o.Log.Warn("a block that the history needs no more cannot be deleted", "file", key, "err", err)
			continue
		}
		gone = append(gone, key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range gone {
		s.mu.bytes -= s.mu.held[key]
		delete(s.mu.held, key)
	}
}

// unpinned returns the keys of the blocks to be deleted.
func (s *Store) unpinned() (keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.mu.groups, func(g *group) bool { return g.damaged != nil }) {
		return nil
	}
	pinned := make(map[string]bool, len(s.mu.pins))
	for _, list := range s.mu.pins {
		for _, at := range list {
			pinned[keyOf(at.info)] = true
		}
	}
	for key := range s.mu.held {
		if !pinned[key] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Pins reports whether a block is pinned by a mark, so that dropping it frees nothing.
func (s *Store) Pins(b block.Info) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.pins.has(b)
}

// Status describes a history.
type Status struct {
	Marks              int
	OldestMs, NewestMs int64 // of marks; 0 without any
	Blocks             int   // that only history has
	Bytes              int64 // of these, and of the files of marks
	Purges             int
	Failed, GivenUp    uint64 // marks not taken, and given up, since Open
	Damaged            int    // groups of which not all can be read
}

// Status returns the status of the history.
func (s *Store) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{Blocks: len(s.mu.held), Bytes: s.mu.bytes, Purges: len(s.mu.purges), Failed: s.mu.failed, GivenUp: s.mu.givenUp}
	for _, g := range s.mu.groups {
		st.Bytes += g.bytes
		if g.damaged != nil {
			st.Damaged++
		}
		if len(g.marks) == 0 {
			continue
		}
		if st.Marks == 0 {
			st.OldestMs = g.marks[0].WallMs
		}
		st.Marks += len(g.marks)
		st.NewestMs = g.lastMs()
	}
	return st
}

// HeldBytes returns the bytes of the blocks that only history has, 0 if there is no group
// to give up for them.
func (s *Store) HeldBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.groups) == 0 {
		return 0
	}
	return s.mu.bytes
}

// purgesOfLocked returns the purges that a mark does not have.
func (s *Store) purgesOfLocked(m Mark) []manifest.Tombstone {
	var list []manifest.Tombstone
	for _, t := range s.mu.purges {
		if t.Gen >= m.Low {
			list = append(list, t)
		}
	}
	return list
}
