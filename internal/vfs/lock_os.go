package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// lockAttempts bounds how often a lock's file may vanish while it is locked.
const lockAttempts = 10

// osLock is a lock by flock. The kernel releases it when the process ends in any way,
// and it also excludes a second opener in the same process. It is held on the
// directory, if the file system supports that, and on a file in it, the only lock that
// earlier versions of the program check.
type osLock struct {
	name, owner string
	certain     bool

	mu    sync.Mutex
	dir   *os.File // nil once closed
	whole bool     // dir is locked
	file  *os.File // nil if there was none, and none was to be made
}

func flock(fd int) error {
	return retry(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
}

// Lock implements FS.
func (osFS) Lock(name, owner string) (Lock, error) { return lockOS(name, owner, flock) }

func lockOS(name, owner string, flockDir func(fd int) error) (_ Lock, err error) {
	l := &osLock{name: filepath.FromSlash(name), owner: owner}
	if l.dir, err = os.Open(filepath.Dir(l.name)); err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	switch err := flockDir(int(l.dir.Fd())); {
	case err == nil:
		l.whole = true
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(&LockedError{Name: name, Holder: readHolder(l.name)}, l.dir.Close())
	case !lacksDirLocks(err):
		return nil, errors.Join(fmt.Errorf("lock %s: %w", filepath.Dir(l.name), err), l.dir.Close())
	}
	made := false
	if l.file, made, err = lockFile(l.name, owner); err != nil {
		return nil, errors.Join(err, l.dir.Close())
	}
	l.certain = l.whole || !made
	return l, nil
}

// lacksDirLocks reports whether an error means that directories cannot be locked
// here. NFS returns EBADF, because it requires a file open for writing.
func lacksDirLocks(err error) bool {
	for _, e := range []error{unix.EBADF, unix.EINVAL, unix.EISDIR, unix.ENOLCK, unix.ENOSYS, unix.ENOTSUP, unix.EOPNOTSUPP, unix.EACCES, unix.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// lockFile locks a file and writes its owner into it. Without an owner it is
// only read, and a file that is not there is nil.
func lockFile(name, owner string) (f *os.File, made bool, err error) {
	for range lockAttempts {
		flags := os.O_RDONLY
		if owner != "" {
			flags = os.O_RDWR
		}
		made = false
		f, err = os.OpenFile(name, flags, fileMode)
		if errors.Is(err, fs.ErrNotExist) {
			if owner == "" {
				return nil, false, nil
			}
			f, err = os.OpenFile(name, flags|os.O_CREATE|os.O_EXCL, fileMode)
			if errors.Is(err, fs.ErrExist) {
				continue
			}
			made = true
		}
		if err != nil {
			return nil, false, fmt.Errorf("lock %s: %w", name, err)
		}
		if err := flock(int(f.Fd())); err != nil {
			if errors.Is(err, unix.EWOULDBLOCK) {
				err = &LockedError{Name: name, Holder: readHolder(name)}
			} else {
				err = fmt.Errorf("lock %s: %w", name, err)
			}
			return nil, false, errors.Join(err, f.Close())
		}
		if same, err := isAt(f, name); err == nil && same {
			if owner != "" {
				writeHolder(f, owner)
			}
			return f, made, nil
		}
		_ = f.Close() // it was removed before it was locked
	}
	return nil, false, fmt.Errorf("lock %s: removed %d times while it was locked", name, lockAttempts)
}

// writeHolder writes the owner of the lock into its file. The lock holds even if that
// fails, for instance on a full disk.
func writeHolder(f *os.File, owner string) {
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(owner+"\n"), 0)
}

// readHolder returns the content of a lock's file, "" if it cannot be read.
func readHolder(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxHolderBytes))
	if err != nil {
		return ""
	}
	return holderText(b)
}

// isAt reports whether name refers to the open file.
func isAt(f *os.File, name string) (bool, error) {
	open, err := f.Stat()
	if err != nil {
		return false, err
	}
	at, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return os.SameFile(open, at), nil
}

func (l *osLock) Certain() bool { return l.certain }

func (l *osLock) Check() (restored bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir == nil {
		return false, nil
	}
	if same, err := isAt(l.dir, filepath.Dir(l.name)); err == nil && !same {
		return false, fmt.Errorf("%w: its directory was removed or replaced", ErrLockLost)
	}
	if l.file == nil {
		return false, nil
	}
	if same, err := isAt(l.file, l.name); err != nil || same {
		return false, nil
	}
	if !l.whole {
		return false, fmt.Errorf("%w: %s was removed or replaced", ErrLockLost, filepath.Base(l.name))
	}
	f, _, err := lockFile(l.name, l.owner)
	switch {
	case errors.Is(err, ErrLocked): // by an earlier version, which locks no directory
		return false, fmt.Errorf("%w: %s was replaced: %w", ErrLockLost, filepath.Base(l.name), err)
	case err != nil || f == nil:
		return false, nil // the directory's lock holds
	}
	_ = l.file.Close()
	l.file = f
	return true, nil
}

// Close empties the file, since the lock no longer has a holder, and releases the
// locks.
func (l *osLock) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir == nil {
		return nil
	}
	var err error
	if l.file != nil {
		if l.owner != "" {
			_ = l.file.Truncate(0)
		}
		err = l.file.Close()
	}
	err = errors.Join(err, l.dir.Close())
	l.dir, l.file = nil, nil
	return err
}
