package objstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"tsdb/internal/objstore"
	"tsdb/internal/objstore/objstoretest"
	"tsdb/internal/vfs"
)

func TestStoresBehaveTheSame(t *testing.T) {
	t.Run("mem", func(t *testing.T) {
		objstoretest.Test(t, func(*testing.T) objstore.Store { return objstoretest.NewMem() })
	})
	t.Run("directory", func(t *testing.T) {
		objstoretest.Test(t, func(t *testing.T) objstore.Store {
			return objstore.NewDir(vfs.OS, filepath.ToSlash(t.TempDir()))
		})
	})
	t.Run("directory in memory", func(t *testing.T) {
		objstoretest.Test(t, func(t *testing.T) objstore.Store {
			m := vfs.NewMem()
			t.Cleanup(func() {
				if m.OpenFiles() > 0 {
					t.Errorf("%d files are left open", m.OpenFiles())
				}
			})
			return objstore.NewDir(m, "data")
		})
	})
}

const key = "raw/2026-11-21/l1-a.tsb"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes an object and commits it; if that fails it aborts.
func put(s objstore.Store, key string, data []byte) (objstore.Identity, error) {
	w, err := s.Create(bg, key)
	if err != nil {
		return objstore.Identity{}, err
	}
	id := objstore.Identity{}
	if _, err = w.Write(data); err == nil {
		id, err = w.Commit(bg)
	}
	if err != nil {
		_ = w.Abort() // the first error says more
	}
	return id, err
}

// The order of operations on files is that on which recovery relies: content
// first, then names from the innermost on.
func TestDirSyncsContentBeforeNames(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	d := objstore.NewDir(fault, "data")
	check := func(what, want string, run func()) {
		t.Helper()
		fault.Record(true)
		run()
		if got := fault.Transcript(); got != want {
			t.Errorf("%s:\n%swant\n%s", what, got, want)
		}
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 40_000) // 640 KB
	check("commit", `mkdir data/raw/2026-11-21
create data/raw/2026-11-21/l1-a.tsb
write data/raw/2026-11-21/l1-a.tsb @0+250000
write data/raw/2026-11-21/l1-a.tsb @250000+250000
write data/raw/2026-11-21/l1-a.tsb @500000+140000
sync data/raw/2026-11-21/l1-a.tsb
close data/raw/2026-11-21/l1-a.tsb
sync-dir data/raw/2026-11-21
sync-dir data/raw
sync-dir data
`, func() {
		w, err := d.Create(bg, key)
		must(t, err)
		for part := range slices.Chunk(data, 50_000) {
			_, err := w.Write(part)
			must(t, err)
		}
		_, err = w.Commit(bg)
		must(t, err)
	})
	check("the same again", `mkdir data/raw/2026-11-21
create data/raw/2026-11-21/l1-a.tsb: create data/raw/2026-11-21/l1-a.tsb: file already exists
remove data/raw/2026-11-21/l1-a.tsb.2.tmp: remove data/raw/2026-11-21/l1-a.tsb.2.tmp: file does not exist
create data/raw/2026-11-21/l1-a.tsb.2.tmp
write data/raw/2026-11-21/l1-a.tsb.2.tmp @0+640000
sync data/raw/2026-11-21/l1-a.tsb.2.tmp
close data/raw/2026-11-21/l1-a.tsb.2.tmp
stat data/raw/2026-11-21/l1-a.tsb
open data/raw/2026-11-21/l1-a.tsb
size data/raw/2026-11-21/l1-a.tsb
read data/raw/2026-11-21/l1-a.tsb @635904+4096
close data/raw/2026-11-21/l1-a.tsb
rename data/raw/2026-11-21/l1-a.tsb.2.tmp -> data/raw/2026-11-21/l1-a.tsb
sync-dir data/raw/2026-11-21
sync-dir data/raw
sync-dir data
stat data/raw/2026-11-21/l1-a.tsb
open data/raw/2026-11-21/l1-a.tsb
size data/raw/2026-11-21/l1-a.tsb
read data/raw/2026-11-21/l1-a.tsb @635904+4096
close data/raw/2026-11-21/l1-a.tsb
sync-dir data/raw/2026-11-21
sync-dir data/raw
sync-dir data
`, func() {
		_, err := put(d, key, data)
		must(t, err)
	})
	check("delete", `remove data/raw/2026-11-21/l1-a.tsb
remove data/raw/2026-11-21/none.tsb: remove data/raw/2026-11-21/none.tsb: file does not exist
sync-dir data/raw/2026-11-21
`, func() {
		if errs := d.Delete(bg, key, "raw/2026-11-21/none.tsb"); errs != nil {
			t.Fatal(errs)
		}
	})
	check("abort", `mkdir data/l0
create data/l0/a.tsb
close data/l0/a.tsb
remove data/l0/a.tsb
`, func() {
		w, err := d.Create(bg, "l0/a.tsb")
		must(t, err)
		must(t, w.Abort())
	})
}

