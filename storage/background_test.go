package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/format"
)

// countSamples returns how many samples a query finds.
func countSamples(t *testing.T, db *DB) int {
	t.Helper()
	v, err := db.View()
	must(t, err)
	defer v.Release()
	set, err := v.Select(t.Context(), model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	must(t, err)
	n := 0
	for i := range set.Len() {
		var s model.Samples
		must(t, set.At(i).Samples(t.Context(), model.AllTime, &s))
		n += s.Len()
	}
	return n
}

// closeUncut closes a database without a cut, as far as it lets itself be.
func closeUncut(db *DB) {
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	_ = db.Close(stopped)
}

// An obsolete file that cannot be removed stops neither cuts, merges, the removal
// of other files nor a start. The failure is reported, and the file is removed
// once that is possible.
func TestFileThatCannotBeDeletedStopsNothing(t *testing.T) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	opts := Options{Clock: clock, Seed: 1, WALSegmentBytes: 1 << 20, CacheBytes: -1}
	open := func() *DB {
		t.Helper()
		db, err := openChecked(t, t.Context(), fault, "data", opts)
		must(t, err)
		return db
	}
	db := open()
	stubborn := "data/l0/000000000001-000000000001.tsb"
	fault.SetHook(func(op vfs.Op) error {
		if (op.Kind == vfs.OpRemove || op.Kind == vfs.OpRename) && strings.HasPrefix(op.Name, stubborn) {
			return syscall.EPERM
		}
		return nil
	})
	want := 0
	write := func() {
		t.Helper()
		clock.Advance(time.Second)
		writeOne(t, db, 3)
		want += 3
	}
	for range 4 {
		write()
		_, err := db.Flush(t.Context())
		must(t, err)
		if s, err := db.Compact(t.Context()); err != nil || s.Blocks != 1 {
			t.Fatalf("%d blocks, %v", s.Blocks, err)
		}
	}
	if n := db.set.Unswept(); n != 1 {
		t.Errorf("%d files wait to be removed, want the one that cannot be", n)
	}
	if w := strings.Join(db.Warnings(), "\n"); !strings.Contains(w, "removals of files are failing since 2026-03-10T12:00:0") ||
		!strings.Contains(w, "remove l0/000000000001-000000000001.tsb") || strings.Count(w, "\n") > 0 {
		t.Errorf("warnings: %s", w)
	}
	if err := db.Health(); err != nil {
		t.Errorf("health: %v", err)
	}
	if st, err := db.Status(); err != nil || len(st.FailingJobs) != 1 || st.FailingJobs[0].Job != "sweep" {
		t.Errorf("status: %+v, %v", st.FailingJobs, err)
	}
	closeUncut(db)

	db = open() // the start finds the file and can neither delete nor move it
	if l := db.report.Leftovers; len(l) != 1 || l[0].Err == nil || l[0].Reason != "dropped by an edit" {
		t.Errorf("leftovers: %+v", l)
	}
	write()
	if _, err := db.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if n := countSamples(t, db); n != want {
		t.Errorf("%d samples, want %d", n, want)
	}
	fault.SetHook(nil)
	clock.Advance(time.Hour)
	db.catalog.sweep(t.Context())
	if n := db.set.Unswept(); n != 0 || len(db.Warnings()) > 0 {
		t.Errorf("%d files are left; warnings %v", n, db.Warnings())
	}
	if _, err := mem.Stat(stubborn); err == nil {
		t.Error("the file is still there")
	}
	must(t, db.Close(t.Context()))
}

