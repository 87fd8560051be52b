package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// CopyNames are the names of the copies of the MANIFEST, in the order in
// which they are written.
var CopyNames = [...]string{format.ManifestName, format.TwinName}

// Copy is the content of one of the two copies of a MANIFEST. Either State or Err
// is set.
type Copy struct {
	Name  string // relative to the data directory
	State *State
	Torn  Torn
	Err   error // fs.ErrNotExist, or the reason it cannot be read
}

// Damaged reports whether the copy exists and cannot be used.
func (c *Copy) Damaged() bool { return c.Err != nil && !errors.Is(c.Err, fs.ErrNotExist) }

// ReadCopies reads both copies of the MANIFEST in dir. It changes nothing on disk.
func ReadCopies(fsys vfs.FS, dir string) []Copy {
	var found []Copy
	for _, base := range CopyNames {
		c := Copy{Name: base}
		c.State, c.Torn, c.Err = readManifest(fsys, dir, base)
		found = append(found, c)
	}
	return found
}

// Read returns the state in the newest readable copy of the MANIFEST in dir, and
// the torn edit at its end, if any. It changes nothing on disk. If there is no
// copy the error is fs.ErrNotExist.
func Read(fsys vfs.FS, dir string) (*State, Torn, error) {
	best, err := NewestCopy(ReadCopies(fsys, dir))
	if err != nil {
		return nil, Torn{}, err
	}
	return best.State, best.Torn, nil
}

// Newest returns the state of the copy that NewestCopy selects.
func Newest(copies []Copy) (*State, error) {
	best, err := NewestCopy(copies)
	if err != nil {
		return nil, err
	}
	return best.State, nil
}

// NewestCopy selects the copy of a MANIFEST to use. An edit is written to the
// second copy once it is durable in the first, so both hold the same history and
// the longer one is right. If one copy is missing, damaged or on a bad sector,
// the other is used. A copy in another format version, or a first copy that
// cannot be read for any other reason, is an error.
func NewestCopy(found []Copy) (*Copy, error) {
	first, twin := &found[0], &found[1]
	for _, c := range found {
		if errors.Is(c.Err, format.ErrVersion) {
			return nil, c.Err
		}
	}
	switch {
	case first.Err != nil && !IsGone(first.Err):
		return nil, first.Err
	case first.Err == nil && twin.Err == nil:
		if first.State.Seed != twin.State.Seed {
			return nil, fmt.Errorf("%w: %s and %s are of different databases, their identity seeds differ: remove the one that does not belong here",
				format.ErrCorrupt, first.Name, twin.Name)
		}
		if twin.State.Number > first.State.Number {
			return twin, nil
		}
		return first, nil
	case first.Err == nil:
		return first, nil
	case twin.Err == nil:
		return twin, nil
	case errors.Is(twin.Err, fs.ErrNotExist):
		return nil, first.Err
	case errors.Is(first.Err, fs.ErrNotExist):
		return nil, twin.Err
	}
	return nil, errors.Join(first.Err, twin.Err)
}

// IsGone reports whether an error from reading a copy means that its content is
// lost, and not just inaccessible, for example for lack of permission.
func IsGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, format.ErrCorrupt) || errors.Is(err, syscall.EIO)
}

// Restored returns the problems that Open found and repaired from the other copy:
// a copy that is damaged, and a first copy that is missing or lacks edits.
// fromTwin reports whether Open used the second copy.
func (m *Manifest) Restored() (problems []error, fromTwin bool) {
	if m.found == nil {
		return nil, false
	}
	fromTwin = m.opened == format.TwinName
	for _, c := range m.found {
		switch {
		case c.Damaged():
			problems = append(problems, c.Err)
		case !fromTwin || c.Name == format.TwinName:
		case c.Err != nil:
			problems = append(problems, fmt.Errorf("%s is missing", c.Name))
		default:
			problems = append(problems, fmt.Errorf("%s ends at edit %d with %d damaged bytes, %s at edit %d",
				c.Name, c.State.Number, c.Torn.Bytes, format.TwinName, m.State().Number))
		}
	}
	return problems, fromTwin
}

// TwinErr returns the reason the second copy lacks edits, or nil if it has them
// all. The next edit rewrites it.
func (m *Manifest) TwinErr() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.twinErr
}

// writeTwinLocked writes a state that is durable in the first copy to the second.
// It appends the edit if there is one and the second copy has all edits before
// it, and writes a snapshot otherwise. An error is kept in twinErr and closes the
// file; the edit is committed all the same, because the first copy has it.
func (m *Manifest) writeTwinLocked(next *State, framed []byte, version uint32) {
	t := m.mu.twin
	var err error
	if t.holds(version) && framed != nil && m.mu.twinNumber+1 == next.Number && !t.long(len(framed)) {
		err = t.append(path.Join(m.dir, format.TwinName), framed)
	} else {
		m.closeTwinLocked()
		m.mu.twin, _, err = writeSnapshot(m.fs, m.dir, format.TwinName, next)
	}
	if m.mu.twinErr = err; err != nil {
		m.closeTwinLocked()
		return
	}
	m.mu.twinNumber = next.Number
}

// closeTwinLocked closes the second copy, if it is open. Like closeLogLocked, it
// ignores the error.
func (m *Manifest) closeTwinLocked() {
	if m.mu.twin != nil {
		_ = m.mu.twin.file.Close()
		m.mu.twin = nil
	}
}