func TestDirSyncsLongFilesAsTheyGrow(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	fault.Count(vfs.Ops(vfs.OpSync))
	d := objstore.NewDir(fault, "data")
	w, err := d.Create(bg, key)
	must(t, err)
	part := make([]byte, 1<<20)
	for range 40 {
		_, err := w.Write(part)
		must(t, err)
	}
	if fault.N() != 2 {
		t.Errorf("%d syncs in the first 40 MiB", fault.N())
	}
	_, err = w.Commit(bg)
	must(t, err)
	if fault.N() != 3 {
		t.Errorf("%d syncs of 40 MiB", fault.N())
	}
}

// Whatever operation fails, the call says so, no file stays open, what was there
// before stays, and the same call succeeds afterwards.
func TestDirSurvivesAFailureOfAnyOperation(t *testing.T) {
	small, large := []byte("small"), bytes.Repeat([]byte("large"), 100_000)
	for _, test := range []struct {
		name string
		run  func(d *objstore.Dir) error
	}{
		{"create", func(d *objstore.Dir) error { _, err := put(d, key, large); return err }},
		{"create again", func(d *objstore.Dir) error { _, err := put(d, "l0/old.tsb", small); return err }},
		{"head", func(d *objstore.Dir) error { _, err := d.Head(bg, "l0/old.tsb"); return err }},
		{"list", func(d *objstore.Dir) error { _, err := d.List(bg, ""); return err }},
		{"delete", func(d *objstore.Dir) error { return errors.Join(d.Delete(bg, "l0/other.tsb", "l0/none.tsb")...) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			for k := 1; ; k++ {
				m := vfs.NewMem()
				fault := vfs.NewFault(m)
				d := objstore.NewDir(fault, "data")
				for _, key := range []string{"l0/old.tsb", "l0/other.tsb"} {
					_, err := put(d, key, small)
					must(t, err)
				}
				from := fault.N()
				fault.FailAt(from+k, syscall.EIO)
				err := test.run(d)
				if fault.N() < from+k {
					must(t, err)
					if k == 1 {
						t.Error("no operation could fail")
					}
					return
				}
				fault.SetHook(nil)
				// An older temporary file that cannot be removed is left, and one
				// that is read may fail to close after its content is known.
				if err != nil && !errors.Is(err, syscall.EIO) {
					t.Errorf("operation %d: %v", k, err)
				}
				if m.OpenFiles() > 0 {
					t.Errorf("operation %d: %d files are open", k, m.OpenFiles())
				}
				if id, err := d.Head(bg, "l0/old.tsb"); err != nil || id != objstore.IdentityOf(5, small) {
					t.Errorf("operation %d: the old object is %v, %v", k, id, err)
				}
				must(t, test.run(d))
			}
		})
	}
}

// A crash before any operation leaves an object that was committed as it was, and
// of one that was not, nothing that passes for it.
func TestDirSurvivesACrashAtAnyOperation(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 60_000)
	want := objstore.IdentityOf(int64(len(data)), data)
	for _, again := range []bool{false, true} {
		m := vfs.NewMem()
		must(t, m.MkdirAll("data"))
		must(t, m.SyncDir(""))
		fault := vfs.NewFault(m)
		d := objstore.NewDir(fault, "data")
		if again {
			_, err := put(d, key, data)
			must(t, err)
		}
		states := 0
		look := func(when string, committed bool) {
			for seed, mode := range []vfs.CrashMode{vfs.CrashLose, vfs.CrashSectors, vfs.CrashSectors, vfs.CrashTorn, vfs.CrashTorn} {
				states++
				fsys := m.CrashClone(vfs.CrashOptions{Mode: mode, Keep: 0.5, Rand: rand.New(rand.NewSource(int64(seed)))})
				after := objstore.NewDir(fsys, "data")
				id, err := after.Head(bg, key)
				if committed && (err != nil || id != want) {
					t.Fatalf("crash %s: %v, %v", when, id, err)
				}
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("crash %s: %v", when, err)
				}
				// Whatever is there, the object can be had: anew, because it is
				// identical, or once the torn one is deleted.
				if _, err = put(after, key, data); errors.Is(err, objstore.ErrConflict) && !committed {
					if errs := after.Delete(bg, key); errs != nil {
						t.Fatal(errs)
					}
					_, err = put(after, key, data)
				}
				must(t, err)
				if got := readAll(t, after, key); !bytes.Equal(got, data) {
					t.Fatalf("crash %s: the object written again has other bytes", when)
				}
			}
		}
		fault.Count(vfs.MutatingOps)
		fault.SetHook(func(o vfs.Op) error {
			look(fmt.Sprintf("before %v", o), again)
			return nil
		})
		_, err := put(d, key, data)
		must(t, err)
		fault.SetHook(nil)
		look("after the commit", true)
		if states < 40 {
			t.Errorf("only %d states", states)
		}
	}
}

