package storage

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/await"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/doctor"
)

const lockFile = "data/" + format.LockName

// runClock lets the time of a database pass until the returned function is
// called.
func runClock(clock *vfs.ManualClock) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				clock.Advance(100 * time.Millisecond)
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// Somebody removes LOCK from under a running database: where the directory can
// be locked every attempt fails, the error names the holder, and nothing is lost.
func TestRemovedLockLetsNobodyIn(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	opts := lossOptions()
	opts.Owner, opts.Background = "pid 4711 on host here", true
	defer runClock(opts.Clock.(*vfs.ManualClock))()
	db, err := openChecked(t, ctx, fs, "data", opts)
	if err != nil {
		t.Fatal(err)
	}
	writeOne(t, db, 10)
	for range 3 {
		if err := fs.Remove(lockFile); err != nil {
			t.Fatal(err)
		}
		await.That(t, "a second open names the holder", func() bool {
			second, err := Open(ctx, fs, "data", opts)
			if !errors.Is(err, ErrInUse) {
				t.Fatalf("a second open: %v, %v", second, err)
			}
			return strings.Contains(err.Error(), "pid 4711 on host here")
		})
		if r, err := doctor.Check(ctx, fs, "data"); err != nil || !r.Running || len(r.Damage) > 0 {
			t.Errorf("check: %+v, %v", r, err)
		}
		if _, err := doctor.Repair(ctx, fs, "data", doctor.RepairOptions{}); !errors.Is(err, ErrInUse) {
			t.Errorf("repair: %v", err)
		}
		await.That(t, "LOCK is put back", func() bool { _, err := fs.Stat(lockFile); return err == nil })
		writeOne(t, db, 10)
	}
	if err := db.Health(); err != nil {
		t.Error(err)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	db, err = Open(ctx, fs, "data", opts)
	if err != nil {
		t.Fatal(err)
	}
	if n := samplesIn(t, db); n < 10 {
		t.Errorf("%d samples", n)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// Where directories cannot be locked, a database whose LOCK was removed stops:
// no writes, no edits, and it says why. The one that took its place waits for
// that, and has every acknowledged sample.
func TestDatabaseStopsWhenItsLockIsLost(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	fs.SetDirLocks(false)
	opts := lossOptions()
	opts.Background = true
	clock := opts.Clock.(*vfs.ManualClock)
	defer runClock(clock)()
	db, err := openChecked(t, ctx, fs, "data", opts)
	if err != nil {
		t.Fatal(err)
	}
	writeOne(t, db, 10)
	if err := fs.Remove(lockFile); err != nil {
		t.Fatal(err)
	}
	type opened struct {
		db  *DB
		err error
	}
	second := make(chan opened, 1)
	go func() {
		db, err := openChecked(t, ctx, fs, "data", opts)
		second <- opened{db, err}
	}()
	// It goes on taking samples until it notices.
	acked := 10
	for db.Health() == nil {
		clock.Advance(time.Millisecond)
		b := db.NewBatch("test", model.DefaultTenant)
		ref, err := b.Resolve(model.Hash{Lo: 1}, labels.FromStrings("__name__", "m"))
		if err != nil {
			t.Fatal(err)
		}
		b.Float(ref, db.now()+int64(acked), 0, float64(acked))
		if _, err := b.Commit(ctx); err != nil {
			break
		}
		acked++
	}
	select {
	case <-db.Failed():
	case <-time.After(time.Minute):
		t.Fatal("the database has not failed")
	}
	if err := db.Health(); !errors.Is(err, ErrLockLost) {
		t.Errorf("health: %v", err)
	}
	b := db.NewBatch("test", model.DefaultTenant)
	if ref, err := b.Resolve(model.Hash{Lo: 1}, labels.FromStrings("__name__", "m")); err != nil {
		t.Fatal(err)
	} else {
		b.Float(ref, db.now(), 0, 1)
	}
	if _, err := b.Commit(ctx); !errors.Is(err, ErrPoisoned) {
		t.Errorf("a write is taken: %v", err)
	}
	if _, err := db.Flush(ctx); err == nil {
		t.Error("a cut is made")
	}
	if _, err := db.catalog.edit(manifest.Edit{}, nil); !errors.Is(err, ErrLockLost) {
		t.Errorf("an edit is made: %v", err)
	}
	o := <-second
	if o.err != nil {
		t.Fatal(o.err)
	}
	_ = db.Close(ctx)
	if n := samplesIn(t, o.db); n < acked {
		t.Errorf("%d samples, %d were acknowledged", n, acked)
	}
	writeOne(t, o.db, 5)
	if err := o.db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := checkedClean(fs); err != nil {
		t.Error(err)
	}
}

// An edit is not made in the half second in which the loss of the lock has not
// been noticed.
func TestEditLooksAtTheLock(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	fs.SetDirLocks(false)
	db, err := openChecked(t, ctx, fs, "data", lossOptions())
	if err != nil {
		t.Fatal(err)
	}
	writeOne(t, db, 10)
	if err := fs.Remove(lockFile); err != nil {
		t.Fatal(err)
	}
	before, _ := fs.Stat("data/" + format.ManifestName)
	if _, err := db.Flush(ctx); !errors.Is(err, ErrLockLost) {
		t.Errorf("flush: %v", err)
	}
	if after, _ := fs.Stat("data/" + format.ManifestName); after != before {
		t.Errorf("the MANIFEST changed: %+v, %+v", before, after)
	}
	_ = db.Close(ctx)
}
