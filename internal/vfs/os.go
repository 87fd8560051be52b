package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// OS is the file system of the operating system.
var OS FS = osFS{}

// New files and directories are accessible to their owner and readable by its group,
// for backups and inspection. Existing ones keep their mode.
const (
	fileMode fs.FileMode = 0o640
	dirMode  fs.FileMode = 0o750
)

type osFS struct{}

func (osFS) Create(name string) (File, error) {
	return openOS(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (osFS) Open(name string) (File, error) { return openOS(name, os.O_RDONLY) }

func (osFS) OpenReadWrite(name string) (File, error) { return openOS(name, os.O_RDWR) }

func (osFS) Remove(name string) error { return os.Remove(filepath.FromSlash(name)) }

func (osFS) Rename(oldName, newName string) error {
	return os.Rename(filepath.FromSlash(oldName), filepath.FromSlash(newName))
}

func (osFS) Link(oldName, newName string) error {
	return os.Link(filepath.FromSlash(oldName), filepath.FromSlash(newName))
}

func (osFS) MkdirAll(dir string) error { return os.MkdirAll(filepath.FromSlash(dir), dirMode) }

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.FromSlash(dir))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (osFS) Stat(name string) (Info, error) {
	st, err := os.Stat(filepath.FromSlash(name))
	if err != nil {
		return Info{}, err
	}
	info := Info{Size: st.Size(), IsDir: st.IsDir(), Links: 1, ModTime: st.ModTime()}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		info.Links = int(sys.Nlink)
	}
	return info, nil
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(filepath.FromSlash(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osFS) FreeBytes(dir string) (uint64, error) {
	st, err := statfs(dir)
	return uint64(st.Bavail) * uint64(st.Bsize), err
}

func (osFS) TotalBytes(dir string) (uint64, error) {
	st, err := statfs(dir)
	return uint64(st.Blocks) * uint64(st.Bsize), err
}

func statfs(dir string) (st unix.Statfs_t, err error) {
	if err := retry(func() error { return unix.Statfs(filepath.FromSlash(dir), &st) }); err != nil {
		return unix.Statfs_t{}, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return st, nil
}

// osFile adds the missing methods of File to os.File.
type osFile struct {
	*os.File
	name string
}

func openOS(name string, flag int) (File, error) {
	f, err := os.OpenFile(filepath.FromSlash(name), flag, fileMode)
	if err != nil {
		return nil, err
	}
	return osFile{File: f, name: name}, nil
}

func (f osFile) Name() string { return f.name }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Sync flushes data and size but not times, which saves a journal commit when
// the size did not change. The descriptor is held by SyscallConn meanwhile, so
// a concurrent Close cannot make it sync another file.
func (f osFile) Sync() error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = conn.Control(func(fd uintptr) {
		serr = retry(func() error { return datasync(int(fd)) })
	})
	if err == nil && serr != nil {
		err = &fs.PathError{Op: "fdatasync", Path: f.name, Err: serr}
	}
	return err
}

// retry repeats a system call that a signal interrupted before it did anything.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
