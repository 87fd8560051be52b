package cardinality

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// Store keeps the counts of days in a data directory. It holds Infos alone in memory. It is
// safe for concurrent use.
type Store struct {
	fs  vfs.FS
	dir string

	// io is held by one Put at a time, over I/O. It is locked before mu.
	io sync.Mutex
	mu struct {
		sync.Mutex
		infos []Info // oldest first
		bytes int64  // of the file
	}
}

// Open returns the store of a data directory. If the file cannot be read, the error says
// why, and the store is empty: the next Put replaces the file.
func Open(fsys vfs.FS, dir string) (*Store, error) {
	s := &Store{fs: fsys, dir: dir}
	_, err := s.Read(nil)
	return s, err
}

// Infos returns what was counted, oldest first. The caller does not change it.
func (s *Store) Infos() []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.infos
}

// Bytes returns the size of the file.
func (s *Store) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.bytes
}

// Read returns all days that are kept, oldest first; the caller owns them. reserve, if not
// nil, is called before memory is taken. After an error of the file's content the store is
// empty.
func (s *Store) Read(reserve func(bytes int64) error) ([]Day, error) {
	days, size, err := load(s.fs, path.Join(s.dir, format.CountsName), reserve)
	if err == nil || IsLost(err) {
		s.note(days, size)
	}
	return days, err
}

// IsLost reports whether an error is one of the content of the file: the days are to be
// counted again.
func IsLost(err error) bool {
	return errors.Is(err, format.ErrCorrupt) || errors.Is(err, format.ErrVersion)
}

func (s *Store) note(days []Day, size int64) {
	infos := make([]Info, len(days))
	for i := range days {
		infos[i] = days[i].Info
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.infos, s.mu.bytes = infos, size
}

// Put keeps the counts of a day in place of those it had. Days beyond the bounds leave,
// oldest first. After an error the earlier counts are there, or the new ones.
func (s *Store) Put(day Day, reserve func(bytes int64) error) error {
	s.io.Lock()
	defer s.io.Unlock()
	days, err := s.Read(reserve)
	if err != nil && !IsLost(err) {
		return err
	}
	days = bounded(merged(days, day))
	b := appendDays(nil, days)
	for len(b) > maxBytes && len(days) > 1 {
		days = days[1:]
		b = appendDays(b[:0], days)
	}
	if err := vfs.ReplaceFile(s.fs, path.Join(s.dir, format.CountsName), format.TempSuffix, b); err != nil {
		return fmt.Errorf("write %s: %w", format.CountsName, err)
	}
	s.note(days, int64(len(b)))
	return nil
}

// merged returns days, which are sorted, with day in place of the one of its number.
func merged(days []Day, day Day) []Day {
	i, found := slices.BinarySearchFunc(days, day.Day, func(d Day, number int64) int { return cmp.Compare(d.Day, number) })
	if found {
		days[i] = day
		return days
	}
	return slices.Insert(days, i, day)
}

// bounded returns the newest days that are kept.
func bounded(days []Day) []Day {
	if n := len(days) - MaxDays; n > 0 {
		days = days[n:]
	}
	return days
}

// load reads and decodes a file; a missing one has no days.
func load(fsys vfs.FS, name string, reserve func(bytes int64) error) ([]Day, int64, error) {
	b, err := read(fsys, name, reserve)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	days, err := decodeDays(b, nil)
	if err != nil {
		return nil, 0, err
	}
	return days, int64(len(b)), nil
}

func read(fsys vfs.FS, name string, reserve func(bytes int64) error) ([]byte, error) {
	return vfs.ReadFile(fsys, name, func(size int64) error {
		if size > maxBytes {
			return format.Corrupt("%s has %d bytes, more than %d", path.Base(name), size, maxBytes)
		}
		if reserve != nil {
			return reserve(size * decodeCost)
		}
		return nil
	})
}

// Check verifies the file of a data directory and returns its size; 0 if there is none.
func Check(fsys vfs.FS, dir string) (days int, bytes int64, err error) {
	all, bytes, err := load(fsys, path.Join(dir, format.CountsName), nil)
	return len(all), bytes, err
}
