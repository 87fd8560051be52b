package storage

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/internal/vfs"
	"tsdb/storage/snapshot"
)

// Bytes that only snapshots have are shown, apart for those of running backups.
func TestPinnedBytesAreAMetric(t *testing.T) {
	fsys := vfs.NewMem()
	w := newSnapshotWorld(t, fsys)
	t.Cleanup(func() { closeUncut(w.db) })
	w.fill(t)
	name, err := w.db.Snapshot(t.Context(), SnapshotOptions{Temporary: true})
	must(t, err)
	_, err = w.db.Compact(t.Context()) // the blocks of the snapshot leave the database
	must(t, err)
	w.db.catalog.sweep(t.Context())
	infos, err := snapshot.List(fsys, "data")
	must(t, err)
	if len(infos) != 1 || infos[0].PinnedBytes == 0 {
		t.Fatalf("%+v", infos)
	}
	if got := pinnedBytes(t, w.db, "backup"); got != infos[0].PinnedBytes {
		t.Errorf("%d bytes, want %d", got, infos[0].PinnedBytes)
	}
	if got := pinnedBytes(t, w.db, "snapshot"); got != 0 {
		t.Errorf("%d bytes of other snapshots", got)
	}
	must(t, w.db.RemoveSnapshot(name))
	if got := pinnedBytes(t, w.db, "backup"); got != 0 {
		t.Errorf("%d bytes are left", got)
	}
}

// pinnedBytes returns tsdb_snapshot_pinned_bytes of a kind.
func pinnedBytes(t *testing.T, db *DB, kind string) int64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(newSnapshotCollector(db))
	families, err := reg.Gather()
	must(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "tsdb_snapshot_pinned_bytes" && m.GetLabel()[0].GetValue() == kind {
				return int64(m.GetGauge().GetValue())
			}
		}
	}
	t.Fatalf("no metric of %s", kind)
	return 0
}
