package storage

import (
	"context"
	"errors"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
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
	b := db.NewBatch("test")
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
	db, err := Open(ctx, fs, "data", opts)
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
	if db, err = Open(ctx, fs, "data", opts); err != nil {
		t.Fatal(err)
	}
	if rows, _ := allTimes(t, db); len(rows) == 0 || !strings.Contains(rows[0], `"a"`) {
		t.Errorf("after a restart: %q", rows)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
