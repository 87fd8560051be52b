package vfs

import (
	"io"
	"path"
	"strings"
)

// relative is a file system whose names, also those in errors, are relative to
// a directory.
type relative struct {
	fs          FS
	parent, dir string // absolute; dir is in parent
	base        string // of dir
}

// NewRelative returns a file system in which dir has the name that is returned
// beside it, its last element. Its errors do not reveal the
// location of dir on the disk.
func NewRelative(fsys FS, dir string) (FS, string) {
	dir = path.Clean(dir)
	if dir == "/" || dir == "." {
		return fsys, dir // there is nothing to hide
	}
	r := relative{fs: fsys, parent: path.Dir(dir), dir: dir, base: path.Base(dir)}
	return r, r.base
}

func (r relative) abs(name string) string { return path.Join(r.parent, name) }

// relativeError shows an error with names as the caller knows them.
type relativeError struct {
	err  error
	text string
}

func (e *relativeError) Error() string { return e.text }
func (e *relativeError) Unwrap() error { return e.err }

func (r relative) error(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	text := err.Error()
	short := strings.ReplaceAll(text, r.dir, r.base)
	if r.parent != "/" {
		short = strings.ReplaceAll(short, r.parent, "..")
	}
	if short == text {
		return err
	}
	return &relativeError{err, short}
}

func (r relative) file(f File, err error, name string) (File, error) {
	if err != nil {
		return nil, r.error(err)
	}
	return relativeFile{f, r, name}, nil
}

func (r relative) Create(name string) (File, error) {
	f, err := r.fs.Create(r.abs(name))
	return r.file(f, err, name)
}

func (r relative) Open(name string) (File, error) {
	f, err := r.fs.Open(r.abs(name))
	return r.file(f, err, name)
}

func (r relative) OpenReadWrite(name string) (File, error) {
	f, err := r.fs.OpenReadWrite(r.abs(name))
	return r.file(f, err, name)
}

func (r relative) Remove(name string) error { return r.error(r.fs.Remove(r.abs(name))) }

func (r relative) Rename(oldName, newName string) error {
	return r.error(r.fs.Rename(r.abs(oldName), r.abs(newName)))
}

func (r relative) Link(oldName, newName string) error {
	return r.error(r.fs.Link(r.abs(oldName), r.abs(newName)))
}

func (r relative) MkdirAll(dir string) error { return r.error(r.fs.MkdirAll(r.abs(dir))) }

func (r relative) List(dir string) ([]string, error) {
	names, err := r.fs.List(r.abs(dir))
	return names, r.error(err)
}

func (r relative) Stat(name string) (Info, error) {
	info, err := r.fs.Stat(r.abs(name))
	return info, r.error(err)
}

func (r relative) SyncDir(dir string) error { return r.error(r.fs.SyncDir(r.abs(dir))) }

func (r relative) Lock(name, owner string) (Lock, error) {
	l, err := r.fs.Lock(r.abs(name), owner)
	if err != nil {
		return nil, r.error(err)
	}
	return relativeLock{l, r}, nil
}

func (r relative) FreeBytes(dir string) (uint64, error) {
	n, err := r.fs.FreeBytes(r.abs(dir))
	return n, r.error(err)
}

func (r relative) TotalBytes(dir string) (uint64, error) {
	n, err := r.fs.TotalBytes(r.abs(dir))
	return n, r.error(err)
}

// relativeLock is a lock of a relative file system.
type relativeLock struct {
	l  Lock
	fs relative
}

func (l relativeLock) Close() error  { return l.fs.error(l.l.Close()) }
func (l relativeLock) Certain() bool { return l.l.Certain() }

func (l relativeLock) Check() (restored bool, err error) {
	restored, err = l.l.Check()
	return restored, l.fs.error(err)
}

// relativeFile is an open file of a relative file system.
type relativeFile struct {
	f    File
	fs   relative
	name string
}

func (f relativeFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(p, off)
	return n, f.fs.error(err)
}

func (f relativeFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.f.WriteAt(p, off)
	return n, f.fs.error(err)
}

func (f relativeFile) Close() error              { return f.fs.error(f.f.Close()) }
func (f relativeFile) Sync() error               { return f.fs.error(f.f.Sync()) }
func (f relativeFile) Truncate(size int64) error { return f.fs.error(f.f.Truncate(size)) }

func (f relativeFile) Size() (int64, error) {
	n, err := f.f.Size()
	return n, f.fs.error(err)
}

func (f relativeFile) Name() string { return f.name }
