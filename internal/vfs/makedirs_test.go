package vfs

import "testing"

// Directories that were made outlive a power cut, however many were missing.
func TestMakeDirsOutliveAPowerCut(t *testing.T) {
	for _, dir := range []string{"a", "a/b/c", "./a/b", "/srv/x/y"} {
		m := NewMem()
		if err := MakeDirs(m, dir); err != nil {
			t.Fatal(err)
		}
		if _, err := m.CrashClone(CrashOptions{}).Stat(dir); err != nil {
			t.Errorf("%s has left: %v", dir, err)
		}
		if err := MakeDirs(m, dir); err != nil {
			t.Errorf("%s again: %v", dir, err)
		}
	}
}
