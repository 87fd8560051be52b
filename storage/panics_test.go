package storage

import (
	"context"
	"errors"
	"path"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/blockset"
)

// panicFS panics when a file whose path contains the word is made, read or
// written.
type panicFS struct {
	vfs.FS
	word atomic.Pointer[string]
}

func (f *panicFS) on(word string) { f.word.Store(&word) }

func (f *panicFS) touch(name string) {
	if w := f.word.Load(); w != nil && *w != "" && strings.Contains(name, *w) {
		panic("for the test: " + path.Base(name))
	}
}

func (f *panicFS) Create(name string) (vfs.File, error) {
	f.touch(name)
	file, err := f.FS.Create(name)
	return panicFile{file, f}, err
}

func (f *panicFS) Open(name string) (vfs.File, error) {
	file, err := f.FS.Open(name)
	return panicFile{file, f}, err
}

func (f *panicFS) OpenReadWrite(name string) (vfs.File, error) {
	file, err := f.FS.OpenReadWrite(name)
	return panicFile{file, f}, err
}

type panicFile struct {
	vfs.File
	fs *panicFS
}

func (f panicFile) ReadAt(b []byte, off int64) (int, error) {
	f.fs.touch(f.Name())
	return f.File.ReadAt(b, off)
}

func (f panicFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.touch(f.Name())
	return f.File.WriteAt(b, off)
}

// commitOne commits a sample of a series.
func commitOne(db *DB, name string, t int64) error {
	b := db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(model.Hash{Hi: uint64(len(name)), Lo: uint64(name[0])}, labels.FromStrings("__name__", name))
	if err != nil {
		return err
	}
	b.Float(ref, t, 0, 1)
	_, err = b.Commit(context.Background())
	return err
}

func TestPanicOfTheLogPoisonsIt(t *testing.T) {
	ctx := context.Background()
	fs := &panicFS{FS: vfs.NewMem()}
	opts := Options{Clock: vfs.NewManualClock(timesNow), Seed: 1, WALSegmentBytes: 1 << 20}
	db, err := openChecked(t, ctx, fs, "data", opts)
	if err != nil {
		t.Fatal(err)
	}
	now := timesNow.UnixMilli()
	if err := commitOne(db, "a", now); err != nil {
		t.Fatal(err)
	}
	fs.on("wal/")
	for range 2 {
		if err := commitOne(db, "b", now); !errors.Is(err, ErrPoisoned) {
			t.Errorf("write: %v, want %v", err, ErrPoisoned)
		}
	}
	fs.on("")
	if rows, _ := allTimes(t, db); len(rows) == 0 {
		t.Error("nothing can be read any more")
	}
	_ = db.Close(ctx) // says that the log is poisoned
	if db, err = openChecked(t, ctx, fs, "data", opts); err != nil {
		t.Fatal(err)
	}
	if rows, _ := allTimes(t, db); len(rows) == 0 || !strings.Contains(rows[0], `"a"`) {
		t.Errorf("after a restart: %q", rows)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// settles waits until a condition holds, which background jobs bring about.
func settles(t *testing.T, clock *vfs.ManualClock, what string, holds func() bool) {
	t.Helper()
	for range 5000 {
		if holds() {
			return
		}
		clock.Advance(time.Minute)
		runtime.Gosched()
		select {
		case <-t.Context().Done():
		case <-time.After(time.Millisecond):
		}
	}
	t.Fatalf("%s: does not come about", what)
}

// A panic in a cut or a merge costs that step: the jobs go on, the input that
// makes merges panic is set aside, and other blocks are merged.
func TestBackgroundPanicsDoNotEndTheProcess(t *testing.T) {
	ctx := context.Background()
	fs := &panicFS{FS: vfs.NewMem()}
	clock := vfs.NewManualClock(timesNow)
	db, err := openChecked(t, ctx, fs, "data", Options{Clock: clock, Seed: 1, WALSegmentBytes: 1 << 20, Background: true, CutHeadBytes: 1, CutAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	now := timesNow.UnixMilli()
	panicked := func(job string) float64 { return testutil.ToFloat64(db.metrics.panics.WithLabelValues(job)) }

	fs.on("l0/")
	if err := commitOne(db, "a", now); err != nil {
		t.Fatal(err)
	}
	settles(t, clock, "panics of cuts", func() bool { return panicked("cut") >= 2 })
	fs.on("")
	settles(t, clock, "a cut after the panics", func() bool { return len(db.manifest.State().Blocks) == 1 })
	bad := db.manifest.State().Sorted()[0].Name

	fs.on(bad)
	db.DropCaches()
	for i := range int64(8) {
		if err := commitOne(db, "bcdefghi"[i:i+1], now+i); err != nil {
			t.Fatal(err)
		}
		settles(t, clock, "a cut", func() bool { return testutil.ToFloat64(db.metrics.cuts) >= float64(2+i) })
	}
	settles(t, clock, "a panic of a merge", func() bool { return panicked("merge") >= 1 })
	settles(t, clock, "quarantine", func() bool {
		v := db.set.Acquire()
		defer v.Release()
		e := v.Find(bad)
		return e != nil && errors.Is(e.Err(), blockset.ErrQuarantined)
	})
	merges := panicked("merge")
	for i := range int64(32) { // they are merged among themselves
		if err := commitOne(db, "bcdefghi"[i%8:i%8+1], now+100+i); err != nil {
			t.Fatal(err)
		}
		settles(t, clock, "a cut", func() bool { return testutil.ToFloat64(db.metrics.cuts) >= float64(10+i) })
	}
	settles(t, clock, "a merge of the others", func() bool { return testutil.ToFloat64(db.metrics.merges.WithLabelValues("L0")) >= 1 })
	if n := panicked("merge"); n != merges {
		t.Errorf("%v panics of merges after the quarantine", n-merges)
	}
	fs.on("")
	if rows, _ := allTimes(t, db); len(rows) != 9 {
		t.Errorf("%d series: %q", len(rows), rows)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
