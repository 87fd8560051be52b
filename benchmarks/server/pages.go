package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// DropPages removes the files below dir from the page cache, so that they are read from
// the disk next. Pages that some process has mapped stay.
func DropPages(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = dropPages(path)
		}
		if errors.Is(err, fs.ErrNotExist) { // a file that has left meanwhile
			return nil
		}
		return err
	})
}

func dropPages(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fsync(int(f.Fd())); err != nil { // dirty pages would stay
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
