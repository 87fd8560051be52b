package storage

import (
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// A snapshot has the deletions that no edit has recorded, also without the head.
func TestSnapshotsHaveTheNewestDeletions(t *testing.T) {
	for _, skip := range []bool{false, true} {
		w := newSnapshotWorld(t, vfs.NewMem())
		fillSeries(t, w.db, 4, 100)
		_, err := w.db.Flush(t.Context())
		must(t, err)
		must(t, w.db.Delete(t.Context(), model.DefaultTenant, model.AllTime, equalI(1)))
		name, err := w.db.Snapshot(t.Context(), SnapshotOptions{SkipHead: skip})
		must(t, err)
		must(t, w.db.Close(t.Context()))
		copied := w.open(t, w.fs, "data/snapshots/"+name)
		if n := len(samplesOf(t, copied)); n != 300 {
			t.Errorf("without head %v: %d samples, want 300", skip, n)
		}
		must(t, copied.Close(t.Context()))
	}
}
