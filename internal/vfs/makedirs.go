package vfs

import (
	"errors"
	"io/fs"
	"path"
)

// MakeDirs makes a directory and the missing ones above it, so that all of them outlive a
// power cut: MkdirAll does not sync their names.
func MakeDirs(fsys FS, dir string) error {
	dir = path.Clean(dir)
	parents := []string{path.Dir(dir)} // of dir, which may not be synced yet, and of those that are missing
	for at := dir; ; at = path.Dir(at) {
		_, err := fsys.Stat(at)
		if err == nil || at == path.Dir(at) {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if at != dir {
			parents = append(parents, path.Dir(at))
		}
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	for _, p := range parents {
		if err := fsys.SyncDir(p); err != nil {
			return err
		}
	}
	return nil
}
