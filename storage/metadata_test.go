package storage

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// Metadata of any number and size are taken or refused, one by one, and are
// there after a restart without a cut.
func TestMetadataOfAnySizeNeverEndsTheProcess(t *testing.T) { forEachLog(t, metadataOfAnySize) }

func metadataOfAnySize(t *testing.T, store log.Store) {
	ctx := context.Background()
	fs := vfs.NewMem()
	opts := Options{logStore: store, Seed: 1}
	db, err := openChecked(t, ctx, fs, "data", opts)
	if err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch("test", model.DefaultTenant)
	const n = 70_000
	for i := range n {
		b.Metadata(fmt.Sprint("m", i), model.Metadata{Type: "counter", Help: strings.Repeat("h", 100)})
	}
	b.Metadata("huge", model.Metadata{Help: strings.Repeat("h", 8<<20)})
	r, err := b.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rejected) != 1 || r.Rejected[0].Reason != ReasonLimit || r.Rejected[0].Count != 1 {
		t.Errorf("rejected %+v, want one for its size", r.Rejected)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if err := db.Close(stopped); err != nil {
		t.Fatal(err)
	}
	if db, err = openChecked(t, ctx, fs, "data", opts); err != nil {
		t.Fatal(err)
	}
	defer db.Close(stopped)
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	all, _, err := v.Metadata(ctx, model.DefaultTenant, "")
	if err != nil || len(all) != n {
		t.Errorf("%d metrics have metadata, want %d, error %v", len(all), n, err)
	}
}
