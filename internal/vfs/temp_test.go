package vfs

import (
	"errors"
	"syscall"
	"testing"
)

func TestCreateTempFindsANameThatIsFree(t *testing.T) {
	f := NewFault(NewMem())
	create := func(want string) {
		t.Helper()
		file, temp, err := CreateTemp(f, "MANIFEST", ".tmp")
		if err != nil || temp != want {
			t.Fatalf("%q, %v, want %q", temp, err, want)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	create("MANIFEST.tmp")
	create("MANIFEST.tmp") // what a crash left is removed
	f.SetHook(func(op Op) error {
		if op.Kind == OpRemove && op.Name == "MANIFEST.tmp" {
			return syscall.EPERM
		}
		return nil
	})
	create("MANIFEST.1.tmp")
	f.SetHook(func(op Op) error {
		if op.Kind == OpRemove {
			return syscall.EROFS
		}
		return nil
	})
	if _, _, err := CreateTemp(f, "MANIFEST", ".tmp"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("where nothing can be removed: %v", err)
	}
}
