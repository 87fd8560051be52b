package partitiontest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"
	"testing"

	"tsdb/internal/vfs"
)

// PutFile writes a file in the place of one that is there.
func PutFile(t *testing.T, fsys vfs.FS, name string, b []byte) {
	t.Helper()
	Must(t, fsys.MkdirAll(path.Dir(name)))
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	f, err := fsys.Create(name)
	Must(t, err)
	_, err = f.WriteAt(b, 0)
	Must(t, err)
	Must(t, f.Close())
}

// ReadFile reads a whole file of at most max bytes.
func ReadFile(fsys vfs.FS, name string, max int64) (_ []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil || size > max {
		return nil, errors.Join(err, fmt.Errorf("%s has %d bytes, at most %d are read", name, size, max))
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); int64(n) < size {
		return nil, err
	}
	return b, nil
}

// IsNoSpace reports whether an error means a full disk.
func IsNoSpace(err error) bool { return errors.Is(err, syscall.ENOSPC) }
