package partition

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Leftover is a file in the block directories that the MANIFEST does not list,
// and what became of it.
type Leftover struct {
	Name    string // relative to the data directory
	MovedTo string // where it is now; empty if it was deleted
	Reason  string
}

// CleanUp deals with the files that no edit lists, left by a crash or put there
// by somebody. A file is deleted if nothing in it can be missed: it is not
// whole; an edit has dropped it; the WAL will give all of it again, because
// walHolds says that every frame of its generations, from lo to hi, is there
// and undamaged; or all blocks it was made from are listed and readable. Any
// other is moved to lost+found. Directories of partitions that are left empty
// are removed.
//
// It is called after OpenSet and before anything else writes to the directory.
func (s *Set) CleanUp(walHolds func(lo, hi uint64) bool) ([]Leftover, error) {
	s.publish.Lock()
	defer s.publish.Unlock()
	found, err := findBlockFiles(s.fs, s.dir)
	if err != nil {
		return nil, err
	}
	v := s.Acquire()
	defer v.Release()
	var left []Leftover
	dirs := map[string]bool{}
	for _, name := range found {
		if _, listed := v.state.Blocks[name]; listed {
			continue
		}
		l := Leftover{Name: name}
		deletable, err := s.judge(v, &l, walHolds)
		if err != nil {
			return left, err
		}
		if deletable {
			err = s.remove(name, &Swept{})
		} else {
			err = s.moveAway(&l)
		}
		if err != nil {
			return left, err
		}
		dirs[path.Dir(name)] = true
		left = append(left, l)
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if err := s.fs.SyncDir(path.Join(s.dir, dir)); err != nil {
			return left, fmt.Errorf("sync %s: %w", dir, err)
		}
	}
	s.manifest.Forget(slices.Collect(maps.Keys(v.state.Dropped)))
	return left, s.removeEmptyDays()
}

// judge decides whether a file can be deleted, and says why or why not.
func (s *Set) judge(v *Version, l *Leftover, walHolds func(lo, hi uint64) bool) (bool, error) {
	if strings.HasSuffix(l.Name, TempSuffix) {
		l.Reason = "temporary"
		return true, nil
	}
	if _, dropped := v.state.Dropped[l.Name]; dropped {
		l.Reason = "dropped by an edit"
		return true, nil
	}
	b, err := OpenBlock(s.fs, s.dir, l.Name, nil)
	switch {
	case errors.Is(err, ErrVersion):
		l.Reason = err.Error()
		return false, nil
	case errors.Is(err, ErrCorrupt):
		l.Reason = "not whole: " + err.Error()
		return true, nil
	case err != nil:
		return false, err
	}
	info := b.Info()
	if err := b.Close(); err != nil {
		return false, err
	}
	switch {
	case len(info.Inputs) > 0 && allReadable(v, info.Inputs):
		l.Reason = "a merge that was not published; its inputs are all there"
		return true, nil
	case info.MinGen >= v.state.WALLow && walHolds(info.MinGen, info.MaxGen):
		l.Reason = "a cut that was not published; the WAL holds all of it"
		return true, nil
	}
	l.Reason = fmt.Sprintf("not listed, and its generations %d to %d are neither whole in the WAL nor in what it was made from", info.MinGen, info.MaxGen)
	return false, nil
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
	lost := path.Join(s.dir, LostFoundDir)
	if err := s.fs.MkdirAll(lost); err != nil {
		return fmt.Errorf("create %s: %w", LostFoundDir, err)
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
		return fmt.Errorf("move %s to %s: %w", l.Name, LostFoundDir, err)
	}
	l.MovedTo = path.Join(LostFoundDir, path.Base(to))
	for _, dir := range []string{lost, s.dir} {
		if err := s.fs.SyncDir(dir); err != nil {
			return fmt.Errorf("sync %s: %w", dir, err)
		}
	}
	return nil
}

// removeEmptyDays removes the directories of partitions that hold nothing.
func (s *Set) removeEmptyDays() error {
	raw := path.Join(s.dir, RawDir)
	days, err := s.fs.List(raw)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", RawDir, err)
	}
	for _, day := range days {
		names, err := s.fs.List(path.Join(raw, day))
		if err != nil || len(names) > 0 {
			continue // not a directory, or not empty
		}
		if err := s.fs.Remove(path.Join(raw, day)); err != nil {
			return fmt.Errorf("remove %s: %w", path.Join(RawDir, day), err)
		}
	}
	return nil
}
