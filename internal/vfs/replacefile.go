package vfs

import (
	"errors"
	"path"
)

// ReplaceFile makes b the content of a file in one atomic and durable step: it writes and
// syncs a temporary file, whose name CreateTemp makes with suffix, renames it over name, and
// syncs the directory. After an error the file has either content, and after a crash as
// well.
func ReplaceFile(fsys FS, name, suffix string, b []byte) error {
	f, temp, err := CreateTemp(fsys, name, suffix)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		_ = fsys.Remove(temp) // the next call of CreateTemp removes it as well
		return err
	}
	return fsys.SyncDir(path.Dir(name))
}
