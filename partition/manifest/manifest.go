package manifest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"sync/atomic"
	"syscall"

	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
)

// When the MANIFEST is replaced by a fresh snapshot.
const (
	maxLogBytes = 1 << 20 // bytes of edits, if the snapshot is not longer
	maxLogEdits = 1000
)

var (
	// ErrBehind is returned by Open when the MANIFEST ends
	// below an edit that the WAL names: an old copy was put back, or its end
	// is lost. Files that it lists may be gone.
	ErrBehind = errors.New("the MANIFEST is older than the WAL")
	// ErrStopped is returned by Apply after a write or sync of the
	// MANIFEST failed for another reason than a full disk. What is on disk is
	// unknown; the next Open finds out.
	ErrStopped = errors.New("the MANIFEST takes no edits until a restart")
	// ErrClosed is returned by Apply after Close.
	ErrClosed = errors.New("the MANIFEST is closed")
)

// Manifest is the log of edits that says which blocks make up the database. It
// is kept twice: an edit counts once it is durable in the first copy, and is
// then written to the second, its twin. It is safe for concurrent use; edits are
// written one at a time.
type Manifest struct {
	fs     vfs.FS
	dir    string
	found  []Copy // by Open
	opened string // the copy that was taken
	state  atomic.Pointer[State]

	// mu is held while an edit is written, I/O included. Readers of the state
	// do not take it.
	mu struct {
		sync.Mutex
		log     *logFile // nil once a write or sync of it has failed
		last    uint64   // highest edit number that was ever tried
		stopped error    // why there are no more edits
		guard   func() error
		bound   int64 // a snapshot of the state takes at most this many bytes

		twin       *logFile // nil once a write or sync of it has failed
		twinNumber uint64   // of the last record in it
		twinErr    error    // why it lacks edits, nil if it has them all
	}
}

// Create makes a new database in dir, which must not hold one. seed is
// the seed of its series identities, wallMs the current time.
func Create(fsys vfs.FS, dir string, seed uint64, wallMs int64) (*Manifest, error) {
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	if err := fsys.SyncDir(path.Dir(dir)); err != nil {
		return nil, fmt.Errorf("sync above the data directory: %w", err)
	}
	for _, base := range CopyNames {
		if _, err := fsys.Stat(path.Join(dir, base)); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = fs.ErrExist
			}
			return nil, fmt.Errorf("create %s: %w", path.Join(dir, base), err)
		}
	}
	if found, err := block.ListKeys(context.Background(), objstore.NewDir(fsys, dir)); err != nil {
		return nil, err
	} else if len(found) > 0 {
		return nil, fmt.Errorf("create %s: %w: %s is there, so the MANIFEST of this directory is lost", path.Join(dir, format.ManifestName), ErrBehind, found[0])
	}
	m := &Manifest{fs: fsys, dir: dir}
	if err := m.start(NewState(seed, wallMs)); err != nil {
		return nil, err
	}
	return m, nil
}

// Open reads both copies of the MANIFEST in dir, takes the newest that
// can be read, cuts a torn edit off its end and writes what it says to fresh,
// synced files before it returns: what was read need not have been durable.
// minEdit is the highest edit that the WAL names; a MANIFEST that ends below it
// is ErrBehind. A missing MANIFEST is fs.ErrNotExist if minEdit is 0.
//
// It needs room for the new file: with ENOSPC in the error the caller may make
// some and try again.
func Open(fsys vfs.FS, dir string, minEdit uint64) (*Manifest, error) {
	found := ReadCopies(fsys, dir)
	best, err := NewestCopy(found)
	if errors.Is(err, fs.ErrNotExist) && minEdit > 0 {
		return nil, fmt.Errorf("%s is missing, the WAL names edit %d: %w", path.Join(dir, format.ManifestName), minEdit, ErrBehind)
	}
	if err != nil {
		return nil, err
	}
	if best.State.Number < minEdit {
		err := fmt.Errorf("%s ends at edit %d, the WAL names edit %d: %w",
			path.Join(dir, best.Name), best.State.Number, minEdit, ErrBehind)
		for _, c := range found {
			if c.Damaged() {
				err = errors.Join(err, c.Err)
			}
		}
		return nil, err
	}
	m := &Manifest{fs: fsys, dir: dir, found: found, opened: best.Name}
	if err := m.start(best.State); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Manifest) start(s *State) error {
	log, _, err := writeSnapshot(m.fs, m.dir, format.ManifestName, s)
	if err != nil {
		return err
	}
	m.mu.log, m.mu.last, m.mu.bound = log, s.Number, log.size
	m.writeTwinLocked(s, nil)
	m.state.Store(s)
	return nil
}

// State returns the state after all edits so far.
func (m *Manifest) State() *State { return m.state.Load() }

// Err returns why no more edits are taken, nil if they are.
func (m *Manifest) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.stopped
}

