package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"tsdb/internal/vfs"
)

// remoteSnapshot is a snapshot on a running server, as a file system that cannot be
// changed. Its files are below remoteDir. It is safe for concurrent use.
type remoteSnapshot struct {
	client *snapshotClient
	ctx    context.Context // of the command: vfs.FS has none
	name   string
	files  map[string]int64 // sizes
}

var _ vfs.FS = (*remoteSnapshot)(nil)

// errReadOnly is the error of what would change a remote snapshot.
var errReadOnly = errors.New("a snapshot of a server cannot be changed")

func notExist(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

func (s *remoteSnapshot) Create(string) (vfs.File, error)        { return nil, errReadOnly }
func (s *remoteSnapshot) OpenReadWrite(string) (vfs.File, error) { return nil, errReadOnly }
func (s *remoteSnapshot) Remove(string) error                    { return errReadOnly }
func (s *remoteSnapshot) Rename(string, string) error            { return errReadOnly }
func (s *remoteSnapshot) Link(string, string) error              { return errReadOnly }
func (s *remoteSnapshot) MkdirAll(string) error                  { return errReadOnly }
func (s *remoteSnapshot) SyncDir(string) error                   { return errReadOnly }
func (s *remoteSnapshot) FreeBytes(string) (uint64, error)       { return 0, errReadOnly }
func (s *remoteSnapshot) TotalBytes(string) (uint64, error)      { return 0, errReadOnly }

// Lock implements vfs.FS. A snapshot that is only read needs no lock.
func (s *remoteSnapshot) Lock(string, string) (vfs.Lock, error) { return remoteLock{}, nil }

type remoteLock struct{}

func (remoteLock) Close() error         { return nil }
func (remoteLock) Check() (bool, error) { return false, nil }
func (remoteLock) Certain() bool        { return true }

// Open implements vfs.FS.
func (s *remoteSnapshot) Open(name string) (vfs.File, error) {
	size, ok := s.files[name]
	if !ok {
		return nil, notExist("open", name)
	}
	return &remoteFile{snapshot: s, name: name, size: size}, nil
}

// List implements vfs.FS.
func (s *remoteSnapshot) List(dir string) ([]string, error) {
	var names []string
	for name := range s.files {
		if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			first, _, _ := strings.Cut(rest, "/")
			names = append(names, first)
		}
	}
	if names == nil {
		return nil, notExist("list", dir)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Stat implements vfs.FS.
func (s *remoteSnapshot) Stat(name string) (vfs.Info, error) {
	if size, ok := s.files[name]; ok {
		return vfs.Info{Size: size, Links: 1}, nil
	}
	for file := range s.files {
		if strings.HasPrefix(file, name+"/") {
			return vfs.Info{IsDir: true}, nil
		}
	}
	return vfs.Info{}, notExist("stat", name)
}

// remoteFile is a file of a remote snapshot.
type remoteFile struct {
	snapshot *remoteSnapshot
	name     string
	size     int64
}

func (f *remoteFile) Name() string                       { return f.name }
func (f *remoteFile) Size() (int64, error)               { return f.size, nil }
func (f *remoteFile) Close() error                       { return nil }
func (f *remoteFile) Sync() error                        { return errReadOnly }
func (f *remoteFile) Truncate(int64) error               { return errReadOnly }
func (f *remoteFile) WriteAt([]byte, int64) (int, error) { return 0, errReadOnly }

func (f *remoteFile) ReadAt(p []byte, off int64) (int, error) {
	n := int(min(int64(len(p)), max(f.size-off, 0)))
	if n > 0 {
		if err := f.snapshot.readRange(strings.TrimPrefix(f.name, remoteDir+"/"), p[:n], off); err != nil {
			return 0, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