func TestHeadOfAnUnreadableObjectSaysThatItIsThere(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	d := objstore.NewDir(fault, "data")
	_, err := put(d, key, []byte("x"))
	must(t, err)
	for _, kind := range []vfs.OpKind{vfs.OpOpen, vfs.OpSize, vfs.OpRead} {
		fault.SetHook(func(o vfs.Op) error {
			if o.Kind == kind {
				return syscall.EIO
			}
			return nil
		})
		if _, err := d.Head(bg, key); !errors.Is(err, objstore.ErrUnreadable) || !errors.Is(err, syscall.EIO) {
			t.Errorf("%v fails: %v", kind, err)
		}
	}
}

// A failed attempt whose file is torn, or cannot be removed, is a conflict with
// the identity of what is there.
func TestDirRefusesTheNameOfATornObject(t *testing.T) {
	m := vfs.NewMem()
	f := newFile(t, m, "data/"+key, "half")
	must(t, f.Close())
	_, err := put(objstore.NewDir(m, "data"), key, []byte("half and half"))
	var conflict *objstore.ConflictError
	if !errors.As(err, &conflict) || conflict.Existing.Size != 4 || conflict.Mine.Size != 13 {
		t.Fatalf("commit over a torn object: %v", err)
	}
	if keys, err := objstore.NewDir(m, "data").List(bg, ""); err != nil || !slices.Equal(keys, []string{key}) {
		t.Errorf("left: %q, %v", keys, err)
	}
}

func readAll(t *testing.T, s objstore.Store, key string) []byte {
	t.Helper()
	o, err := s.Open(bg, key)
	must(t, err)
	data := make([]byte, o.Size())
	must(t, errors.Join(o.ReadAt(bg, data, 0), o.Close()))
	return data
}

func newFile(t *testing.T, fsys vfs.FS, name, data string) vfs.File {
	t.Helper()
	must(t, fsys.MkdirAll(name[:strings.LastIndexByte(name, '/')]))
	f, err := fsys.Create(name)
	must(t, err)
	_, err = f.WriteAt([]byte(data), 0)
	must(t, err)
	return f
}

func TestDirListsUnfinishedObjectsButNoOtherFiles(t *testing.T) {
	m := vfs.NewMem()
	for _, name := range []string{"data/l0/a.tsb.1.tmp", "data/l0/README", "data/raw/stray", "data/raw/d/b.tsb", "data/lost+found/x.tsb", "data/MANIFEST"} {
		must(t, newFile(t, m, name, "x").Close())
	}
	d := objstore.NewDir(m, "data")
	keys, err := d.List(bg, "")
	if must(t, err); !slices.Equal(keys, []string{"l0/a.tsb.1.tmp", "raw/d/b.tsb"}) {
		t.Errorf("list: %q", keys)
	}
	if errs := d.Delete(bg, keys...); errs != nil {
		t.Fatal(errs)
	}
	must(t, m.MkdirAll("data/raw/e"))
	must(t, d.RemoveEmptyDirs("raw/"))
	must(t, d.RemoveEmptyDirs("none/"))
	names, err := m.List("data/raw")
	if must(t, err); !slices.Equal(names, []string{"stray"}) {
		t.Errorf("left in raw: %q", names)
	}
}

func TestOpenFileOpensAnyFile(t *testing.T) {
	m := vfs.NewMem()
	must(t, newFile(t, m, "anywhere/block", "hello").Close())
	o, err := objstore.OpenFile(m, "anywhere/block")
	must(t, err)
	got := make([]byte, 5)
	must(t, o.ReadAt(bg, got, 0))
	if string(got) != "hello" || o.Size() != 5 {
		t.Errorf("read %q of %d bytes", got, o.Size())
	}
	must(t, o.Close())
}
