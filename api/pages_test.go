package api

import (
	"bytes"
	"context"
	"path"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

// TestHealthNamesQuarantinedBlocks: an unreadable block is listed on the health
// page, which still responds with 200, and counted by a gauge.
func TestHealthNamesQuarantinedBlocks(t *testing.T) {
	doctortest.Damages(t, "it damages a block to see it named")
	ctx := context.Background()
	fs := doctortest.NewMem(t)
	reg := prometheus.NewRegistry()
	open := func() *storage.DB {
		t.Helper()
		reg = prometheus.NewRegistry()
		db, err := storage.Open(ctx, fs, "data", storage.Options{Registerer: reg})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open()
	defer func() {
		if err := db.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	s := newTestServer(t, Options{DB: func() (*storage.DB, error) { return db, nil }})
	b := db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(model.Hash{Hi: 1}, labels.FromStrings("__name__", "m"))
	if err != nil {
		t.Fatal(err)
	}
	b.Float(ref, vfs.SystemClock.Now().UnixMilli(), 0, 1)
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	gauge := func() float64 {
		t.Helper()
		all, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if f.GetName() == "tsdb_blocks_quarantined" {
				return f.Metric[0].Gauge.GetValue()
			}
		}
		t.Fatal("no gauge")
		return 0
	}
	if code, body := ask(s, "GET", "/-/healthy", "10.0.0.1:1"); code != 200 || body != "tsdb is healthy.\n" || gauge() != 0 {
		t.Errorf("%d %q, gauge %v", code, body, gauge())
	}
	names, err := fs.List("data/l0")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	f, err := fs.OpenReadWrite(path.Join("data/l0", names[0]))
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, int(size)), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	db = open()
	if code, body := ask(s, "GET", "/-/healthy", "10.0.0.1:1"); code != 200 || !strings.Contains(body, "damaged: 1;") || !strings.Contains(body, names[0]) || gauge() != 1 {
		t.Errorf("%d %q, gauge %v", code, body, gauge())
	}
}
