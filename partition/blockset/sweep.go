package blockset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Swept counts the objects that a sweep deleted, or gave to the Keeper.
type Swept struct {
	Blocks int
	Bytes  int64 // of blocks that were listed
}

// Sweep deletes the blocks that an edit has dropped and no version holds any
// longer, unless the Keeper takes them, and those passed to Discard. Before it deletes the first dropped block it
// calls named with the highest of those edits. named must make the WAL name that
// edit durably, so that an older MANIFEST is not mistaken for the current one. A
// block that cannot be deleted does not stop the deletion of others: later Sweeps
// retry it at growing intervals, and each returns an error until one succeeds.
func (s *Set) Sweep(ctx context.Context, now time.Time, named func(edit uint64) error) (Swept, error) {
	s.publish.Lock()
	defer s.publish.Unlock()
	s.mu.Lock()
	obsolete, orphans := s.mu.obsolete, s.mu.orphans // they stay listed, for Taken
	s.mu.Unlock()

	var names []string
	var settleErr, namedErr error
	if len(orphans) > 0 {
		// An edit in doubt may list them.
		if settleErr = s.manifest.Settle(); settleErr == nil {
			names = append(names, orphans...)
		}
	}
	var kept []string
	var keepErr error
	if len(obsolete) > 0 {
		if namedErr = nameDrops(obsolete, named); namedErr == nil {
			var unwanted []string
			kept, unwanted, keepErr = s.keep(ctx, obsolete)
			names = append(names, unwanted...)
		}
	}
	gone, err := s.deleter.Delete(ctx, now, names)
	return s.forget(append(gone, kept...)), errors.Join(settleErr, namedErr, keepErr, err)
}

// nameDrops calls named with the highest edit that dropped one of the entries.
func nameDrops(entries []*Entry, named func(edit uint64) error) error {
	edit := uint64(0)
	for _, e := range entries {
		edit = max(edit, e.dropped)
	}
	if err := named(edit); err != nil {
		return fmt.Errorf("name edit %d in the WAL: %w", edit, err)
	}
	return nil
}

// forget removes deleted blocks from the lists of the set and from the dropped
// names of the MANIFEST.
func (s *Set) forget(gone []string) (swept Swept) {
	swept.Blocks = len(gone)
	isGone := make(map[string]bool, len(gone))
	for _, name := range gone {
		isGone[name] = true
	}
	var dropped []string
	s.mu.Lock()
	s.mu.orphans = slices.DeleteFunc(s.mu.orphans, func(name string) bool { return isGone[name] })
	s.mu.obsolete = slices.DeleteFunc(s.mu.obsolete, func(e *Entry) bool {
		if !isGone[e.Name] {
			return false
		}
		swept.Bytes += e.Size
		dropped = append(dropped, e.Name)
		return true
	})
	s.mu.Unlock()
	s.manifest.Forget(dropped)
	return swept
}

// Unswept returns the number of blocks that wait for a Sweep.
func (s *Set) Unswept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.obsolete) + len(s.mu.orphans)
}

// Taken reports whether a name is in use by a block or by a file that a Sweep will
// delete, so that no file of that name may be written.
func (s *Set) Taken(name string) bool {
	if _, listed := s.manifest.State().Blocks[name]; listed {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.mu.orphans, name) || slices.ContainsFunc(s.mu.obsolete, func(e *Entry) bool { return e.Name == name })
}
