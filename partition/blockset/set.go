package blockset

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/panics"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// ErrQuarantined is wrapped by the error of every block that is listed but cannot
// be used.
var ErrQuarantined = errors.New("block is quarantined")

// Options are the options of a Set. The zero value is the default.
type Options struct {
	Cache *block.Cache // of the blocks; not owned
	// Obsolete is called, without locks held, when Sweep has something to do.
	// It must not block.
	Obsolete func()
	// Keeper keeps files of dropped blocks; nil = all are deleted.
	Keeper Keeper
}

// Set keeps the blocks that the MANIFEST lists open, as a sequence of versions:
// each edit makes a new one, and readers hold the one they acquired. An object is
// deleted when the edit that drops its block is durable, the WAL names that edit,
// and the last version with the block has been released.
//
// A Set is safe for concurrent use. Edits are published one at a time.
type Set struct {
	store    objstore.Store
	deleter  *objstore.Deleter
	manifest *manifest.Manifest
	o        Options

	// publish is held during an edit or a sweep, I/O included. It is locked
	// before mu.
	publish sync.Mutex

	mu struct {
		sync.Mutex
		current  *Version
		obsolete []*Entry // dropped and no longer in any version
		orphans  []string // objects passed to Discard, and leftovers
		closed   bool
	}
}

// Version is an immutable state of the set. Its blocks may be used until it is
// released, once for each time it was acquired.
type Version struct {
	set     *Set
	state   *manifest.State
	entries []*Entry // raw blocks, then rollups
	raw     int      // number of raw blocks
	kept    model.TimeRange
	refs    int // of the set, while current, and of readers; guarded by set.mu
	hiding  hiddenRows
}

func newVersion(s *Set, state *manifest.State) *Version {
	return &Version{set: s, state: state, kept: state.Kept()}
}

// Open opens the blocks that m lists. A block that is missing, damaged or not the
// one listed is quarantined: it stays listed, with an error. An error that does not
// concern the block, such as too many open files, fails the call. The set uses m
// but does not close it.
func Open(store objstore.Store, m *manifest.Manifest, o Options) (*Set, error) {
	s := &Set{store: store, deleter: objstore.NewDeleter(store), manifest: m, o: o}
	v := newVersion(s, m.State())
	v.refs = 1
	for _, b := range v.state.Sorted() {
		v.entries = append(v.entries, &Entry{Listed: b, versions: 1})
	}
	if err := s.openAll(v.entries); err != nil {
		return nil, errors.Join(err, closeAll(v.entries))
	}
	v.sort()
	s.mu.current = v
	return s, nil
}

// openParallel is the number of blocks that Open opens at a time: the tails of years of
// blocks are a few thousand small reads, which a disk or an object store serves
// side by side.
const openParallel = 8

