package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// copyBytes is the size of the reads and writes of Copy.
const copyBytes = 1 << 20

// LinkOrCopy gives the file oldName the second name newName or, if the file system
// refuses links, makes a synced copy of it. It returns the number of bytes copied, 0
// for a link. The name is durable after SyncDir.
func LinkOrCopy(fsys FS, oldName, newName string) (copied int64, err error) {
	err = fsys.Link(oldName, newName)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return 0, err
	}
	info, err := fsys.Stat(oldName)
	if err != nil {
		return 0, err
	}
	return info.Size, Copy(fsys, oldName, newName, info.Size)
}

// Copy makes a new, synced file with the first n bytes of another. On failure the new
// file is removed, if possible.
func Copy(fsys FS, oldName, newName string, n int64) (err error) {
	from, err := fsys.Open(oldName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := fsys.Create(newName)
	if err != nil {
		return err
	}
	buf := make([]byte, min(copyBytes, max(n, 1)))
	for off := int64(0); off < n && err == nil; {
		part := buf[:min(int64(len(buf)), n-off)]
		var got int
		if got, err = from.ReadAt(part, off); got == len(part) {
			_, err = to.WriteAt(part, off)
		} else if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		off += int64(len(part))
	}
	if err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return errors.Join(fmt.Errorf("copy %s to %s: %w", oldName, newName, err), fsys.Remove(newName))
	}
	return nil
}

// RemoveAll removes a file or a directory with all that is in it. A missing one is
// no error.
func RemoveAll(fsys FS, name string) error {
	info, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if info.IsDir {
		names, err := fsys.List(name)
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := RemoveAll(fsys, name+"/"+n); err != nil {
				return err
			}
		}
	}
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
