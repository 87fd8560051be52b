package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"path"
	"slices"
	"sync"
	"time"

	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// Options are the options of a Store. Keep is required.
type Options struct {
	Keep time.Duration // marks stay at least as long; > 0
	Log  *slog.Logger  // nil = none
}

// Store keeps the marks of one database. It is safe for concurrent use.
type Store struct {
	fs   vfs.FS
	dir  string // of the database
	objs *objstore.Dir
	o    Options

	// io is held by one change at a time, over I/O. It is locked before mu.
	io struct {
		sync.Mutex
		writer  manifest.SequenceWriter
		file    vfs.File // of the last group, nil if it takes no more marks
		current *group   // nil if file is
		dirs    map[string]bool
	}
	mu struct {
		sync.Mutex
		groups  []*group // oldest first
		last    uint64   // highest number ever used
		lastMs  int64    // time of the newest mark
		pins    pins
		held    map[string]int64 // bytes of the blocks that history has, by key
		bytes   int64            // sum of held
		purges  []manifest.Tombstone
		purgeNo uint64 // number of the last state in PURGES

		failed, givenUp uint64 // marks not taken, and given up, since Open
	}
}

var _ blockset.Keeper = (*Store)(nil)

// Open reads the history of the database in dir, whose MANIFEST has state st. Nothing else
// may use the directory. What cannot be read costs marks, with a line in the log; an error
// is one of listing files.
func Open(fsys vfs.FS, dir string, st *manifest.State, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{fs: fsys, dir: dir, objs: objstore.NewDir(fsys, dir), o: o}
	s.mu.pins, s.mu.held, s.io.dirs = pins{}, map[string]int64{}, map[string]bool{}
	s.mu.lastMs = math.MinInt64
	if err := s.listHeld(); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	if err := s.readGroups(st); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	if err := s.readPurges(); err != nil {
		o.Log.Error("no copy of the list of purges can be read: marks might show what was purged, all are given up", "err", err)
		if err := s.dropAll(); err != nil {
			return nil, fmt.Errorf("open history: %w", err)
		}
	}
	s.deleteUnpinned()
	return s, nil
}

// Remove removes the history of a database, and reports whether there was one.
func Remove(fsys vfs.FS, dir string) (bool, error) {
	at := path.Join(dir, format.HistoryDir)
	if _, err := fsys.Stat(at); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	// The marks first: none remains whose blocks are gone.
	if err := vfs.RemoveAll(fsys, path.Join(dir, marksDir)); err != nil {
		return true, fmt.Errorf("remove history: %w", err)
	}
	if err := vfs.RemoveAll(fsys, at); err != nil {
		return true, fmt.Errorf("remove history: %w", err)
	}
	return true, fsys.SyncDir(dir)
}

// listHeld finds the blocks that history has.
func (s *Store) listHeld() error {
	keys, err := s.objs.List(context.Background(), format.HistoryDir+"/")
	if err != nil {
		return err
	}
	for _, key := range keys {
		if !isBlockKey(key) {
			continue
		}
		info, err := s.fs.Stat(path.Join(s.dir, key))
		if err != nil {
			return err
		}
		s.mu.held[key] = info.Size
		s.mu.bytes += info.Size
	}
	return nil
}