// openAll opens the blocks of entries, or quarantines them.
func (s *Set) openAll(entries []*Entry) error {
	var g errgroup.Group
	g.SetLimit(openParallel)
	var failed atomic.Bool
	for part := range slices.Chunk(entries, openChunk) {
		g.Go(func() (err error) {
			defer panics.Catch(&err)
			for _, e := range part {
				if failed.Load() {
					return nil
				}
				opened, err := s.open(e.Info)
				switch {
				case err == nil:
					e.block = opened
				case block.IsLost(err):
					e.quarantine(err)
				default:
					failed.Store(true)
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// openChunk is the number of blocks that a goroutine of openAll opens.
const openChunk = 16

// open opens a block and checks that it is the one described.
func (s *Set) open(want block.Info) (*block.Block, error) {
	b, err := block.Open(s.store, want.Name, s.o.Cache)
	if err != nil {
		return nil, err
	}
	return verified(b, want)
}

// verified returns b, or closes it if it is not the block described.
func verified(b *block.Block, want block.Info) (*block.Block, error) {
	got := b.Info()
	if !manifest.SameFile(got, want) || got.MinGen != want.MinGen || got.MaxGen != want.MaxGen || got.Key != want.Key || got.Days != want.Days {
		err := &format.DamageError{Path: want.Name, What: fmt.Sprintf("another block than the MANIFEST lists: %d bytes, tail %08x instead of %d bytes, tail %08x",
			got.Size, got.CRC, want.Size, want.CRC)}
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Store returns the store that holds the blocks.
func (s *Set) Store() objstore.Store { return s.store }

// Acquire returns the current version. The caller releases it.
func (s *Set) Acquire() *Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.current.refs++
	return s.mu.current
}

// Publish opens the blocks that an edit adds, applies the edit to the MANIFEST and
// installs the new current version, which it returns and the caller must release.
// Errors are those of Manifest.Apply. The files of a failed edit stay until they
// are published or passed to Discard.
func (s *Set) Publish(e manifest.Edit) (*Version, error) {
	s.publish.Lock()
	defer s.publish.Unlock()
	var added []*Entry
	for _, info := range e.Add {
		b, err := s.open(info)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open what an edit adds: %w", err), closeAll(added))
		}
		added = append(added, &Entry{Listed: manifest.Listed{Info: info}, block: b})
	}
	state, err := s.manifest.Apply(e)
	if err != nil {
		return nil, errors.Join(err, closeAll(added))
	}
	for _, a := range added {
		a.Listed = state.Blocks[a.Name]
	}
	return s.install(state, added), nil
}

// install makes the version of a state current and returns it with a reference
// for the caller. added are the entries that the previous version does not have.
func (s *Set) install(state *manifest.State, added []*Entry) *Version {
	v := newVersion(s, state)
	v.entries, v.refs = added, 2
	s.mu.Lock()
	old := s.mu.current
	for _, e := range old.entries {
		if _, listed := state.Blocks[e.Name]; listed {
			v.entries = append(v.entries, e)
		} else {
			e.dropped = state.Number
		}
	}
	v.sort()
	for _, e := range v.entries {
		e.versions++
	}
	s.mu.current = v
	s.mu.orphans = slices.DeleteFunc(s.mu.orphans, func(name string) bool {
		_, listed := state.Blocks[name]
		return listed
	})
	unused := s.releaseLocked(old)
	s.mu.Unlock()
	s.retire(unused)
	return v
}

// Quarantine marks a block with damage that prevents a merge. The block is no
// longer merged, and its readers warn, also in versions already held. Its readable
// parts are still read.
func (s *Set) Quarantine(name string, err error) {
	v := s.Acquire()
	defer v.Release()
	if e := v.Find(name); e != nil {
		e.quarantine(err)
	}
}

// Discard abandons the files of an edit that failed. A later Sweep deletes them,
// once the MANIFEST is known not to hold the edit.
func (s *Set) Discard(names ...string) {
	s.mu.Lock()
	for _, name := range names {
		if _, listed := s.manifest.State().Blocks[name]; !listed {
			s.mu.orphans = append(s.mu.orphans, name)
		}
	}
	s.mu.Unlock()
	if s.o.Obsolete != nil && len(names) > 0 {
		s.o.Obsolete()
	}
}

// Close closes the blocks of the current version. Blocks of versions still held are
// closed when those are released. The set must not be used afterwards; a second
// Close does nothing.
func (s *Set) Close() error {
	s.publish.Lock()
	defer s.publish.Unlock()
	s.mu.Lock()
	if s.mu.closed {
		s.mu.Unlock()
		return nil
	}
	s.mu.closed = true
	unused := s.releaseLocked(s.mu.current)
	s.mu.Unlock()
	return closeAll(unused)
}

// Retain adds a reference to a version that is held, and returns v. The reference
// must be released too.
func (v *Version) Retain() *Version {
	v.set.mu.Lock()
	defer v.set.mu.Unlock()
	if v.refs <= 0 {
		panic(fmt.Sprintf("BUG: version %d retained after its release", v.state.Number))
	}
	v.refs++
	return v
}

// Release drops a reference. Its only I/O is closing files.
func (v *Version) Release() {
	v.set.mu.Lock()
	unused := v.set.releaseLocked(v)
	v.set.mu.Unlock()
	v.set.retire(unused)
}

// releaseLocked drops a reference to a version and returns the entries that no
// version holds any longer.
func (s *Set) releaseLocked(v *Version) (unused []*Entry) {
	if v.refs--; v.refs < 0 {
		panic(fmt.Sprintf("BUG: version %d released too often", v.state.Number))
	}
	if v.refs > 0 {
		return nil
	}
	for _, e := range v.entries {
		if e.versions--; e.versions == 0 {
			unused = append(unused, e)
		}
	}
	return unused
}

// retire closes blocks that no version holds. Sweep deletes the files of the
// dropped ones.
func (s *Set) retire(unused []*Entry) {
	if len(unused) == 0 {
		return
	}
	_ = closeAll(unused) // they were only read
	dropped := slices.DeleteFunc(unused, func(e *Entry) bool { return e.dropped == 0 })
	if len(dropped) == 0 {
		return
	}
	s.mu.Lock()
	s.mu.obsolete = append(s.mu.obsolete, dropped...)
	s.mu.Unlock()
	if s.o.Obsolete != nil {
		s.o.Obsolete()
	}
}

func closeAll(entries []*Entry) error {
	var errs []error
	for _, e := range entries {
		if e.block != nil {
			errs = append(errs, e.block.Close())
		}
	}
	return errors.Join(errs...)
}

// Set returns the set of v.
func (v *Version) Set() *Set { return v.set }

// State returns the state of the MANIFEST for which the version was made.
func (v *Version) State() *manifest.State { return v.state }

// sort puts raw blocks before rollups, each from the oldest to the newest.
func (v *Version) sort() {
	slices.SortFunc(v.entries, func(a, b *Entry) int {
		if (a.Tier == block.Raw) != (b.Tier == block.Raw) {
			return cmp.Compare(a.Tier, b.Tier)
		}
		return block.CompareInfo(a.Info, b.Info)
	})
	v.raw = len(v.entries)
	if i := slices.IndexFunc(v.entries, func(e *Entry) bool { return e.Tier != block.Raw }); i >= 0 {
		v.raw = i
	}
}

// Kept is State.Kept.
func (v *Version) Kept() model.TimeRange { return v.kept }

// Entries returns all blocks: Raw, then Rollups. The slice must not be changed.
func (v *Version) Entries() []*Entry { return v.entries }

// Raw returns the blocks of samples, from the oldest to the newest. The slice must
// not be changed.
func (v *Version) Raw() []*Entry { return v.entries[:v.raw:v.raw] }

// Rollups returns the blocks of rollups. Only the days whose coverage names a block
// are visible in it. The slice must not be changed.
func (v *Version) Rollups() []*Entry { return v.entries[v.raw:] }

// Quarantined returns the error of each quarantined block.
func (v *Version) Quarantined() []error {
	var errs []error
	for _, e := range v.entries {
		if err := e.Err(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Find returns the block with the given name, or nil if the version has none.
func (v *Version) Find(name string) *Entry { return find(v.entries, name) }

func find(entries []*Entry, name string) *Entry {
	for _, e := range entries {
		if e.Name == name {
			return e
		}
	}
	return nil
}
