package storage

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"syscall"

	"tsdb/partition/format"
)

// ensureReserve makes the reserve file: bytes that are there for an edit of the
// manifest when the disk is full, because edits are how space comes back.
func (e *env) ensureReserve(context.Context) error {
	name := path.Join(e.dir, format.ReserveName)
	if info, err := e.fs.Stat(name); err == nil && info.Size == e.opts.ReserveBytes {
		return nil
	} else if err == nil {
		if err := e.fs.Remove(name); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := e.fs.Create(name)
	if err != nil {
		return err
	}
	zeros := make([]byte, min(e.opts.ReserveBytes, 1<<20))
	for off := int64(0); off < e.opts.ReserveBytes && err == nil; off += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), e.opts.ReserveBytes-off)], off)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, e.fs.Remove(name))
	}
	return e.fs.SyncDir(e.dir)
}

// giveReserveUp removes the reserve file. It reports whether there was one.
func (e *env) giveReserveUp() bool {
	if err := e.fs.Remove(path.Join(e.dir, format.ReserveName)); err != nil {
		return false
	}
	e.log.Warn("disk is full: the reserve file was given up for an edit of the manifest")
	return true
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
