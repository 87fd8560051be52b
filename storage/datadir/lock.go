package datadir

import (
	"errors"
	"fmt"
	"path"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// ErrInUse is returned when another process has the data directory.
var ErrInUse = errors.New("data directory is in use by another process")

// LockError returns the error of a lock of dir that failed: ErrInUse with the
// holder, if another process has it.
func LockError(dir string, err error) error {
	var locked *vfs.LockedError
	switch {
	case errors.As(err, &locked) && locked.Holder != "":
		return fmt.Errorf("%s: %w (%s names %s)", dir, ErrInUse, format.LockName, locked.Holder)
	case errors.Is(err, vfs.ErrLocked):
		return fmt.Errorf("%s: %w", dir, ErrInUse)
	}
	return fmt.Errorf("lock data directory: %w", err)
}

// Lock locks an existing data directory for a command, which changes it if owner
// is not empty: owner then names the command.
func Lock(fs vfs.FS, dir, owner string) (unlock func(), err error) {
	if err := checkIsDataDir(fs, dir); err != nil {
		return nil, err
	}
	l, err := fs.Lock(path.Join(dir, format.LockName), owner)
	if err != nil {
		return nil, LockError(dir, err)
	}
	return func() { _ = l.Close() }, nil
}

// checkIsDataDir returns an error if dir is not a data directory. One that has lost
// its log still is.
func checkIsDataDir(fs vfs.FS, dir string) (err error) {
	for _, name := range []string{format.WALDir, format.ManifestName, format.TwinName, format.SegmentsName} {
		if _, err = fs.Stat(path.Join(dir, name)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s is not a data directory: %w", dir, err)
}