// A cut whose edit failed leaves a block that cannot be removed: the next
// attempt takes another name, and so does a merge. A start finds all samples
// once, whichever attempt an edit lists.
func TestRetriedBlockTakesANameThatIsFree(t *testing.T) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	opts := Options{Clock: clock, Seed: 1, WALSegmentBytes: 1 << 20, CacheBytes: -1}
	db, err := openChecked(t, t.Context(), fault, "data", opts)
	must(t, err)
	var full atomic.Bool // edits are not possible
	fault.SetHook(func(op vfs.Op) error {
		switch {
		case full.Load() && op.Kind == vfs.OpSync && strings.Contains(op.Name, format.ManifestName):
			return syscall.ENOSPC
		case op.Kind == vfs.OpRemove && strings.HasSuffix(op.Name, format.BlockSuffix):
			return syscall.EPERM
		}
		return nil
	})
	names := func() string {
		var list []string
		for _, b := range db.manifest.State().Sorted() {
			list = append(list, b.Name)
		}
		return strings.Join(list, " ")
	}
	attempts := func(what string, try func() error, wantName string) {
		t.Helper()
		full.Store(true)
		for range 2 {
			clock.Advance(time.Minute)
			if err := try(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("%s on a full disk: %v", what, err)
			}
		}
		full.Store(false)
		clock.Advance(time.Minute)
		must(t, try())
		if n := names(); n != wantName {
			t.Errorf("%s: listed is %q, want %q", what, n, wantName)
		}
	}
	writeOne(t, db, 5)
	attempts("cut", func() error { _, err := db.Flush(t.Context()); return err }, "l0/000000000001-000000000001-002.tsb")
	if n := countSamples(t, db); n != 5 {
		t.Errorf("%d samples after the cut", n)
	}
	attempts("merge", func() error { _, err := db.compactor.mergeNext(t.Context(), compaction.PlanFinal); return err },
		"raw/2026-03-10/l2-000000000001-000000000001-002-"+hashOf(t, mem)+".tsb")
	closeUncut(db)
	for range 2 {
		db, err = openChecked(t, t.Context(), fault, "data", opts)
		must(t, err)
		if n := countSamples(t, db); n != 5 {
			t.Errorf("%d samples after a start", n)
		}
		for _, l := range db.report.Leftovers {
			if l.MovedTo != "" {
				t.Errorf("moved: %+v", l)
			}
		}
		closeUncut(db)
		fault.SetHook(nil) // the second start can remove them
	}
	left, err := mem.List("data/l0")
	if err != nil || len(left) != 0 {
		t.Errorf("left in l0: %v, %v", left, err)
	}
}

// hashOf returns the part of the name of the merged blocks that their inputs give.
func hashOf(t *testing.T, fs vfs.FS) string {
	t.Helper()
	name := block.FileName(block.Meta{
		Key: block.Key{Partition: block.Raw.PartitionStart(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC).UnixMilli()), Level: block.L2}, MinGen: 1, MaxGen: 1, Ordinal: 2, Inputs: []string{"l0/000000000001-000000000001-002.tsb"},
	})
	return strings.TrimSuffix(name[strings.LastIndexByte(name, '-')+1:], format.BlockSuffix)
}

// Cuts that fail are a warning at once, and refuse health once the head is full.
func TestFailingCutsAreShown(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	db, err := openChecked(t, t.Context(), fault, "data", Options{Clock: clock, Seed: 1, WALSegmentBytes: 64 << 10, CutHeadBytes: 64 << 10, CacheBytes: -1})
	must(t, err)
	fault.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpCreate && strings.Contains(op.Name, "/l0/") {
			return syscall.EACCES
		}
		return nil
	})
	writeOne(t, db, 1)
	if _, err := db.Flush(t.Context()); !errors.Is(err, syscall.EACCES) {
		t.Fatal(err)
	}
	if w := db.Warnings(); len(w) != 1 || !strings.HasPrefix(w[0], "cuts are failing since 2026-03-10T12:00:00Z (once, for 0s), the next attempt is at 2026-03-10T12:00:01Z: ") {
		t.Errorf("warnings: %q", w)
	}
	must(t, db.Health())
	for i := 0; !db.flusher.headFull(); i++ {
		clock.Advance(time.Millisecond)
		writeOne(t, db, 500)
	}
	if err := db.Health(); err == nil || errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "writes are refused: cuts are failing") {
		t.Errorf("health with a full head: %v", err)
	}
	fault.SetHook(nil)
	_, err = db.Flush(t.Context())
	must(t, err)
	if err := db.Health(); err != nil || len(db.Warnings()) != 0 {
		t.Errorf("after a cut that worked: %v, %q", err, db.Warnings())
	}
	if db.writer.active().buf.Stats().Samples != 0 {
		t.Error("a flush after a cut that failed leaves the active head uncut")
	}
	must(t, db.Close(t.Context()))
}

