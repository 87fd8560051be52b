package storage

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/storage/doctor"
)

// flip changes one byte of a file.
func flip(t *testing.T, fs vfs.FS, name string, at int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A damaged byte in either copy of the MANIFEST is named by Check, costs
// nothing, is logged, and is gone after the next start.
func TestDamagedCopyOfTheManifestIsNamedAndRestored(t *testing.T) {
	ctx := context.Background()
	for _, damaged := range []string{format.ManifestName, format.TwinName} {
		fs := vfs.NewMem()
		opts := Options{Seed: 1, CacheBytes: -1, ReserveBytes: 4096}
		db, err := openChecked(t, ctx, fs, "data", opts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			writeSample(t, db, int64(i))
			if _, err := db.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(ctx); err != nil {
			t.Fatal(err)
		}
		flip(t, fs, "data/"+damaged, 30)
		report, err := doctor.Check(ctx, fs, "data")
		if err != nil || len(report.Damage) != 1 || report.Damage[0].File != damaged || report.Blocks != 3 {
			t.Errorf("%s: check says %+v, %v", damaged, report, err)
		}
		var log bytes.Buffer
		opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
		if db, err = openChecked(t, ctx, fs, "data", opts); err != nil {
			t.Fatal(err)
		}
		if n := db.catalog.summary().Blocks; n != 3 {
			t.Errorf("%s: %d blocks", damaged, n)
		}
		if err := db.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "a copy of the MANIFEST was damaged") || !strings.Contains(log.String(), damaged+"@") {
			t.Errorf("%s: log says\n%s", damaged, log.String())
		}
		if report, err = doctor.Check(ctx, fs, "data"); err != nil || len(report.Damage)+len(report.Notes) > 0 {
			t.Errorf("%s: after the start check says %+v, %v", damaged, report, err)
		}
	}
}

// writeSample writes a sample of a series of its own.
func writeSample(t *testing.T, db *DB, i int64) {
	t.Helper()
	b := db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, labels.FromStrings("__name__", "m", "i", model.FormatTime(i)))
	if err != nil {
		t.Fatal(err)
	}
	b.Float(ref, db.now()-i, 0, float64(i))
	if _, err := b.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// A second copy that cannot be written is logged once and does not stop a cut.
func TestSecondCopyThatCannotBeWrittenStopsNothing(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewFault(vfs.NewMem())
	var log bytes.Buffer
	db, err := openChecked(t, ctx, fs, "data", Options{Seed: 1, CacheBytes: -1, ReserveBytes: 4096, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	fs.SetHook(func(o vfs.Op) error {
		if strings.Contains(o.Name, format.TwinName) && vfs.MutatingOps.Has(o.Kind) {
			return syscall.EPERM
		}
		return nil
	})
	for i := range 3 {
		writeSample(t, db, int64(i))
		if _, err := db.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "second copy of the MANIFEST lacks edits"); n != 1 || db.Health() != nil || !db.catalog.twinBehind.Load() {
		t.Errorf("told %d times, health %v", n, db.Health())
	}
	fs.SetHook(nil)
	writeSample(t, db, 3)
	if err := db.Close(ctx); err != nil { // which cuts
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "has all edits again") || db.catalog.twinBehind.Load() {
		t.Error("not told that it has all edits again")
	}
	if report, err := doctor.Check(ctx, fs, "data"); err != nil || len(report.Damage)+len(report.Notes) > 0 {
		t.Errorf("check says %+v, %v", report, err)
	}
}