// readGroups reads the groups and counts what they pin.
func (s *Store) readGroups(st *manifest.State) error {
	names, err := s.fs.List(path.Join(s.dir, marksDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		number, wallMs, ok := parseGroupName(name)
		if !ok {
			if path.Ext(name) == format.TempSuffix {
				_ = s.fs.Remove(path.Join(s.dir, marksDir, name)) // it only takes space
			}
			continue
		}
		s.mu.groups = append(s.mu.groups, &group{first: number, wallMs: wallMs, name: name})
	}
	slices.SortFunc(s.mu.groups, func(a, b *group) int { return int(min(max(int64(a.first-b.first), -1), 1)) })
	for _, g := range s.mu.groups {
		s.readGroup(g, st)
	}
	return nil
}

func (s *Store) readGroup(g *group, st *manifest.State) {
	s.mu.last = max(s.mu.last, g.first)
	q, bytes, err := readSequence(s.fs, path.Join(s.dir, marksDir, g.name))
	if g.bytes, g.damaged = bytes, err; err != nil {
		s.o.Log.Error("marks of the history cannot be read", "file", path.Join(marksDir, g.name), "readable", len(q.Edits), "err", err)
	}
	missing, absent := 0, map[string]bool{}
	marks := marksOf(q)
	for i := range q.Edits {
		e := &q.Edits[i]
		for _, name := range e.Drop {
			if absent[name] {
				delete(absent, name)
			}
		}
		for _, b := range e.Add {
			s.mu.pins.add(b, g.first)
			if !s.isThere(b, st) {
				absent[b.Name] = true
			}
		}
		s.mu.last, s.mu.lastMs = max(s.mu.last, e.Number), max(s.mu.lastMs, e.WallMs)
		if len(absent) > 0 {
			missing++
			continue
		}
		g.marks = append(g.marks, marks[i])
	}
	if missing > 0 {
		s.o.Log.Warn("marks of the history are left out: blocks of them are gone", "file", path.Join(marksDir, g.name), "marks", missing)
	}
}

// isThere reports whether the file of a block of a mark exists, or is missing in the
// database too.
func (s *Store) isThere(b block.Info, st *manifest.State) bool {
	if listed, ok := st.Blocks[b.Name]; ok && manifest.SameFile(listed.Info, b) {
		return true
	}
	if size, ok := s.mu.held[keyOf(b)]; ok && size == b.Size {
		return true
	}
	info, err := s.fs.Stat(path.Join(s.dir, b.Name)) // a crash came before it was moved
	return err == nil && info.Size == b.Size
}

// readSequence reads a file of states. What could be read is returned with an error too.
func readSequence(fsys vfs.FS, name string) (*manifest.Sequence, int64, error) {
	b, err := manifest.ReadFile(fsys, name)
	if err != nil {
		return &manifest.Sequence{}, 0, err
	}
	q, err := manifest.ReadSequence(b)
	if err != nil {
		err = fmt.Errorf("read %s: %w", name, err)
	}
	return q, int64(len(b)), err
}

// Find returns the newest mark that is not after a time, Unix milliseconds. The error is a
// NoMarkError.
func (s *Store) Find(atMs int64) (Mark, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := &NoMarkError{AtMs: atMs, Keep: s.o.Keep}
	for i := len(s.mu.groups) - 1; i >= 0; i-- {
		for _, m := range slices.Backward(s.mu.groups[i].marks) {
			if m.WallMs <= atMs {
				return m, nil
			}
			err.OldestMs, err.Any = m.WallMs, true
		}
	}
	return Mark{}, err
}

// Marks returns all marks, oldest first.
func (s *Store) Marks() (all []Mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.mu.groups {
		all = append(all, g.marks...)
	}
	return all
}

// Has reports whether a mark is still there.
func (s *Store) Has(m Mark) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.groupOfLocked(m)
	return ok
}

func (s *Store) groupOfLocked(m Mark) (*group, bool) {
	for _, g := range s.mu.groups {
		if slices.Contains(g.marks, m) {
			return g, true
		}
	}
	return nil, false
}

// Load returns the state of a mark with the purges that concern it. The error is ErrGone
// if the mark has left.
func (s *Store) Load(m Mark) (*manifest.State, error) {
	s.mu.Lock()
	g, ok := s.groupOfLocked(m)
	purges := s.purgesOfLocked(m)
	s.mu.Unlock()
	if !ok {
		return nil, ErrGone
	}
	q, _, err := readSequence(s.fs, path.Join(s.dir, marksDir, g.name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrGone
	}
	st := q.State(m.Number)
	if st == nil {
		return nil, fmt.Errorf("read mark %d of the history: %w", m.Number, errors.Join(err, format.ErrCorrupt))
	}
	addPurges(st, purges)
	return st, nil
}

// OpenBlock opens a block of a mark, wherever it is now.
func (s *Store) OpenBlock(b block.Info) (objstore.Object, error) {
	ctx, key := context.Background(), keyOf(b)
	s.mu.Lock()
	_, held := s.mu.held[key]
	s.mu.Unlock()
	if !held {
		o, err := s.objs.Open(ctx, b.Name)
		if !errors.Is(err, fs.ErrNotExist) {
			return o, err
		}
		// It has been moved meanwhile, or is missing.
	}
	return s.objs.Open(ctx, key)
}

// Close closes the files.
func (s *Store) Close() error {
	s.io.Lock()
	defer s.io.Unlock()
	return s.endGroupLocked()
}

// endGroupLocked has the next mark begin a group.
func (s *Store) endGroupLocked() error {
	f := s.io.file
	s.io.file, s.io.current, s.io.writer = nil, nil, manifest.SequenceWriter{}
	if f == nil {
		return nil
	}
	return f.Close()
}
