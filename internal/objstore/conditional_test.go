package objstore

import (
	"errors"
	"testing"

	"tsdb/internal/vfs"
)

// Of two that replace the same object one succeeds.
func TestPutIfComparesAndSwaps(t *testing.T) {
	ctx := t.Context()
	fsys := vfs.NewMem()
	if err := errors.Join(fsys.MkdirAll("store"), fsys.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	d := NewDir(fsys, "store")
	const key = "heads/x.head"
	put := func(data string, expected Identity, ok bool) Identity {
		t.Helper()
		id, err := d.PutIf(ctx, key, []byte(data), expected)
		if ok != (err == nil) {
			t.Fatalf("put %q over %v: %v", data, expected, err)
		}
		if !ok && !errors.Is(err, ErrConflict) {
			t.Errorf("put %q: %v is no conflict", data, err)
		}
		return id
	}
	one := put("one", Identity{}, true)
	put("two", Identity{}, false)
	two := put("two", one, true)
	put("three", one, false)
	if id, err := d.Head(ctx, key); err != nil || id != two {
		t.Errorf("%v, %v: want %v", id, err, two)
	}
	if keys, err := d.List(ctx, ""); err != nil || len(keys) != 1 {
		t.Errorf("keys %v, %v", keys, err)
	}
	lock, err := fsys.Lock("store/heads/LOCK", "another")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.PutIf(ctx, key, []byte("three"), two); !errors.Is(err, ErrBusy) {
		t.Errorf("put beside another: %v", err)
	}
	lock.Close()
	crashed := fsys.CrashClone(vfs.CrashOptions{})
	if id, err := NewDir(crashed, "store").Head(ctx, key); err != nil || id != two {
		t.Errorf("after a power cut: %v, %v", id, err)
	}
}

// A failed operation leaves the old object or the new one.
func TestPutIfIsAtomic(t *testing.T) {
	for k := 1; ; k++ {
		fault := vfs.NewFault(vfs.NewMem())
		d := NewDir(fault, "store")
		one, err := d.PutIf(t.Context(), "h/x.head", []byte("one"), Identity{})
		if err != nil {
			t.Fatal(err)
		}
		before := fault.N()
		fault.FailAt(before+k, vfs.ErrShortWrite)
		two, err := d.PutIf(t.Context(), "h/x.head", []byte("three"), one)
		failed := fault.N() >= before+k
		fault.SetHook(nil)
		got, headErr := d.Head(t.Context(), "h/x.head")
		if headErr != nil || got != one && got != IdentityOf(5, []byte("three")) || err == nil && got != two {
			t.Fatalf("operation %d: %v, %v after %v", k, got, headErr, err)
		}
		if !failed {
			return
		}
	}
}
