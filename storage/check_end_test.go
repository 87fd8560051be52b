package storage

import (
	"context"
	"testing"

	"tsdb/internal/vfs"
	"tsdb/storage/doctor"
)

// checkAtEnd has `tsdb check` verify a data directory when the test ends, if nothing has
// failed before. It is called before the cleanup that closes the database is registered,
// and so runs after it. damaged says whether the test has damaged the directory; nil =
// it never does.
func checkAtEnd(t testing.TB, fs func() vfs.FS, dir string, damaged func() bool) {
	t.Cleanup(func() {
		if t.Failed() || damaged != nil && damaged() {
			return
		}
		report, err := doctor.Check(context.Background(), fs(), dir)
		if err != nil {
			t.Errorf("check of %s: %v", dir, err)
			return
		}
		if len(report.Damage) > 0 {
			t.Errorf("check of %s: %d findings, the first: %+v", dir, len(report.Damage), report.Damage[0])
		}
	})
}
