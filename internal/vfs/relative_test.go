package vfs

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Errors name files as the caller does, and are the same errors.
func TestRelativeErrorsHideTheDirectory(t *testing.T) {
	fault := NewFault(NewMem())
	must(t, fault.MkdirAll("/srv/secret/data"))
	fsys, dir := NewRelative(fault, "/srv/secret/data")
	if dir != "data" {
		t.Fatalf("dir is %q", dir)
	}
	write(t, fsys, dir+"/a", "x")
	f, err := fsys.OpenReadWrite(dir + "/a")
	must(t, err)
	defer f.Close()
	check := func(what string, err, want error) {
		t.Helper()
		wantErr(t, err, want)
		if text := err.Error(); strings.Contains(text, "secret") || strings.Contains(text, "/srv") {
			t.Errorf("%s: %s", what, text)
		}
	}
	_, err = fsys.Open(dir + "/missing")
	check("open", err, fs.ErrNotExist)
	_, err = fsys.Create(dir + "/a")
	check("create", err, fs.ErrExist)
	check("remove", fsys.Remove(dir+"/missing"), fs.ErrNotExist)
	check("rename", fsys.Rename(dir+"/missing", dir+"/b"), fs.ErrNotExist)
	check("link", fsys.Link(dir+"/missing", dir+"/b"), fs.ErrNotExist)
	_, err = fsys.List("elsewhere")
	check("list", err, fs.ErrNotExist)

	// A full disk, in every operation that can meet one.
	full := func(o Op) error { return &fs.PathError{Op: "write", Path: o.Name, Err: syscall.ENOSPC} }
	fault.SetHook(full)
	_, err = fsys.Create(dir + "/c")
	check("create on a full disk", err, syscall.ENOSPC)
	_, err = f.WriteAt([]byte("y"), 0)
	check("write on a full disk", err, syscall.ENOSPC)
	check("sync on a full disk", f.Sync(), syscall.ENOSPC)
	check("truncate on a full disk", f.Truncate(1<<20), syscall.ENOSPC)
	check("mkdir on a full disk", fsys.MkdirAll(dir+"/d"), syscall.ENOSPC)
	check("sync of a directory on a full disk", fsys.SyncDir(dir), syscall.ENOSPC)
	_, err = fsys.Lock(dir+"/LOCK", "somebody")
	check("lock on a full disk", err, syscall.ENOSPC)
	fault.SetHook(nil)
}

func TestRelativeOfARootIsTheFileSystemItself(t *testing.T) {
	for _, dir := range []string{"/", "."} {
		if fsys, name := NewRelative(OS, dir); fsys != OS || name != dir {
			t.Errorf("%s: %v, %s", dir, fsys, name)
		}
	}
	fsys, name := NewRelative(NewMem(), "/data")
	must(t, fsys.MkdirAll(name))
	if _, err := fsys.Open(name + "/x"); err == nil || strings.Contains(err.Error(), "/data") {
		t.Errorf("%s: %v", name, err)
	}
}

// Files and directories are not for everybody; what is there keeps its mode.
func TestOSModes(t *testing.T) {
	root := t.TempDir()
	was := filepath.Join(root, "was")
	must(t, os.Mkdir(was, 0o700))
	must(t, os.Chmod(was, 0o755)) // whatever the umask
	dir := filepath.ToSlash(filepath.Join(was, "new", "deeper"))
	must(t, OS.MkdirAll(dir))
	write(t, OS, dir+"/file", "x")
	lock, err := OS.Lock(dir+"/LOCK", "somebody")
	must(t, err)
	must(t, lock.Close())
	for name, want := range map[string]fs.FileMode{was: 0o755, filepath.Dir(dir): 0o750, dir: 0o750, dir + "/file": 0o640, dir + "/LOCK": 0o640} {
		st, err := os.Stat(name)
		must(t, err)
		if got := st.Mode().Perm(); got&^want != 0 || name == was && got != want {
			t.Errorf("%s has mode %o, want %o at most", name, got, want)
		}
	}
}
