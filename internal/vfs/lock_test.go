package vfs

import (
	"errors"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnlyOneHolderHasALock(t *testing.T) {
	every(t, func(t *testing.T, fsys FS, dir string) {
		name := dir + "/LOCK"
		l, err := fsys.Lock(name, "pid 7\nand more")
		must(t, err)
		if !l.Certain() {
			t.Error("not certain")
		}
		for _, owner := range []string{"", "pid 8"} {
			_, err = fsys.Lock(name, owner)
			wantErr(t, err, ErrLocked)
			var locked *LockedError
			if !errors.As(err, &locked) || locked.Holder != "pid 7" || !strings.Contains(err.Error(), "pid 7") {
				t.Errorf("error %v", err)
			}
		}
		must(t, l.Close())
		must(t, l.Close())
		l, err = fsys.Lock(name, "pid 8")
		must(t, err)
		must(t, l.Close())
		wantList(t, fsys, dir, "LOCK")
	})
}

// Without an owner a directory is locked and nothing in it is made or changed.
func TestLockWithoutOwnerChangesNothing(t *testing.T) {
	every(t, func(t *testing.T, fsys FS, dir string) {
		name := dir + "/LOCK"
		l, err := fsys.Lock(name, "")
		must(t, err)
		wantList(t, fsys, dir)
		if _, err := l.Check(); err != nil {
			t.Error(err)
		}
		_, err = fsys.Lock(name, "pid 8")
		wantErr(t, err, ErrLocked)
		must(t, l.Close())
		write(t, fsys, name, "as somebody left it\x00\x1b[1m")
		l, err = fsys.Lock(name, "")
		must(t, err)
		_, err = fsys.Lock(name, "pid 8")
		var locked *LockedError
		if !errors.As(err, &locked) || locked.Holder != "as somebody left it[1m" {
			t.Errorf("error %v", err)
		}
		must(t, l.Close())
		l, err = fsys.Lock(name, "pid 9") // old content does not matter
		must(t, err)
		must(t, l.Close())
	})
}

// Where the directory is locked, removing the file does not free the lock, and the
// holder puts it back.
func TestRemovedLockFileIsPutBack(t *testing.T) {
	every(t, func(t *testing.T, fsys FS, dir string) {
		name := dir + "/LOCK"
		l, err := fsys.Lock(name, "pid 7")
		must(t, err)
		must(t, fsys.Remove(name))
		_, err = fsys.Lock(name, "pid 8")
		wantErr(t, err, ErrLocked)
		wantList(t, fsys, dir)
		for i, want := range []bool{true, false} {
			if restored, err := l.Check(); restored != want || err != nil {
				t.Errorf("check %d: restored %v, %v", i+1, restored, err)
			}
		}
		var locked *LockedError
		if _, err = fsys.Lock(name, "pid 8"); !errors.As(err, &locked) || locked.Holder != "pid 7" {
			t.Errorf("error %v", err)
		}
		must(t, l.Close())
		l, err = fsys.Lock(name, "pid 8")
		must(t, err)
		must(t, l.Close())
	})
}

// A directory that was replaced belongs to another process.
func TestLockOfAReplacedDirectoryIsLost(t *testing.T) {
	every(t, func(t *testing.T, fsys FS, dir string) {
		must(t, fsys.MkdirAll(dir+"/d"))
		l, err := fsys.Lock(dir+"/d/LOCK", "pid 7")
		must(t, err)
		must(t, fsys.Rename(dir+"/d", dir+"/old"))
		must(t, fsys.MkdirAll(dir+"/d"))
		if restored, err := l.Check(); restored || !errors.Is(err, ErrLockLost) {
			t.Errorf("restored %v, %v", restored, err)
		}
		must(t, l.Close())
	})
}

// withoutDirLocks calls f with the lock functions of file systems that cannot
// lock directories.
func withoutDirLocks(t *testing.T, f func(t *testing.T, fsys FS, dir string, lock func(name, owner string) (Lock, error))) {
	t.Run("mem", func(t *testing.T) {
		m := NewMem()
		m.SetDirLocks(false)
		must(t, m.MkdirAll("d"))
		f(t, m, "d", m.Lock)
	})
	for _, refusal := range []error{unix.EBADF, unix.ENOTSUP, unix.EINVAL, unix.ENOLCK} {
		t.Run(refusal.Error(), func(t *testing.T) {
			f(t, OS, filepath.ToSlash(t.TempDir()), func(name, owner string) (Lock, error) {
				return lockOS(name, owner, func(int) error { return refusal })
			})
		})
	}
}

// Where directories cannot be locked, the file is all there is: its holder
// finds out that it was removed, and the next one that somebody may have it.
func TestLockThatRestsOnItsFile(t *testing.T) {
	withoutDirLocks(t, func(t *testing.T, fsys FS, dir string, lock func(name, owner string) (Lock, error)) {
		name := path.Join(dir, "LOCK")
		l, err := lock(name, "pid 7")
		must(t, err)
		_, err = lock(name, "pid 8")
		wantErr(t, err, ErrLocked)
		if restored, err := l.Check(); restored || err != nil {
			t.Errorf("restored %v, %v", restored, err)
		}
		must(t, fsys.Remove(name))
		second, err := lock(name, "pid 8")
		must(t, err)
		if second.Certain() {
			t.Error("the second holder is certain")
		}
		if restored, err := l.Check(); restored || !errors.Is(err, ErrLockLost) {
			t.Errorf("restored %v, %v", restored, err)
		}
		if _, err := second.Check(); err != nil {
			t.Error(err)
		}
		must(t, l.Close())
		must(t, second.Close())
		third, err := lock(name, "pid 9")
		must(t, err)
		if !third.Certain() {
			t.Error("the file was there, and its lock proves nothing")
		}
		must(t, third.Close())
	})
}
