package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
)

// every runs a test of behaviour that all file systems share.
func every(t *testing.T, test func(t *testing.T, fs FS, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, OS, filepath.ToSlash(t.TempDir())) })
	t.Run("relative os", func(t *testing.T) {
		fs, dir := NewRelative(OS, filepath.ToSlash(t.TempDir()))
		test(t, fs, dir)
	})
	t.Run("relative mem", func(t *testing.T) {
		mem := NewMem()
		must(t, mem.MkdirAll("/srv/data"))
		fs, dir := NewRelative(mem, "/srv/data")
		test(t, fs, dir)
	})
	t.Run("mem", func(t *testing.T) { test(t, NewMem(), "/") })
	t.Run("fault", func(t *testing.T) { test(t, NewFault(NewMem()), "/") })
}

func write(t *testing.T, fsys FS, name, data string) {
	t.Helper()
	f, err := fsys.Create(name)
	must(t, err)
	_, err = f.WriteAt([]byte(data), 0)
	must(t, err)
	must(t, f.Close())
}

func read(t *testing.T, fsys FS, name string) string {
	t.Helper()
	f, err := fsys.Open(name)
	must(t, err)
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return string(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func wantList(t *testing.T, fsys FS, dir string, want ...string) {
	t.Helper()
	got, err := fsys.List(dir)
	must(t, err)
	if !slices.Equal(got, want) {
		t.Fatalf("list %s: got %q, want %q", dir, got, want)
	}
}

func TestFilesReadBackWhatWasWritten(t *testing.T) {
	every(t, func(t *testing.T, fsys FS, dir string) {
		name := dir + "/a"
		f, err := fsys.Create(name)
		must(t, err)
		if f.Name() != name {
			t.Fatalf("name is %q", f.Name())
		}
		data := bytes.Repeat([]byte("0123456789"), 1000)
		_, err = f.WriteAt(data, 5000)
		must(t, err)
		_, err = f.WriteAt([]byte("abc"), 4999)
		must(t, err)
		must(t, f.Truncate(9000))
		must(t, f.Truncate(9100))
		must(t, f.Sync())
		want := make([]byte, 9100)
		copy(want[5000:9000], data)
		copy(want[4999:], "abc")
		got := make([]byte, 9200)
		n, err := f.ReadAt(got, 0)
		if n != 9100 || err != io.EOF || !bytes.Equal(got[:n], want) {
			t.Fatalf("read %d bytes, error %v", n, err)
		}
		n, err = f.ReadAt(got[:100], 9000)
		if n != 100 || err != nil {
			t.Fatalf("read up to the end: %d, %v", n, err)
		}
		if n, err = f.ReadAt(got, 10000); n != 0 || err != io.EOF {
			t.Fatalf("read behind the end: %d, %v", n, err)
		}
		info, err := fsys.Stat(name)
		must(t, err)
		if info.Size != 9100 || info.IsDir {
			t.Fatalf("stat: %+v", info)
		}
		must(t, f.Close())
		if _, err = f.ReadAt(got, 0); !errors.Is(err, fs.ErrClosed) {
			t.Fatalf("read of a closed file: %v", err)
		}
		wantErr(t, f.Close(), fs.ErrClosed)
	})
}

func TestNamesBehaveAsPosixSays(t *testing.T) {
	every(t, func(t *testing.T, fsys FS, dir string) {
		must(t, fsys.MkdirAll(dir+"/x/y"))
		must(t, fsys.MkdirAll(dir+"/x/y"))
		write(t, fsys, dir+"/x/a", "1")
		write(t, fsys, dir+"/x/b", "2")
		_, err := fsys.Create(dir + "/x/a")
		wantErr(t, err, fs.ErrExist)
		_, err = fsys.Create(dir + "/none/a")
		wantErr(t, err, fs.ErrNotExist)
		_, err = fsys.Open(dir + "/x/none")
		wantErr(t, err, fs.ErrNotExist)
		_, err = fsys.OpenReadWrite(dir + "/x/none")
		wantErr(t, err, fs.ErrNotExist)
		_, err = fsys.Stat(dir + "/x/none")
		wantErr(t, err, fs.ErrNotExist)
		wantErr(t, fsys.Remove(dir+"/x/none"), fs.ErrNotExist)
		wantErr(t, fsys.Rename(dir+"/x/none", dir+"/x/c"), fs.ErrNotExist)
		wantErr(t, fsys.Link(dir+"/x/a", dir+"/x/b"), fs.ErrExist)
		if fsys.Remove(dir+"/x") == nil {
			t.Fatal("removed a directory that was not empty")
		}
		must(t, fsys.Rename(dir+"/x/a", dir+"/x/b"))
		wantList(t, fsys, dir+"/x", "b", "y")
		if got := read(t, fsys, dir+"/x/b"); got != "1" {
			t.Fatalf("after rename: %q", got)
		}
		must(t, fsys.Link(dir+"/x/b", dir+"/x/y/c"))
		if info, err := fsys.Stat(dir + "/x/b"); err != nil || info.Links != 2 {
			t.Fatalf("stat of a linked file: %+v, %v", info, err)
		}
		must(t, fsys.Remove(dir+"/x/b"))
		if got := read(t, fsys, dir+"/x/y/c"); got != "1" {
			t.Fatalf("after link: %q", got)
		}
		must(t, fsys.SyncDir(dir+"/x/y"))
		must(t, fsys.Remove(dir+"/x/y/c"))
		must(t, fsys.Remove(dir+"/x/y"))
		wantList(t, fsys, dir+"/x")
		_, err = fsys.List(dir + "/none")
		wantErr(t, err, fs.ErrNotExist)
		if free, err := fsys.FreeBytes(dir); err != nil || free == 0 {
			t.Fatalf("free bytes: %d, %v", free, err)
		} else if total, err := fsys.TotalBytes(dir); err != nil || total < free {
			t.Fatalf("total bytes: %d, %v, with %d free", total, err, free)
		}
	})
}

func TestAnOpenFileOutlivesItsName(t *testing.T) {
	every(t, func(t *testing.T, fsys FS, dir string) {
		write(t, fsys, dir+"/a", "hello")
		f, err := fsys.Open(dir + "/a")
		must(t, err)
		must(t, fsys.Remove(dir+"/a"))
		b := make([]byte, 5)
		_, err = f.ReadAt(b, 0)
		if string(b) != "hello" || err != nil {
			t.Fatalf("read %q, %v", b, err)
		}
		if _, err := f.WriteAt(b, 0); err == nil {
			t.Fatal("wrote to a file opened for reading")
		}
		must(t, f.Close())
	})
}
