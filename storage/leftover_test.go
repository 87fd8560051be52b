package storage

import (
	"context"
	"fmt"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// writeOne acknowledges one sample of each of n series.
func writeOne(t *testing.T, db *DB, n int) {
	t.Helper()
	b := db.NewBatch("test", model.DefaultTenant)
	for i := range n {
		ref, err := b.Resolve(model.Hash{Hi: uint64(i) + 1}, labels.FromStrings("__name__", fmt.Sprint("m", i)))
		if err != nil {
			t.Fatal(err)
		}
		b.Float(ref, db.now(), 0, float64(i))
	}
	if _, err := b.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// flipByte changes one byte of a file.
func flipByte(t *testing.T, fs vfs.FS, name string, off int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

// A cut whose edit failed leaves a whole L0 that nothing lists. It is deleted
// only if the log gives every sample in it again; a log that is damaged in one
// of its generations, or that does not show where they end, does not.
func TestUnpublishedCutIsKeptWhereTheLogIsDamaged(t *testing.T) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	opts := Options{Clock: clock, Seed: 1, WALSegmentBytes: 1 << 20, CacheBytes: -1}
	ctx := context.Background()
	db, err := openChecked(t, ctx, fault, "data", opts)
	if err != nil {
		t.Fatal(err)
	}
	writeOne(t, db, 50)
	writeOne(t, db, 50)
	fault.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite && strings.Contains(op.Name, format.ManifestName) {
			return syscall.EIO
		}
		return nil
	})
	if _, err := db.Flush(ctx); err == nil {
		t.Fatal("the cut was published")
	}
	if err := db.wal.Wait(ctx, db.wal.LastLSN()); err != nil {
		t.Fatal(err)
	}
	killed := mem.Clone()
	fault.SetHook(nil)
	_ = db.Close(ctx) // the failed edit has stopped the MANIFEST
	l0 := "l0/000000000001-000000000001.tsb"
	segment := path.Join("data", format.WALDir, "000000000001.wal")

	for _, tc := range []struct {
		name   string
		damage func(fs *vfs.Mem)
		kept   bool
	}{
		{"a whole log", func(*vfs.Mem) {}, false},
		{"a changed byte in a frame of the generation", func(fs *vfs.Mem) { flipByte(t, fs, segment, 300) }, true},
		{"a changed byte in the segment's header", func(fs *vfs.Mem) { flipByte(t, fs, segment, 9) }, true},
		{"the generation's end not there", func(fs *vfs.Mem) {
			if err := fs.Remove(path.Join("data", format.WALDir, "000000000002.wal")); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs := killed.Clone()
			tc.damage(fs)
			db, err := openChecked(t, ctx, fs, "data", opts)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close(ctx)
			left := db.Recovery().Leftovers
			if len(left) != 1 || left[0].Name != l0 {
				t.Fatalf("leftovers %+v", left)
			}
			to := "lost+found/" + strings.ReplaceAll(l0, "/", "_")
			_, statErr := fs.Stat("data/" + to)
			if tc.kept && (left[0].MovedTo != to || statErr != nil) {
				t.Errorf("not kept: %+v, %v", left[0], statErr)
			}
			if !tc.kept && left[0].MovedTo != "" {
				t.Errorf("kept though the log holds all of it: %+v", left[0])
			}
		})
	}
}
