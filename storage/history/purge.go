package history

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

const (
	maxPurges     = 1000     // after combining
	maxPurgeBytes = 64 << 20 // of their matchers
)

// ErrTooManyPurges is returned by Purge until marks have left.
var ErrTooManyPurges = errors.New("the history has too many purges: they leave with the marks that they concern, all at once with --history.keep=0")

// Purge hides what tombstones delete from all marks that do not have these deletions: those
// whose log ends before the generation of the tombstone. When it returns nil that is
// durable.
func (s *Store) Purge(ts []manifest.Tombstone, wallMs int64) error {
	s.io.Lock()
	defer s.io.Unlock()
	s.mu.Lock()
	list, number := append(slices.Clone(s.mu.purges), ts...), s.mu.purgeNo+1
	s.mu.Unlock()
	for i := range list {
		list[i].ID = uint64(i + 1)
	}
	id := uint64(len(list))
	list = manifest.Combine(list, func() uint64 { id++; return id })
	bytes := int64(0)
	for i := range list {
		list[i].ID = uint64(i + 1)
		bytes += list[i].Bytes()
	}
	if len(list) > maxPurges || bytes > maxPurgeBytes {
		return fmt.Errorf("purge: %w (%d with %d bytes, at most %d with %d)", ErrTooManyPurges, len(list), bytes, maxPurges, maxPurgeBytes)
	}
	return s.writePurgesLocked(list, number, wallMs)
}

// writePurgesLocked replaces both copies of the list.
func (s *Store) writePurgesLocked(list []manifest.Tombstone, number uint64, wallMs int64) error {
	if err := s.makeDirLocked(format.HistoryDir); err != nil {
		return fmt.Errorf("write purges: %w", err)
	}
	st := manifest.NewState(0, wallMs)
	st.Number, st.Tombstones = number, list
	for _, name := range []string{purgesName, purgesTwin} {
		if err := manifest.WriteCopy(s.fs, path.Join(s.dir, format.HistoryDir), name, st); err != nil {
			return fmt.Errorf("write purges: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.purges, s.mu.purgeNo = list, number
	return nil
}

// readPurges reads the copy of the list that is newer. Without any there are no purges.
func (s *Store) readPurges() error {
	names, _ := s.fs.List(path.Join(s.dir, format.HistoryDir))
	for _, name := range names {
		if path.Ext(name) == format.TempSuffix {
			_ = s.fs.Remove(path.Join(s.dir, format.HistoryDir, name)) // it only takes space
		}
	}
	st, err := newerPurges(s.fs, s.dir)
	if st != nil {
		s.mu.purges, s.mu.purgeNo = st.Tombstones, st.Number
		return nil
	}
	return err
}

// newerPurges returns the newer of the copies that can be read, nil if there is none. The
// error is about a copy that is there and cannot be read.
func newerPurges(fsys vfs.FS, dir string) (newer *manifest.State, err error) {
	var errs []error
	for _, name := range []string{purgesName, purgesTwin} {
		b, err := manifest.ReadFile(fsys, path.Join(dir, format.HistoryDir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var st *manifest.State
		if err == nil {
			st, err = manifest.Decode(b)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path.Join(format.HistoryDir, name), err))
		} else if newer == nil || st.Number > newer.Number {
			newer = st
		}
	}
	return newer, errors.Join(errs...)
}

// forgetPurgesLocked removes the list once no mark is concerned by any purge. A mark that is
// being taken may be: its moment is over only once a newer mark is there.
func (s *Store) forgetPurgesLocked() error {
	s.mu.Lock()
	needed := len(s.mu.purges) == 0
	newest := uint64(0)
	for _, g := range s.mu.groups {
		for _, m := range g.marks {
			needed = needed || len(s.purgesOfLocked(m)) > 0
			newest = max(newest, m.Low)
		}
	}
	needed = needed || newest == 0 || slices.ContainsFunc(s.mu.purges, func(t manifest.Tombstone) bool { return t.Gen >= newest })
	s.mu.Unlock()
	if needed {
		return nil
	}
	for _, name := range []string{purgesTwin, purgesName} {
		if err := s.fs.Remove(path.Join(s.dir, format.HistoryDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget purges: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.purges, s.mu.purgeNo = nil, 0
	return nil
}

// addPurges adds purges to the state of a mark, with IDs above all that its rollups have
// applied.
func addPurges(st *manifest.State, purges []manifest.Tombstone) {
	id := uint64(0)
	for i := range st.Tombstones {
		id = max(id, st.Tombstones[i].ID)
	}
	for _, c := range st.Coverage {
		id = max(id, c.Tombstone)
	}
	for _, t := range purges {
		id++
		t.ID = id
		st.Tombstones = append(st.Tombstones, t)
	}
	slices.SortFunc(st.Tombstones, func(a, b manifest.Tombstone) int { return cmp.Compare(a.ID, b.ID) })
}

// HighGeneration returns the highest generation of a purge, 0 if there is none.
func (s *Store) HighGeneration() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	high := uint64(0)
	for i := range s.mu.purges {
		high = max(high, s.mu.purges[i].Gen)
	}
	return high
}
