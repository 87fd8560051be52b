package storage

import (
	"context"
	"io"
	"strings"
	"testing"

	"tsdb/internal/doctortest"
	"tsdb/internal/vfs"
	"tsdb/storage/doctor"
)

func checkBeside(t *testing.T, fs vfs.FS) *doctor.CheckReport {
	t.Helper()
	r, err := doctor.Check(context.Background(), fs, "data")
	if err != nil {
		t.Fatal(err)
	}
	if !r.Running || len(r.Notes) != 1 || !strings.Contains(r.Notes[0].What, "a server has it open") {
		t.Fatalf("check beside a server: %+v", r)
	}
	return r
}

// A check beside a server that writes, cuts and merges finds nothing wrong, and
// says that it left out the log. Inspect works too.
func TestCheckBesideARunningServer(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	db, err := openChecked(t, ctx, fs, "data", Options{Seed: 1, CacheBytes: -1, ReserveBytes: 4096, WALSegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range int64(60) {
			writeSample(t, db, i)
			if _, err := db.Flush(ctx); err != nil {
				t.Error(err)
				return
			}
			if i%3 == 2 {
				if _, err := db.Compact(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	most := 0
	for writing := true; writing; {
		select {
		case <-done:
			writing = false
		default:
		}
		r := checkBeside(t, fs)
		if len(r.Damage) > 0 {
			t.Errorf("damage beside a running server: %+v", r.Damage)
		}
		most = max(most, r.Blocks)
		if err := doctor.Inspect(ctx, fs, "data", io.Discard); err != nil {
			t.Error(err)
		}
	}
	if most == 0 {
		t.Error("no block was ever verified")
	}
}

// A block that a merge removes between the reading of the MANIFEST and the
// opening of the block is not missing: the MANIFEST is read again. One that is
// missing for good is.
func TestCheckReadsAManifestAgainThatChanged(t *testing.T) {
	doctortest.Damages(t, "in the end a block is removed for good")
	ctx := context.Background()
	mem := vfs.NewMem()
	db, err := openChecked(t, ctx, mem, "data", Options{Seed: 1, CacheBytes: -1, ReserveBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	for i := range 2 {
		writeSample(t, db, int64(i))
		if _, err := db.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	fs := vfs.NewFault(mem)
	manifests, merged := 0, false
	fs.SetHook(func(o vfs.Op) error {
		if o.Kind == vfs.OpOpen && strings.HasSuffix(o.Name, "MANIFEST") {
			manifests++
		}
		if o.Kind == vfs.OpOpen && strings.HasSuffix(o.Name, ".tsb") && !merged {
			merged = true
			if _, err := db.Compact(ctx); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	r := checkBeside(t, fs)
	if len(r.Damage) > 0 || r.Blocks != 1 || manifests < 2 {
		t.Errorf("%d blocks, damage %+v, MANIFEST read %d times", r.Blocks, r.Damage, manifests)
	}
	for name := range db.manifest.State().Blocks {
		if err := mem.Remove("data/" + name); err != nil {
			t.Fatal(err)
		}
	}
	if r = checkBeside(t, mem); len(r.Damage) != 1 || !strings.Contains(r.Damage[0].What, "missing") {
		t.Errorf("a block is gone: %+v", r.Damage)
	}
}
