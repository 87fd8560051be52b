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

// Limits above which the MANIFEST is replaced by a fresh snapshot.
const (
	maxLogBytes = 1 << 20 // bytes of edits, if the snapshot is not longer
	maxLogEdits = 1000
)

var (
	// ErrBehind is returned by Open when the MANIFEST ends before an edit that
	// the WAL names: an old copy was restored, or its end is lost. Files that
	// it lists may be gone. Create returns it when the directory holds blocks
	// but no MANIFEST.
	ErrBehind = errors.New("the MANIFEST is older than the WAL")
	// ErrStopped is returned by Apply after a write or sync of the MANIFEST
	// failed for a reason other than a full disk. The content on disk is
	// unknown until the next Open.
	ErrStopped = errors.New("the MANIFEST takes no edits until a restart")
	// ErrClosed is returned by Apply after Close.
	ErrClosed = errors.New("the MANIFEST is closed")
)

// Manifest is the log of edits that lists the blocks of the database. It has two
// copies: an edit is committed once it is durable in the first copy, and is then
// written to the second, its twin. It is safe for concurrent use; edits are
// written one at a time.
type Manifest struct {
	fs     vfs.FS
	dir    string
	found  []Copy // the copies that Open read
	opened string // name of the copy that Open used
	state  atomic.Pointer[State]

	// mu is held while an edit is written, I/O included. Readers of the state
	// do not take it.
	mu struct {
		sync.Mutex
		log     *logFile // nil once a write or sync of it has failed
		last    uint64   // highest edit number ever tried
		stopped error    // reason no more edits are accepted
		guard   func() error
		bound   int64 // upper bound of the bytes of a snapshot of the state

		twin       *logFile // nil once a write or sync of it has failed
		twinNumber uint64   // of the last record in the twin
		twinErr    error    // reason the twin lacks edits, nil if it has them all
	}
}

// Create creates a database in dir, which must not hold one. seed is the seed of
// its series identities, wallMs the current time.
func Create(fsys vfs.FS, dir string, seed uint64, wallMs int64) (*Manifest, error) {
	return CreateState(fsys, dir, NewState(seed, wallMs))
}

// CreateState is Create of a database that begins with a state without blocks.
func CreateState(fsys vfs.FS, dir string, s *State) (*Manifest, error) {
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
	if err := m.start(s); err != nil {
		return nil, err
	}
	return m, nil
}

// Open reads both copies of the MANIFEST in dir and uses the newest readable
// one, without a torn edit at its end. It writes the state to fresh, synced
// files before it returns, because the bytes it read need not have been durable.
// minEdit is the highest edit that the WAL names; the error is ErrBehind if the
// MANIFEST ends before it. If the MANIFEST is missing and minEdit is 0, the
// error is fs.ErrNotExist.
//
// Open needs disk space for the new file. On ENOSPC the caller may free some and
// try again.
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
	m.writeTwinLocked(s, nil, 0)
	m.state.Store(s)
	return nil
}

// State returns the state after all edits so far.
func (m *Manifest) State() *State { return m.state.Load() }

// Err returns the reason no more edits are accepted, or nil if they are.
func (m *Manifest) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.stopped
}

// Apply checks an edit, makes it durable and returns the state after it. The
// number of the edit is that of the returned state.
//
// An ErrEdit means that nothing was done. After any other error the edit is in
// doubt: State does not include it, but a MANIFEST read after a crash may. Until
// a later Apply or Settle succeeds, no file that the edit adds or drops may be
// deleted or rewritten. On a full disk (ENOSPC) a later Apply may succeed; any
// other error stops all edits until Open.
func (m *Manifest) Apply(e Edit) (*State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.mu.stopped; err != nil {
		return nil, err
	}
	old := m.State()
	e.Number = m.mu.last + 1
	next, err := applyChecked(old, e)
	if err != nil {
		return nil, fmt.Errorf("edit %d: %w", e.Number, err)
	}
	r := record{Edit: e}
	framed, err := appendFramed(nil, kindEdit, &r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEdit, err)
	}
	if err := m.checkSizeLocked(next, int64(len(framed)+20*len(e.Add)), maxRecordBytes); err != nil {
		return nil, fmt.Errorf("edit %d: %w", e.Number, err)
	}
	if err := m.writeLocked(next, framed, r.version()); err != nil {
		return nil, m.failedLocked(fmt.Errorf("edit %d: %w", e.Number, err))
	}
	m.mu.last = e.Number
	m.writeTwinLocked(next, framed, r.version())
	m.state.Store(next)
	return next, nil
}

// checkSizeLocked rejects an edit after which a snapshot of the state would
// exceed limit, the size of a record: the next Open could not write it. n bounds
// the bytes that the edit adds to a snapshot: its own, and 20 for the ages of
// each block.
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

// writeLocked makes a state durable: it appends the edit to the log, or writes a
// snapshot to a fresh file if the log is long, was closed after a failure, or is
// of an older version than the edit.
func (m *Manifest) writeLocked(next *State, framed []byte, version uint32) error {
	if m.mu.guard != nil {
		if err := m.mu.guard(); err != nil {
			return err
		}
	}
	log := m.mu.log
	if !log.holds(version) || log.long(len(framed)) {
		fresh, renamed, err := writeSnapshot(m.fs, m.dir, format.ManifestName, next)
		if err == nil {
			m.closeLogLocked()
			m.mu.log, m.mu.bound = fresh, fresh.size
			return nil
		}
		// Without space for a snapshot, a log that is merely long can still
		// be appended to.
		if !log.holds(version) || renamed || !isNoSpace(err) || log.size+int64(len(framed)) > MaxManifestBytes {
			return err
		}
	}
	return log.append(path.Join(m.dir, format.ManifestName), framed)
}

// closeLogLocked closes the log, if there is one. It ignores the error: all
// acknowledged edits are synced.
func (m *Manifest) closeLogLocked() {
	if m.mu.log != nil {
		_ = m.mu.log.file.Close()
		m.mu.log = nil
	}
}

// failedLocked closes the log after a failed write or sync, so that nothing is
// appended to it. The number of the edit is not reused.
func (m *Manifest) failedLocked(err error) error {
	m.mu.last++
	m.closeLogLocked()
	if !isNoSpace(err) {
		m.mu.stopped = fmt.Errorf("%w: %w", ErrStopped, err)
		return m.mu.stopped
	}
	return err
}

// Guard sets a function that is called before each write. Once it returns an
// error no more edits are accepted.
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
	if err := m.writeLocked(next, nil, 0); err != nil {
		return m.failedLocked(fmt.Errorf("settle edit %d: %w", next.Number, err))
	}
	m.writeTwinLocked(next, nil, 0)
	m.state.Store(next)
	return nil
}

// Forget removes the names of blocks whose files are gone for good from
// State.Dropped. The next snapshot omits them.
func (m *Manifest) Forget(names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.State().Clone()
	for _, name := range names {
		delete(next.Dropped, name)
	}
	m.state.Store(next)
}

// Close closes the files. No other method may run concurrently. Afterwards State
// still works and Apply returns an error; a second Close does nothing.
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
