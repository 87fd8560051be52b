package blockset

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"tsdb/internal/background"
)

// sweepPace spaces the attempts to remove a file that cannot be removed.
var sweepPace = background.Pace{First: time.Second, Max: 10 * time.Minute}

// maxSweepErrors bounds how many of the errors of one sweep are told.
const maxSweepErrors = 3

// Swept says what a sweep removed.
type Swept struct {
	Files int
	Bytes int64
}

// Sweep removes the files of blocks that an edit has dropped and no version
// holds any more, and those given to Discard. Before the first removal it calls
// named with the highest of those edits, which must make the WAL name it
// durably: from then on no older MANIFEST is taken for the current one. A file
// that cannot be removed keeps none of the others: later Sweeps try it again,
// at growing intervals, and until one succeeds each returns an error.
func (s *Set) Sweep(now time.Time, named func(edit uint64) error) (Swept, error) {
	s.publish.Lock()
	defer s.publish.Unlock()
	s.mu.Lock()
	obsolete, orphans := s.mu.obsolete, s.mu.orphans // they stay listed, for Taken
	s.mu.Unlock()
	numObsolete, numOrphans := len(obsolete), len(orphans)

	var swept Swept
	var errs []error
	if len(orphans) > 0 {
		kept, err := s.sweepOrphans(now, orphans, &swept)
		errs = append(errs, err)
		orphans = kept
	}
	if len(obsolete) > 0 {
		kept, err := s.sweepObsolete(now, obsolete, named, &swept)
		errs = append(errs, err)
		obsolete = kept
	}
	s.mu.Lock()
	s.mu.obsolete = slices.Concat(obsolete, s.mu.obsolete[numObsolete:])
	s.mu.orphans = slices.Concat(orphans, s.mu.orphans[numOrphans:])
	errs = append(errs, s.stuckErrorLocked())
	s.mu.Unlock()
	return swept, errors.Join(errs...)
}

// stuckErrorLocked returns the error of the files that could not be removed,
// nil if there are none.
func (s *Set) stuckErrorLocked() error {
	if len(s.mu.stuck) == 0 {
		return nil
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.mu.stuck)) {
		if errs = append(errs, s.mu.stuck[name].Err); len(errs) == maxSweepErrors {
			break
		}
	}
	return fmt.Errorf("%d files that are no longer needed cannot be removed: %w", len(s.mu.stuck), errors.Join(errs...))
}

// Unswept returns how many files wait for a Sweep.
func (s *Set) Unswept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.obsolete) + len(s.mu.orphans)
}

// Taken reports whether a name is that of a block or of a file that a Sweep will
// remove: no file of that name may be written.
func (s *Set) Taken(name string) bool {
	if _, listed := s.manifest.State().Blocks[name]; listed {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.mu.orphans, name) || slices.ContainsFunc(s.mu.obsolete, func(e *Entry) bool { return e.Name == name })
}

// sweepOrphans removes files that no edit lists, once no edit is in doubt, and
// returns those that are left.
func (s *Set) sweepOrphans(now time.Time, names []string, swept *Swept) (left []string, err error) {
	if err := s.manifest.Settle(); err != nil {
		return names, err
	}
	for _, name := range names {
		if !s.tryRemove(now, name, swept) {
			left = append(left, name)
		}
	}
	return left, nil
}

// sweepObsolete removes the files of dropped blocks, has the MANIFEST forget
// them, and returns those that are left.
func (s *Set) sweepObsolete(now time.Time, entries []*Entry, named func(edit uint64) error, swept *Swept) (left []*Entry, err error) {
	edit := uint64(0)
	for _, e := range entries {
		edit = max(edit, e.dropped)
	}
	if err := named(edit); err != nil {
		return entries, fmt.Errorf("name edit %d in the WAL: %w", edit, err)
	}
	var gone []string
	dirs := map[string]bool{}
	for _, e := range entries {
		if !s.tryRemove(now, e.Name, swept) {
			left = append(left, e)
			continue
		}
		gone = append(gone, e.Name)
		dirs[path.Dir(e.Name)] = true
	}
	// A removal that a crash undoes must find the drop still recorded.
	for dir := range dirs {
		if err := s.fs.SyncDir(path.Join(s.dir, dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return left, fmt.Errorf("sync %s: %w", dir, err)
		}
	}
	s.manifest.Forget(gone)
	return left, nil
}

// tryRemove removes a file unless that failed a short while ago. It reports
// whether the file is gone.
func (s *Set) tryRemove(now time.Time, name string, swept *Swept) bool {
	s.mu.Lock()
	o := s.mu.stuck[name]
	s.mu.Unlock()
	if !o.Due(now) {
		return false
	}
	err := s.remove(name, swept)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.mu.stuck[name] = o.Failed(err, now, sweepPace)
		return false
	}
	delete(s.mu.stuck, name)
	return true
}

// remove deletes a file of the data directory. That it is not there is fine.
func (s *Set) remove(name string, swept *Swept) error {
	full := path.Join(s.dir, name)
	info, err := s.fs.Stat(full)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.fs.Remove(full)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	swept.Files++
	swept.Bytes += info.Size
	return nil
}
