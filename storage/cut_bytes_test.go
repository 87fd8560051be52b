package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// cutBlocks returns the L0 blocks that a flush of the directory makes, by name.
func cutBlocks(t *testing.T, db *DB, fs *vfs.Mem) map[string][]byte {
	t.Helper()
	if _, err := db.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List(path.Join("data", format.L0Dir))
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string][]byte{}
	for _, name := range names {
		f, err := fs.Open(path.Join("data", format.L0Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		info, err := fs.Stat(path.Join("data", format.L0Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		blocks[name] = make([]byte, info.Size)
		if _, err := f.ReadAt(blocks[name], 0); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return blocks
}

// The same frames of the log give the same block, name included, whichever
// process cuts them, when, after how many starts, and wherever the retention
// floor has moved meanwhile.
func TestCutIsAFunctionOfTheLog(t *testing.T) {
	ctx := context.Background()
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	now := time.UnixMilli(1_700_000_000_000)
	fs := vfs.NewMem()
	opts := func(at time.Time, alias uint64, retentionMs int64) Options {
		return Options{Seed: 1, AliasSeed: alias, Clock: vfs.NewManualClock(at), RetentionMs: retentionMs}
	}
	db, err := openChecked(t, ctx, fs, "data", opts(now, 1, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(stopped)
	write := func(db *DB, help string, from int) {
		t.Helper()
		b := db.NewBatch("test", model.DefaultTenant)
		for i := range 200 {
			ref, err := b.Resolve(model.Hash{Hi: 1, Lo: uint64(i)}, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
			for k := range 20 {
				at := now.Add(-time.Duration((k*7+i)%50+from) * time.Hour).UnixMilli()
				b.Float(ref, at, 0, float64(k+from)/3)
				b.Exemplar(ref, model.Exemplar{Labels: labels.FromStrings("trace", fmt.Sprint(k)), T: at, V: 1})
			}
		}
		b.Metadata("m", model.Metadata{Type: "gauge", Help: help})
		if _, err := b.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	// Metadata of an earlier generation, which only this process remembers.
	b := db.NewBatch("test", model.DefaultTenant)
	b.Metadata("earlier", model.Metadata{Type: "counter"})
	if _, err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	write(db, "first", 0)
	first := cutBlocks(t, db, fs)
	order := db.flusher.mu.last.order
	write(db, "second", 1)
	if err := db.Delete(ctx, 0, model.TimeRange{Min: now.Add(-3 * time.Hour).UnixMilli(), Max: now.UnixMilli()}, labels.MustNewMatcher(labels.MatchEqual, "i", "7")); err != nil {
		t.Fatal(err)
	}
	crashed := fs.CrashClone(vfs.CrashOptions{})

	want := cutBlocks(t, db, fs)
	if len(want) != len(first)+1 {
		t.Fatalf("%d blocks after the second cut, want %d", len(want), len(first)+1)
	}
	if again := db.flusher.mu.last.order; order == 0 || again != order {
		t.Fatalf("versions %d and %d of the order: the second block has no copy of the first one's index", order, again)
	}
	v := db.set.Acquire()
	for _, e := range v.Entries() {
		if r := e.Block().Repeated(); r.Seed != 1 || len(r.Floors)+len(r.Tombstones) > 0 {
			t.Errorf("%s repeats %+v", e.Name, r)
		}
	}
	v.Release()
	t.Run("later, with another floor", func(t *testing.T) {
		fs := crashed.Clone()
		db, err := openChecked(t, ctx, fs, "data", opts(now.Add(10*time.Hour), 2, 24*time.Hour.Milliseconds()))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close(stopped)
		if err := db.Retain(ctx); err != nil {
			t.Fatal(err)
		}
		if db.views.floor() == manifest.NoFloor {
			t.Fatal("the retention floor has not moved")
		}
		compareBlocks(t, cutBlocks(t, db, fs), want)
	})
	t.Run("after three starts", func(t *testing.T) {
		fs := crashed.Clone()
		for range 3 {
			db, err := openChecked(t, ctx, fs, "data", opts(now, 3, 0))
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Retain(ctx); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(stopped); err != nil {
				t.Fatal(err)
			}
			fs = fs.CrashClone(vfs.CrashOptions{})
		}
		db, err := openChecked(t, ctx, fs, "data", opts(now, 4, 0))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close(stopped)
		compareBlocks(t, cutBlocks(t, db, fs), want)
	})
	t.Run("written on before the block is", func(t *testing.T) {
		fs := crashed.Clone()
		db, err := openChecked(t, ctx, fs, "data", opts(now, 5, 0))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close(stopped)
		db.flusher.mu.Lock()
		err = db.flusher.freezeLocked(ctx)
		db.flusher.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		write(db, "third", 2)
		db.flusher.mu.Lock()
		err = db.flusher.finishLocked(ctx)
		db.flusher.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		got := cutBlocks(t, db, fs)
		maps.DeleteFunc(got, func(name string, _ []byte) bool { return want[name] == nil })
		compareBlocks(t, got, want)
	})
}

func compareBlocks(t *testing.T, got, want map[string][]byte) {
	t.Helper()
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
		t.Fatalf("blocks %q, want %q", names, slices.Sorted(maps.Keys(want)))
	}
	for name, b := range want {
		if !bytes.Equal(got[name], b) {
			t.Errorf("block %s: %d bytes differ from the %d of another process", name, len(got[name]), len(b))
		}
	}
}
