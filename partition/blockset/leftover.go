package blockset

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"tsdb/partition/block"
	"tsdb/partition/format"
)

// Leftover is a file in the block directories that the MANIFEST does not list,
// and what became of it.
type Leftover struct {
	Name    string // relative to the data directory
	MovedTo string // where it is now; empty if it was deleted
	Reason  string
	Err     error // why it could be neither deleted nor moved, and is where it was
}

// CleanUp deals with the files that no edit lists, left by a crash or put there
// by somebody. A file is deleted if nothing in it can be missed: it is not
// whole; an edit has dropped it; the WAL, whose generations from lo to hi
// walHolds is asked for, will give all of it again; or all blocks it was made
// from are listed and readable. Any other is moved to lost+found. Directories
// of partitions that are left empty are removed. A file that cannot be read,
// deleted or moved stays where it is, with an error in its Leftover; one that
// can be deleted is tried again by Sweep.
//
// It is called after Open and before anything else writes to the directory.
func (s *Set) CleanUp(walHolds func(lo, hi uint64) bool) ([]Leftover, error) {
	s.publish.Lock()
	defer s.publish.Unlock()
	found, err := block.ListFiles(s.fs, s.dir)
	if err != nil {
		return nil, err
	}
	v := s.Acquire()
	defer v.Release()
	var left []Leftover
	dirs := map[string]bool{}
	gone := maps.Clone(v.state.Dropped)
	for _, name := range found {
		if _, listed := v.state.Blocks[name]; listed {
			continue
		}
		l := Leftover{Name: name}
		if s.judge(v, &l, walHolds) {
			if l.Err = s.remove(name, &Swept{}); l.Err != nil {
				s.keepLeftover(name)
				delete(gone, name)
			}
		} else if l.Err == nil {
			l.Err = s.moveAway(&l)
		}
		if l.Err == nil {
			dirs[path.Dir(name)] = true
		}
		left = append(left, l)
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if err := s.fs.SyncDir(path.Join(s.dir, dir)); err != nil {
			return left, fmt.Errorf("sync %s: %w", dir, err)
		}
	}
	s.manifest.Forget(slices.Collect(maps.Keys(gone)))
	return left, s.removeEmptyDays()
}

// keepLeftover leaves a file that could not be deleted to Sweep.
func (s *Set) keepLeftover(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.orphans = append(s.mu.orphans, name)
}

// judge decides whether a file can be deleted, and says why or why not.
func (s *Set) judge(v *Version, l *Leftover, walHolds func(lo, hi uint64) bool) bool {
	if strings.HasSuffix(l.Name, format.TempSuffix) {
		l.Reason = "temporary"
		return true
	}
	if _, dropped := v.state.Dropped[l.Name]; dropped {
		l.Reason = "dropped by an edit"
		return true
	}
	b, err := block.Open(s.fs, s.dir, l.Name, nil)
	switch {
	case errors.Is(err, format.ErrVersion):
		l.Reason = err.Error()
		return false
	case errors.Is(err, format.ErrCorrupt):
		l.Reason = "not whole: " + err.Error()
		return true
	case err != nil:
		l.Reason, l.Err = "not listed, and cannot be read", err
		return false
	}
	info := b.Info()
	_ = b.Close() // it was only read
	switch {
	case len(info.Inputs) > 0 && allReadable(v, info.Inputs):
		l.Reason = "a merge that was not published; its inputs are all there"
		return true
	case hasRival(v, info):
		l.Reason = "an earlier or later attempt at a block that is listed"
		return true
	case info.MinGen >= v.state.WALLow && walHolds(info.MinGen, info.MaxGen):
		l.Reason = "a cut that was not published; the WAL holds all of it"
		return true
	}
	l.Reason = fmt.Sprintf("not listed, and its generations %d to %d are neither whole in the WAL nor in what it was made from", info.MinGen, info.MaxGen)
	return false
}

// hasRival reports whether a block is listed, and readable, that was made of the
// same as the one given: attempts at one block differ in their ordinals. For a
// cut, a block made of another attempt counts too.
func hasRival(v *Version, info block.Info) bool {
	found := false
	first := info.Meta
	first.Ordinal = 0
	cut := strings.TrimSuffix(block.FileName(first), format.BlockSuffix)
	ofAttempt := func(in string) bool { return strings.HasPrefix(in, cut+"-") || in == cut+format.BlockSuffix }
	for _, e := range v.entries {
		if info.Level == block.L0 && len(info.Inputs) == 0 && slices.ContainsFunc(e.Inputs, ofAttempt) ||
			e.Level == info.Level && e.Partition == info.Partition && e.MinGen == info.MinGen && e.MaxGen == info.MaxGen && slices.Equal(e.Inputs, info.Inputs) {
			if e.Err() != nil {
				return false
			}
			found = true
		}
	}
	return found
}

func allReadable(v *Version, names []string) bool {
	for _, name := range names {
		if e := v.Find(name); e == nil || e.Err() != nil {
			return false
		}
	}
	return true
}

// moveAway moves a file to lost+found, under a name that tells where it was.
func (s *Set) moveAway(l *Leftover) error {
	lost := path.Join(s.dir, format.LostFoundDir)
	if err := s.fs.MkdirAll(lost); err != nil {
		return fmt.Errorf("create %s: %w", format.LostFoundDir, err)
	}
	base := strings.ReplaceAll(l.Name, "/", "_")
	to := path.Join(lost, base)
	for n := 1; ; n++ {
		_, err := s.fs.Stat(to)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return fmt.Errorf("look for %s: %w", to, err)
		}
		to = path.Join(lost, fmt.Sprintf("%s.%d", base, n))
	}
	if err := s.fs.Rename(path.Join(s.dir, l.Name), to); err != nil {
		return fmt.Errorf("move %s to %s: %w", l.Name, format.LostFoundDir, err)
	}
	l.MovedTo = path.Join(format.LostFoundDir, path.Base(to))
	for _, dir := range []string{lost, s.dir} {
		if err := s.fs.SyncDir(dir); err != nil {
			return fmt.Errorf("sync %s: %w", dir, err)
		}
	}
	return nil
}

// removeEmptyDays removes the directories of partitions that hold nothing.
func (s *Set) removeEmptyDays() error {
	raw := path.Join(s.dir, format.RawDir)
	days, err := s.fs.List(raw)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", format.RawDir, err)
	}
	for _, day := range days {
		names, err := s.fs.List(path.Join(raw, day))
		if err != nil || len(names) > 0 {
			continue // not a directory, or not empty
		}
		_ = s.fs.Remove(path.Join(raw, day)) // it takes no space; the next start tries again
	}
	return nil
}
