package objstore_test

import (
	"errors"
	"testing"

	"tsdb/internal/objstore"
	"tsdb/internal/objstore/objstoretest"
	"tsdb/internal/vfs"
)

func TestDirIsConditional(t *testing.T) {
	objstoretest.TestConditional(t, func(*testing.T) objstore.Conditional { return objstore.NewDir(vfs.NewMem(), "store") })
}

// Another process that replaces an object keeps this one out, and what was put survives a
// power cut.
func TestPutIfIsExclusiveAndDurable(t *testing.T) {
	fsys := vfs.NewMem()
	if err := errors.Join(fsys.MkdirAll("store"), fsys.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	d := objstore.NewDir(fsys, "store")
	id, err := d.PutIf(t.Context(), "h/x.head", []byte("one"), objstore.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	lock, err := fsys.Lock("store/h/LOCK", "another")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.PutIf(t.Context(), "h/x.head", []byte("two"), id); !errors.Is(err, objstore.ErrBusy) {
		t.Errorf("put beside another: %v", err)
	}
	lock.Close()
	crashed := fsys.CrashClone(vfs.CrashOptions{})
	if got, err := objstore.NewDir(crashed, "store").Head(t.Context(), "h/x.head"); err != nil || got != id {
		t.Errorf("after a power cut: %v, %v", got, err)
	}
}

// A failed operation leaves the old object or the new one.
func TestPutIfIsAtomic(t *testing.T) {
	for k := 1; ; k++ {
		fault := vfs.NewFault(vfs.NewMem())
		d := objstore.NewDir(fault, "store")
		one, err := d.PutIf(t.Context(), "h/x.head", []byte("one"), objstore.Identity{})
		if err != nil {
			t.Fatal(err)
		}
		before := fault.N()
		fault.FailAt(before+k, vfs.ErrShortWrite)
		two, err := d.PutIf(t.Context(), "h/x.head", []byte("three"), one)
		failed := fault.N() >= before+k
		fault.SetHook(nil)
		got, headErr := d.Head(t.Context(), "h/x.head")
		if headErr != nil || got != one && got != objstore.IdentityOf(5, []byte("three")) || err == nil && got != two {
			t.Fatalf("operation %d: %v, %v after %v", k, got, headErr, err)
		}
		if !failed {
			return
		}
	}
}
