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
func ReadFile(fsys vfs.FS, name string, max int64) ([]byte, error) {
	return vfs.ReadFile(fsys, name, func(size int64) error {
		if size > max {
			return fmt.Errorf("%s has %d bytes, at most %d are read", name, size, max)
		}
		return nil
	})
}

// IsNoSpace reports whether an error means a full disk.
func IsNoSpace(err error) bool { return errors.Is(err, syscall.ENOSPC) }
