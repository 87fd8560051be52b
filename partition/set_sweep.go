package partition

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Swept says what a sweep removed.
type Swept struct {
	Files int
	Bytes int64
}

// Sweep removes the files of blocks that an edit has dropped and no version
// holds any more, and those given to Discard. Before the first removal it calls
// named with the highest of those edits, which must make the WAL name it
// durably: from then on no older MANIFEST is taken for the current one. What
// could not be removed is tried again by the next Sweep.
func (s *Set) Sweep(named func(edit uint64) error) (Swept, error) {
	s.publish.Lock()
	defer s.publish.Unlock()
	s.mu.Lock()
	obsolete, orphans := s.mu.obsolete, s.mu.orphans
	s.mu.obsolete, s.mu.orphans = nil, nil
	s.mu.Unlock()

	var swept Swept
	var errs []error
	if len(orphans) > 0 {
		kept, err := s.sweepOrphans(orphans, &swept)
		errs = append(errs, err)
		orphans = kept
	}
	if len(obsolete) > 0 {
		kept, err := s.sweepObsolete(obsolete, named, &swept)
		errs = append(errs, err)
		obsolete = kept
	}
	s.mu.Lock()
	s.mu.obsolete = append(s.mu.obsolete, obsolete...)
	s.mu.orphans = append(s.mu.orphans, orphans...)
	s.mu.Unlock()
	return swept, errors.Join(errs...)
}

// Unswept returns how many files wait for a Sweep.
func (s *Set) Unswept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.obsolete) + len(s.mu.orphans)
}

// sweepOrphans removes files that no edit lists, once no edit is in doubt, and
// returns those that are left.
func (s *Set) sweepOrphans(names []string, swept *Swept) (left []string, err error) {
	if err := s.manifest.Settle(); err != nil {
		return names, err
	}
	for i, name := range names {
		if err := s.remove(name, swept); err != nil {
			return names[i:], err
		}
	}
	return nil, nil
}

// sweepObsolete removes the files of dropped blocks, has the MANIFEST forget
// them, and returns those that are left.
func (s *Set) sweepObsolete(entries []*Entry, named func(edit uint64) error, swept *Swept) (left []*Entry, err error) {
	edit := uint64(0)
	for _, e := range entries {
		edit = max(edit, e.dropped)
	}
	if err := named(edit); err != nil {
		return entries, fmt.Errorf("name edit %d in the WAL: %w", edit, err)
	}
	var gone []string
	dirs := map[string]bool{}
	for i, e := range entries {
		if err = s.remove(e.Name, swept); err != nil {
			left = entries[i:]
			break
		}
		gone = append(gone, e.Name)
		dirs[path.Dir(e.Name)] = true
	}
	// A removal that a crash undoes must find the drop still recorded.
	for dir := range dirs {
		if serr := s.fs.SyncDir(path.Join(s.dir, dir)); serr != nil && !errors.Is(serr, fs.ErrNotExist) {
			return left, errors.Join(err, fmt.Errorf("sync %s: %w", dir, serr))
		}
	}
	s.manifest.Forget(gone)
	return left, err
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