// Apply checks an edit, makes it durable and returns the state with it. The
// edit's number is that of the state.
//
// An error that is ErrEdit means that nothing was done. After any other error
// the edit is in doubt: the state is without it, but a MANIFEST read after a
// crash may hold it. Until a later Apply or Settle has succeeded nothing that
// the edit names may be deleted or written again, neither what it adds nor
// what it drops. On a full disk (ENOSPC) a later Apply may succeed; any other
// error stops all edits until Open.
func (m *Manifest) Apply(e Edit) (*State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.mu.stopped; err != nil {
		return nil, err
	}
	old := m.State()
	e.Number = m.mu.last + 1
	if err := CheckEdit(old, e); err != nil {
		return nil, fmt.Errorf("edit %d: %w", e.Number, err)
	}
	framed, err := appendFramed(nil, kindEdit, &record{Edit: e})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEdit, err)
	}
	next := old.Apply(e)
	if err := m.checkSizeLocked(next, int64(len(framed)+20*len(e.Add)), maxRecordBytes); err != nil {
		return nil, fmt.Errorf("edit %d: %w", e.Number, err)
	}
	if err := m.writeLocked(next, framed); err != nil {
		return nil, m.failedLocked(fmt.Errorf("edit %d: %w", e.Number, err))
	}
	m.mu.last = e.Number
	m.writeTwinLocked(next, framed)
	m.state.Store(next)
	return next, nil
}

// checkSizeLocked refuses an edit after which a snapshot of the state would be
// longer than a record may be: the next start could not write it. n is what the
// edit adds to one at most: its own bytes, and 20 for the ages of each block.
func (m *Manifest) checkSizeLocked(next *State, n, limit int64) error {
	bound := m.mu.bound + n
	if bound > limit {
		r := snapshotOf(next)
		if bound = int64(len(appendRecord(nil, &r))); bound > limit {
			return badEdit("the state would take %d bytes, a record holds %d", bound, limit)
		}
	}
	m.mu.bound = bound
	return nil
}

// writeLocked makes a state durable: as an edit behind the others, or as a
// snapshot in a fresh file if the log is long or cannot be trusted.
func (m *Manifest) writeLocked(next *State, framed []byte) error {
	if m.mu.guard != nil {
		if err := m.mu.guard(); err != nil {
			return err
		}
	}
	log := m.mu.log
	if log == nil || log.long(len(framed)) {
		fresh, renamed, err := writeSnapshot(m.fs, m.dir, format.ManifestName, next)
		if err == nil {
			m.closeLogLocked()
			m.mu.log, m.mu.bound = fresh, fresh.size
			return nil
		}
		// A log that is merely long still takes edits when there is no room
		// for a second one.
		if log == nil || renamed || !isNoSpace(err) || log.size+int64(len(framed)) > MaxManifestBytes {
			return err
		}
	}
	return log.append(path.Join(m.dir, format.ManifestName), framed)
}

// closeLogLocked closes the log, if there is one. An error does not matter: all
// acknowledged edits are synced.
func (m *Manifest) closeLogLocked() {
	if m.mu.log != nil {
		_ = m.mu.log.file.Close()
		m.mu.log = nil
	}
}

// failedLocked closes the log after a failed write or sync: nothing is
// appended behind it. The number of the edit is not used again.
func (m *Manifest) failedLocked(err error) error {
	m.mu.last++
	m.closeLogLocked()
	if !isNoSpace(err) {
		m.mu.stopped = fmt.Errorf("%w: %w", ErrStopped, err)
		return m.mu.stopped
	}
	return err
}

// Guard sets a function that is called before each write. Once it returns an error
// no more edits are taken.
func (m *Manifest) Guard(check func() error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.guard = check
}

// Settle voids an edit in doubt by writing the state without it to a fresh file.
// It does nothing if no edit is in doubt.
func (m *Manifest) Settle() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.stopped != nil {
		return m.mu.stopped
	}
	if m.mu.log != nil {
		return nil
	}
	next := m.State().Clone()
	next.Number = m.mu.last
	if err := m.writeLocked(next, nil); err != nil {
		return m.failedLocked(fmt.Errorf("settle edit %d: %w", next.Number, err))
	}
	m.writeTwinLocked(next, nil)
	m.state.Store(next)
	return nil
}

// Forget takes names out of the record of dropped blocks: their files are gone
// for good. The next snapshot is without them.
func (m *Manifest) Forget(names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.State().Clone()
	for _, name := range names {
		delete(next.Dropped, name)
	}
	m.state.Store(next)
}

// Close closes the files. No other method may run concurrently or, State excepted,
// be called afterwards; a second Close does nothing.
func (m *Manifest) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	log := m.mu.log
	m.mu.log = nil
	m.closeTwinLocked()
	if m.mu.stopped == nil {
		m.mu.stopped = ErrClosed
	}
	if log == nil {
		return nil
	}
	if err := log.file.Close(); err != nil {
		return fmt.Errorf("close %s: %w", path.Join(m.dir, format.ManifestName), err)
	}
	return nil
}

// isNoSpace reports whether an error means a full disk or quota.
func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
