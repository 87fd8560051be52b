package history

import (
	"errors"
	"fmt"
	"path"
	"time"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

const (
	maxGroupMarks = 64
	groupShare    = 8 // a group spans at most this part of the time that history is kept
)

// Take records the state of a moment as a mark. The files of its blocks must stay until it
// returns; from then on they are pinned. When it fails there is no mark.
func (s *Store) Take(st *manifest.State, wallMs int64) (Mark, error) {
	s.io.Lock()
	defer s.io.Unlock()
	s.mu.Lock()
	number := s.mu.last + 1
	s.mu.last = number // a failed write may be read after a restart
	wallMs = max(wallMs, s.mu.lastMs)
	s.mu.Unlock()
	m, err := s.takeLocked(st, number, wallMs)
	if err != nil {
		_ = s.endGroupLocked() // its end is not known any more
		s.mu.Lock()
		s.mu.failed++
		s.mu.Unlock()
		return Mark{}, fmt.Errorf("take mark %d of the history: %w", number, err)
	}
	return m, nil
}

func (s *Store) takeLocked(st *manifest.State, number uint64, wallMs int64) (Mark, error) {
	next := st.Clone()
	next.Number, next.WallMs = number, wallMs
	clear(next.Dropped)
	if g := s.io.current; g != nil && (len(g.marks) >= maxGroupMarks || wallMs-g.wallMs >= s.o.Keep.Milliseconds()/groupShare) {
		if err := s.endGroupLocked(); err != nil {
			return Mark{}, err
		}
	}
	b, whole, err := s.io.writer.Next(next)
	if err != nil {
		return Mark{}, err
	}
	g := s.io.current
	if whole || g == nil {
		if !whole {
			return Mark{}, errors.New("BUG: the first mark of a group is no snapshot")
		}
		_ = s.endGroupLocked()
		if g, err = s.beginGroupLocked(number, wallMs, b); err != nil {
			return Mark{}, err
		}
	} else if _, err = s.io.file.WriteAt(b, g.bytes); err != nil {
		return Mark{}, err
	} else if err = s.io.file.Sync(); err != nil {
		return Mark{}, err
	}
	s.io.writer.Wrote(next, whole)
	m := Mark{Number: number, WallMs: wallMs, Low: next.WALLow}
	s.mu.Lock()
	defer s.mu.Unlock()
	g.bytes += int64(len(b))
	g.marks = append(g.marks, m)
	if whole {
		s.mu.groups = append(s.mu.groups, g)
	}
	for _, listed := range next.Blocks {
		s.mu.pins.add(listed.Info, g.first)
	}
	s.mu.lastMs = wallMs
	return m, nil
}

// beginGroupLocked writes the first record of a group and makes it current.
func (s *Store) beginGroupLocked(number uint64, wallMs int64, b []byte) (_ *group, err error) {
	if err := s.makeDirLocked(marksDir); err != nil {
		return nil, err
	}
	g := &group{first: number, wallMs: wallMs, name: groupName(number, wallMs)}
	name := path.Join(s.dir, marksDir, g.name)
	f, temp, err := vfs.CreateTemp(s.fs, name, format.TempSuffix)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = s.fs.Remove(temp) // the next start does otherwise
		}
	}()
	if _, err := f.WriteAt(b, 0); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if err := s.fs.Rename(temp, name); err != nil {
		return nil, err
	}
	if err := s.fs.SyncDir(path.Join(s.dir, marksDir)); err != nil {
		_ = s.fs.Remove(name) // if it stays, it is a mark whose blocks may leave
		return nil, err
	}
	s.io.file, s.io.current = f, g
	return g, nil
}

// makeDirLocked makes a directory below the data directory, durably.
func (s *Store) makeDirLocked(rel string) error {
	if s.io.dirs[rel] {
		return nil
	}
	if err := s.fs.MkdirAll(path.Join(s.dir, rel)); err != nil {
		return err
	}
	for d := path.Dir(rel); ; d = path.Dir(d) {
		if err := s.fs.SyncDir(path.Join(s.dir, d)); err != nil {
			return err
		}
		if d == "." {
			break
		}
	}
	s.io.dirs[rel] = true
	return nil
}

// Due reports whether a mark should be taken although there was no cut: there is none, or
// the newest is so old that it would leave with what it alone pins.
func (s *Store) Due(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.groups) == 0 || now.UnixMilli()-s.mu.lastMs >= s.o.Keep.Milliseconds()/groupShare
}
