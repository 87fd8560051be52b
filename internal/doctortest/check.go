// Package doctortest has `tsdb check` verify the data directories that tests open. Only
// tests import it.
package doctortest

import (
	"context"
	"sync"
	"testing"

	"tsdb/internal/vfs"
	"tsdb/storage/doctor"
)

// CheckAtEnd has `tsdb check` verify a data directory when the test ends, if nothing has
// failed before. It is called before the cleanup that closes the database is registered,
// and so runs after it. fs returns the files of then; a vfs.Fault no longer fails.
// damaged says whether the test has damaged the directory; nil = it never does.
func CheckAtEnd(t testing.TB, fs func() vfs.FS, dir string, damaged func() bool) {
	t.Cleanup(func() {
		if t.Failed() || t.Skipped() || damaged != nil && damaged() {
			return
		}
		Check(t, fs(), dir)
	})
}

// Check has `tsdb check` verify a data directory now.
func Check(t testing.TB, fs vfs.FS, dir string) {
	t.Helper()
	if f, ok := fs.(*vfs.Fault); ok {
		f.SetHook(nil)
	}
	report, err := doctor.Check(context.Background(), fs, dir)
	if err != nil {
		t.Errorf("check of %s: %v", dir, err)
		return
	}
	if len(report.Damage) > 0 {
		t.Errorf("check of %s: %d findings, the first: %+v", dir, len(report.Damage), report.Damage[0])
	}
}

// Opened is CheckAtEnd for a directory that a test opens, however often it does: it is
// checked once.
func Opened(t testing.TB, fs vfs.FS, dir string) {
	k := opened{t, fs, dir}
	if _, known := all.LoadOrStore(k, true); known {
		return
	}
	t.Cleanup(func() {
		all.Delete(k)
		if _, is := all.Load(damaged{t}); !is && !t.Failed() && !t.Skipped() {
			Check(t, fs, dir)
		}
	})
}

// Damages tells that a test leaves directories damaged on purpose: what it has Opened is
// not checked. why is for readers of the test.
func Damages(t testing.TB, why string) {
	all.Store(damaged{t}, why)
}

// all has the directories that running tests have opened, and the tests that damage them.
var all sync.Map

type opened struct {
	t   testing.TB
	fs  vfs.FS
	dir string
}

type damaged struct{ t testing.TB }

// NewMem returns files in memory for a database in "data", which is checked when the test
// ends.
func NewMem(t testing.TB) *vfs.Mem {
	fs := vfs.NewMem()
	Opened(t, fs, "data")
	return fs
}