// Retention that fails is tried again after seconds, not after an hour.
func TestFailedRetentionIsRepeatedSoon(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	db, err := openChecked(t, t.Context(), fault, "data", Options{Clock: clock, Seed: 1, RetentionMs: 2 * model.DayMs, WALSegmentBytes: 64 << 10, CacheBytes: -1})
	must(t, err)
	writeOne(t, db, 1)
	_, err = db.Flush(t.Context())
	must(t, err)
	clock.Advance(10 * 24 * time.Hour)
	fault.SetHook(func(op vfs.Op) error {
		if strings.Contains(op.Name, format.ManifestName) && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpCreate) {
			return syscall.ENOSPC
		}
		return nil
	})
	if err := db.Retain(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if d := db.maintainPause(); d != time.Second || db.jobs.retain.Due() {
		t.Errorf("repeated after %v, due at once: %v", d, db.jobs.retain.Due())
	}
	fault.SetHook(nil)
	clock.Advance(time.Second)
	if !db.jobs.retain.Due() {
		t.Error("not due after a second")
	}
	must(t, db.Retain(t.Context()))
	if o := db.jobs.retain.Outcome(); o.Failures != 0 || len(db.manifest.State().Blocks) != 0 {
		t.Errorf("after the repetition: %+v, %d blocks", o, len(db.manifest.State().Blocks))
	}
	must(t, db.Close(t.Context()))
}

// A cut that ends just after a writer has found the head full is noticed.
func TestWriterNoticesTheCutThatEndsWhileItLooks(t *testing.T) {
	signal := make(chan struct{})
	looked := 0
	full := func() bool {
		looked++
		if looked == 1 { // the cut ends between this look and the wait
			close(signal)
			signal = make(chan struct{})
			return true
		}
		return false
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	never := func() <-chan time.Time { return nil }
	if err := awaitCut(ctx, full, func() <-chan struct{} { return signal }, never); err != nil || looked != 2 {
		t.Errorf("%v after %d looks", err, looked)
	}
}

// While a flush is slow, the watcher begins no cut of its own: that would be a
// second, tiny block right after the flush.
func TestWatcherLeavesACutUnderWayAlone(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	db, err := openChecked(t, t.Context(), fault, "data", Options{Clock: clock, Seed: 1, WALSegmentBytes: 64 << 10, CacheBytes: -1})
	must(t, err)
	writeOne(t, db, 10)
	writing, goOn := make(chan struct{}), make(chan struct{})
	fault.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpCreate && strings.Contains(op.Name, "/l0/") {
			close(writing)
			<-goOn
		}
		return nil
	})
	flushed := make(chan error)
	go func() { _, err := db.Flush(context.Background()); flushed <- err }()
	<-writing
	clock.Advance(time.Second)
	writeOne(t, db, 10)
	if tried, err := db.flusher.cutIfDue(t.Context()); tried || err != nil {
		t.Errorf("a cut beside the flush: tried %v, %v", tried, err)
	}
	close(goOn)
	must(t, <-flushed)
	fault.SetHook(nil)
	if tried, err := db.flusher.cutIfDue(t.Context()); tried || err != nil {
		t.Errorf("a cut right after the flush: tried %v, %v", tried, err)
	}
	if n := len(db.manifest.State().Blocks); n != 1 {
		t.Errorf("%d blocks after one flush", n)
	}
	must(t, db.Close(t.Context()))
}

// A start goes on with files of the log that hold nothing and cannot be removed,
// and a release with a segment that cannot be.
func TestLogFilesThatCannotBeDeletedStopNothing(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	opts := Options{Clock: clock, Seed: 1, WALSegmentBytes: 16 << 10, CacheBytes: -1}
	db, err := openChecked(t, t.Context(), fault, "data", opts)
	must(t, err)
	fault.SetHook(func(op vfs.Op) error {
		if (op.Kind == vfs.OpRemove || op.Kind == vfs.OpRename) && strings.Contains(op.Name, "/wal/") && strings.Contains(op.Name, "0000000001.") {
			return syscall.EPERM
		}
		return nil
	})
	total := 0
	for i := range 40 {
		clock.Advance(time.Second)
		writeOne(t, db, 50+i)
		total += 50 + i
	}
	_, err = db.Flush(t.Context())
	must(t, err)
	if w := fmt.Sprint(db.Warnings()); !strings.Contains(w, "releases of log segments are failing") {
		t.Errorf("warnings: %s", w)
	}
	before, err := fault.List("data/wal")
	must(t, err)
	if len(before) > 6 {
		t.Errorf("one segment that cannot be removed keeps others: %v", before)
	}
	closeUncut(db)
	opts.WALSegmentBytes = 32 << 10 // so that no file found can be used again
	db, err = openChecked(t, t.Context(), fault, "data", opts)
	must(t, err)
	if n := countSamples(t, db); n != total {
		t.Errorf("%d samples, want %d", n, total)
	}
	fault.SetHook(nil)
	must(t, db.jobs.release.Run(t.Context(), db.catalog.releaseLog))
	must(t, db.Close(t.Context()))
}
