package vfs

import (
	"fmt"
	"path"
)

// memLock is a lock of a Mem: on a directory, unless SetDirLocks says that
// those cannot be locked, and on a file in it.
type memLock struct {
	fs          *Mem
	name, owner string
	dir         *node // nil once closed
	whole       bool
	file        *node // nil if there was none, and none was to be made
	certain     bool
}

// SetDirLocks sets whether directories can be locked. By default they can; on network
// file systems they cannot.
func (m *Mem) SetDirLocks(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noDirLocks = !on
}

// Lock implements FS.
func (m *Mem) Lock(name, owner string) (Lock, error) {
	l := &memLock{fs: m, name: name, owner: owner}
	if err := l.take(); err != nil {
		return nil, err
	}
	l.writeHolder()
	return l, nil
}

func (l *memLock) take() error {
	m := l.fs
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent(l.name)
	if err != nil {
		return pathError("lock", l.name, err)
	}
	n := dir.entries[base]
	if m.locks[dir] || n != nil && m.locks[n] {
		return l.lockedLocked(n)
	}
	made := n == nil && l.owner != ""
	if made {
		n = &node{}
		m.touch(n)
		m.addName(dir, base, n)
	}
	l.dir, l.file, l.whole = dir, n, !m.noDirLocks
	l.certain = l.whole || !made
	if l.whole {
		m.locks[dir] = true
	}
	if n != nil {
		m.locks[n] = true
	}
	return nil
}

// lockedLocked returns the error that names the holder of a lock.
func (l *memLock) lockedLocked(n *node) error {
	e := &LockedError{Name: l.name}
	if n != nil {
		b := make([]byte, min(n.live.size, maxHolderBytes))
		n.live.read(b, 0)
		e.Holder = holderText(b)
	}
	return e
}

// writeHolder writes the owner of the lock into its file. The lock holds even if that
// fails, for instance on a full disk.
func (l *memLock) writeHolder() {
	if l.owner == "" {
		return
	}
	l.fill(l.owner + "\n")
}

func (l *memLock) fill(s string) {
	f, err := l.fs.OpenReadWrite(l.name)
	if err != nil {
		return
	}
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(s), 0)
	_ = f.Close()
}

func (l *memLock) Certain() bool { return l.certain }

func (l *memLock) Check() (restored bool, err error) {
	restored, err = l.check()
	if restored {
		l.writeHolder()
	}
	return restored, err
}

func (l *memLock) check() (restored bool, err error) {
	m := l.fs
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.dir == nil {
		return false, nil
	}
	dir, base, err := m.parent(l.name)
	if err != nil || dir != l.dir {
		return false, fmt.Errorf("%w: its directory was removed or replaced", ErrLockLost)
	}
	n := dir.entries[base]
	switch {
	case l.file == nil || n == l.file:
		return false, nil
	case !l.whole:
		return false, fmt.Errorf("%w: %s was removed or replaced", ErrLockLost, base)
	case n != nil && m.locks[n]:
		return false, fmt.Errorf("%w: %s was replaced: %w", ErrLockLost, base, l.lockedLocked(n))
	}
	if n == nil {
		n = &node{}
		m.touch(n)
		m.addName(dir, path.Base(l.name), n)
	}
	delete(m.locks, l.file)
	l.file = n
	m.locks[n] = true
	return true, nil
}

func (l *memLock) Close() error {
	m := l.fs
	m.mu.Lock()
	if l.dir == nil {
		m.mu.Unlock()
		return nil
	}
	at, err := m.find(l.name)
	ours := err == nil && at == l.file && l.owner != ""
	m.mu.Unlock()
	if ours {
		l.fill("")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.whole {
		delete(m.locks, l.dir)
	}
	delete(m.locks, l.file)
	l.dir = nil
	return nil
}
