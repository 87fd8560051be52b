package storage

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"time"

	"tsdb/internal/vfs"
)

// The directory of a day that holds nothing is removed at start; one with a file
// that is no block is left.
func TestDirectoriesOfEmptyDaysAreRemovedAtStart(t *testing.T) {
	mem := vfs.NewMem()
	opts := Options{Clock: vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)), Seed: 1, CacheBytes: -1}
	start := func() {
		t.Helper()
		db, err := openChecked(t, context.Background(), mem, "data", opts)
		if err == nil {
			err = db.Close(context.Background())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	start()
	for _, dir := range []string{"data/raw/2020-01-01", "data/raw/2020-01-02"} {
		if err := mem.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	f, err := mem.Create("data/raw/2020-01-02/notes.txt")
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	start()
	if _, err := mem.Stat("data/raw/2020-01-01"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the empty day: %v", err)
	}
	if _, err := mem.Stat("data/raw/2020-01-02/notes.txt"); err != nil {
		t.Error(err)
	}
}
