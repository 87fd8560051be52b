package archive_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage"
	"tsdb/storage/archive"
	"tsdb/storage/snapshot"
)

// world is a database that is backed up.
type world struct {
	t     *testing.T
	clock *vfs.ManualClock
	fs    vfs.FS
	opts  storage.Options
	db    *storage.DB
	store *objstore.Dir
	rand  *rand.Rand
	step  int
}

func newWorld(t *testing.T, keep time.Duration) *world {
	t.Helper()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 22, 0, 0, 0, time.UTC))
	w := &world{t: t, clock: clock, fs: vfs.NewMem(), rand: rand.New(rand.NewSource(1)), opts: storage.Options{
		Clock: clock, Seed: 7, CacheBytes: -1, WALSegmentBytes: 16 << 10, WALPendingBytes: 64 << 10, ReserveBytes: 4 << 10, MinFreeBytes: 1, WALKeep: keep,
		TierRetentionMs: map[block.Tier]int64{block.Minute: 0, block.Hour: 0},
	}}
	w.store = objstore.NewDir(w.fs, "archive")
	w.db = w.open(w.fs, "data")
	t.Cleanup(func() { w.abandon(w.db) })
	return w
}

// open opens a database. The directories of the world itself are checked when the test
// ends, restored ones before they are opened.
func (w *world) open(fsys vfs.FS, dir string) *storage.DB {
	w.t.Helper()
	if fsys == w.fs {
		doctortest.Opened(w.t, fsys, dir)
	}
	db, err := storage.Open(context.Background(), fsys, dir, w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return db
}

func (w *world) abandon(db *storage.DB) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = db.Close(ctx)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// write writes a batch of random series, with late and overwritten samples.
func (w *world) write() {
	w.t.Helper()
	w.step++
	b := w.db.NewBatch("test", model.DefaultTenant)
	now := w.clock.Now().UnixMilli()
	for range 1 + w.rand.Intn(20) {
		i := w.rand.Intn(30)
		ref, err := b.Resolve(model.Hash{Hi: uint64(i)}, labels.FromStrings("__name__", fmt.Sprint("m", i%4), "i", fmt.Sprint(i)))
		w.must(err)
		at := now
		if w.rand.Intn(4) == 0 {
			at -= w.rand.Int63n(20_000)
		}
		b.Float(ref, at, 0, float64(w.step))
	}
	_, err := b.Commit(w.t.Context())
	w.must(err)
}

// live takes one random step.
func (w *world) live() {
	w.t.Helper()
	w.clock.Advance(time.Duration(1+w.rand.Intn(60_000)) * time.Millisecond)
	switch n := w.rand.Intn(40); {
	case n < 34:
		w.write()
	case n < 35:
		w.must(w.db.Delete(w.t.Context(), model.DefaultTenant, model.TimeRange{Min: 0, Max: w.clock.Now().UnixMilli() - w.rand.Int63n(60_000)},
			labels.MustNewMatcher(labels.MatchEqual, "__name__", fmt.Sprint("m", w.rand.Intn(4)))))
	case n < 38:
		_, err := w.db.Flush(w.t.Context())
		w.must(err)
	case n < 39:
		_, err := w.db.Compact(w.t.Context())
		w.must(err)
	default:
		w.abandon(w.db)
		w.db = w.open(w.fs, "data")
	}
}

// answer returns all that a database answers.
func (w *world) answer(db *storage.DB) string {
	w.t.Helper()
	v, err := db.View()
	w.must(err)
	defer v.Release()
	set, err := v.Select(w.t.Context(), model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".*"))
	w.must(err)
	var b strings.Builder
	for i := range set.Len() {
		var s model.Samples
		w.must(set.At(i).Samples(w.t.Context(), model.AllTime, &s))
		fmt.Fprintln(&b, set.At(i).Labels, s.T, s.V)
	}
	return b.String()
}

// backup backs a snapshot up.
func (w *world) backup(change ...func(*archive.BackupOptions)) *archive.BackupReport {
	w.t.Helper()
	name, err := w.db.Snapshot(w.t.Context(), storage.SnapshotOptions{Temporary: true})
	w.must(err)
	o := archive.BackupOptions{FS: w.fs, Dir: snapshot.Dir("data", name), Store: w.store, Clock: w.clock}
	for _, c := range change {
		c(&o)
	}
	r, err := archive.Backup(w.t.Context(), o)
	w.must(err)
	w.must(w.db.RemoveSnapshot(name))
	return r
}

// restore restores a moment into a directory of a new file system, opens it and returns
// what it answers.
func (w *world) restore(inc uint64, target archive.Target) (string, *archive.RestoreReport, error) {
	w.t.Helper()
	to := vfs.NewMem()
	r, err := archive.Restore(w.t.Context(), archive.RestoreOptions{
		Store: w.store, Incarnation: inc, Target: target, FS: to, Dir: "restored", NewIncarnation: 99, Clock: w.clock,
	})
	if err != nil {
		return "", nil, err
	}
	doctortest.Check(w.t, to, "restored")
	db := w.open(to, "restored")
	defer w.abandon(db)
	if st, err := db.Status(); err != nil || st.Incarnation != archive.IncarnationID(99) {
		w.t.Errorf("incarnation %s, %v", st.Incarnation, err)
	}
	return w.answer(db), r, nil
}

// The database of 200 random moments of a run is restored, with deletions, cuts, merges
// and restarts between them, and answers what it answered then.
func TestEveryMomentComesBack(t *testing.T) {
	w := newWorld(t, 24*time.Hour)
	w.write()
	first := w.backup()
	type moment struct {
		fromMs, toMs int64 // half-open
		answer       string
	}
	var moments []moment
	for i := range 600 {
		at := w.clock.Now().UnixMilli()
		answer := w.answer(w.db)
		w.live()
		moments = append(moments, moment{at, w.clock.Now().UnixMilli(), answer})
		if i%60 == 59 {
			w.backup()
		}
	}
	moments = append(moments[:0:0], moments[:len(moments)-1]...)
	n := 200
	if testing.Short() {
		n = 20
	}
	for range n {
		m := moments[w.rand.Intn(len(moments))]
		at := m.fromMs + w.rand.Int63n(m.toMs-m.fromMs)
		got, r, err := w.restore(first.Incarnation, archive.Target{AtMs: &at})
		if err != nil {
			t.Fatalf("restore at %d: %v", at, err)
		}
		if got != m.answer {
			t.Fatalf("at %d, from the mark of %d, LSN %d:\n%s\nwant\n%s", at, r.Mark.WallMs, r.LSN, got, m.answer)
		}
	}
}

// Without kept log files only marks and their own log come back; other moments are
// refused, with the nearest ones.
func TestMomentsThatAreNotArchivedAreRefused(t *testing.T) {
	w := newWorld(t, 0)
	w.write()
	first := w.backup()
	before := w.clock.Now().UnixMilli() - 1
	w.clock.Advance(time.Minute)
	w.write()
	lost := w.clock.Now().UnixMilli()
	w.clock.Advance(time.Minute)
	w.write()
	_, err := w.db.Flush(t.Context())
	w.must(err)
	w.clock.Advance(time.Minute)
	w.write()
	want := w.answer(w.db)
	second := w.backup()
	after := w.clock.Now().Add(time.Hour).UnixMilli()
	for _, at := range []int64{before, lost, after} {
		_, _, err := w.restore(first.Incarnation, archive.Target{AtMs: &at})
		if !errors.Is(err, archive.ErrNotCovered) {
			t.Errorf("restore at %d: %v", at, err)
		}
		t.Log(err)
	}
	for _, target := range []archive.Target{{}, {AtMs: &second.Mark.WallMs}, {LSN: &second.Mark.LSN}} {
		got, _, err := w.restore(first.Incarnation, target)
		w.must(err)
		if got != want {
			t.Errorf("at %v:\n%s\nwant\n%s", target, got, want)
		}
	}
}

// A second backup writes what is new, and one of the same moment nothing.
func TestBackupsAreIncremental(t *testing.T) {
	w := newWorld(t, 0)
	for range 200 {
		w.write()
		w.clock.Advance(time.Second)
	}
	_, err := w.db.Compact(t.Context())
	w.must(err)
	first := w.backup()
	if first.Written < 3 {
		t.Fatalf("first: %+v", first)
	}
	w.write()
	second := w.backup()
	if second.Written != 2 || second.WrittenBytes > first.WrittenBytes {
		t.Errorf("second: %+v after %+v", second, first)
	}
	w.abandon(w.db)
	r, err := archive.Backup(t.Context(), archive.BackupOptions{FS: w.fs, Dir: "data", Store: w.store, Clock: w.clock})
	w.must(err)
	again, err := archive.Backup(t.Context(), archive.BackupOptions{FS: w.fs, Dir: "data", Store: w.store, Clock: w.clock})
	w.must(err)
	if again.Written != 0 || again.Mark != r.Mark {
		t.Errorf("the same moment again: %+v after %+v", again, r)
	}
	w.db = w.open(w.fs, "data")
}

// A backup archives the log though only one frame of a segment is new, or only the first of
// it was there before.
func TestOneNewFrameIsArchived(t *testing.T) {
	w := newWorld(t, 0)
	write := func(v float64) { // with the clock at rest: the log adds a mark after a pause
		b := w.db.NewBatch("test", model.DefaultTenant)
		ref, err := b.Resolve(model.Hash{Hi: 1}, labels.FromStrings("__name__", "m"))
		w.must(err)
		b.Float(ref, w.clock.Now().UnixMilli()+int64(v), 0, v)
		_, err = b.Commit(t.Context())
		w.must(err)
	}
	if r := w.backup(); r.Mark.LSN != 1 {
		t.Fatalf("LSN %d, want the frame of the start", r.Mark.LSN)
	}
	write(1)
	last := w.backup()
	if got, _, err := w.restore(last.Incarnation, archive.Target{}); err != nil || got != w.answer(w.db) {
		t.Errorf("after one frame: %v\n%s", err, got)
	}
	for i := range 3 {
		write(float64(2 + i)) // a frame: the series is defined already
		want := w.answer(w.db)
		r := w.backup()
		if r.Mark.LSN != last.Mark.LSN+1 {
			t.Fatalf("LSN %d after %d, want one frame", r.Mark.LSN, last.Mark.LSN)
		}
		for _, target := range []archive.Target{{}, {LSN: &r.Mark.LSN}} {
			if got, _, err := w.restore(r.Incarnation, target); err != nil || got != want {
				t.Errorf("%v: %v\n%s\nwant\n%s", target, err, got, want)
			}
		}
		last = r
	}
}

// After a restore the same names of blocks have other content: objects of two
// incarnations lie apart, and each comes back.
func TestARestoredDatabaseIsBackedUpApart(t *testing.T) {
	w := newWorld(t, 0)
	w.write()
	first := w.backup()
	old := w.answer(w.db)
	w.must(errors.Join(vfsRemove(w, "other")))
	_, err := archive.Restore(t.Context(), archive.RestoreOptions{
		Store: w.store, Incarnation: first.Incarnation, FS: w.fs, Dir: "other", NewIncarnation: 5, Clock: w.clock,
	})
	w.must(err)
	other := w.open(w.fs, "other")
	w.clock.Advance(time.Second)
	w.write() // to the first
	w.db, other = other, w.db
	w.write()
	_, err = w.db.Flush(t.Context())
	w.must(err)
	_, err = other.Flush(t.Context())
	w.must(err)
	want := w.answer(w.db)
	w.abandon(w.db)
	r, err := archive.Backup(t.Context(), archive.BackupOptions{FS: w.fs, Dir: "other", Store: w.store, Clock: w.clock})
	w.must(err)
	w.db = other
	newest := w.answer(w.db)
	w.backup()
	if got, _, err := w.restore(r.Incarnation, archive.Target{}); err != nil || got != want {
		t.Errorf("the restored one: %v\n%s\nwant\n%s", err, got, want)
	}
	if got, _, err := w.restore(first.Incarnation, archive.Target{}); err != nil || got != newest {
		t.Errorf("the first one: %v\n%s\nwant\n%s", err, got, newest)
	}
	if got, _, err := w.restore(first.Incarnation, archive.Target{LSN: &first.Mark.LSN}); err != nil || got != old {
		t.Errorf("the first one, before: %v\n%s\nwant\n%s", err, got, old)
	}
	list, err := archive.List(t.Context(), w.store)
	if err != nil || len(list) != 2 || len(list[0].Marks)+len(list[1].Marks) != 3 {
		t.Errorf("list: %+v, %v", list, err)
	}
}

func vfsRemove(w *world, dir string) error { return vfs.RemoveAll(w.fs, dir) }

// Old marks go, and their objects a day after nothing refers to them.
func TestOldMarksAndTheirObjectsGo(t *testing.T) {
	w := newWorld(t, 0)
	keep := func(o *archive.BackupOptions) { o.Keep = 48 * time.Hour }
	counts := []int{}
	for range 8 {
		w.write()
		_, err := w.db.Compact(t.Context())
		w.must(err)
		r := w.backup(keep)
		keys, err := w.store.List(t.Context(), "")
		w.must(err)
		n := 0
		for _, key := range keys {
			if !strings.Contains(key, "/blocks/") {
				n++
			}
		}
		counts = append(counts, n)
		list, err := archive.List(t.Context(), w.store)
		w.must(err)
		if n := len(list[0].Marks); n > 3 {
			t.Errorf("%d marks", n)
		}
		got, _, err := w.restore(r.Incarnation, archive.Target{AtMs: &list[0].Marks[0].WallMs})
		if err != nil || got == "" {
			t.Errorf("the oldest mark: %v", err)
		}
		w.clock.Advance(24 * time.Hour)
	}
	// A head, three marks with a piece of the log each, and as much that waits for a day.
	if counts[7] > 1+2*5 {
		t.Errorf("marks and pieces of the log are not deleted: %v", counts)
	}
}

// The newest moment stays, however old it is.
func TestTheNewestMarkStays(t *testing.T) {
	w := newWorld(t, 0)
	w.write()
	name, err := w.db.Snapshot(t.Context(), storage.SnapshotOptions{})
	w.must(err)
	want := w.answer(w.db)
	w.clock.Advance(72 * time.Hour)
	r, err := archive.Backup(t.Context(), archive.BackupOptions{FS: w.fs, Dir: snapshot.Dir("data", name), Store: w.store, Clock: w.clock, Keep: 48 * time.Hour})
	w.must(err)
	if got, _, err := w.restore(r.Incarnation, archive.Target{}); err != nil || got != want || r.DroppedMarks != 0 {
		t.Errorf("%d dropped, %v:\n%s\nwant\n%s", r.DroppedMarks, err, got, want)
	}
}

// What nothing needs is deleted after the head says so: not if another backup has changed
// the head meanwhile, because that may need it.
func TestNothingIsDeletedThatTheHeadDoesNotCondemn(t *testing.T) {
	w := newWorld(t, 0)
	keep := func(o *archive.BackupOptions) { o.Keep = time.Hour }
	for range 2 {
		w.write()
		_, err := w.db.Compact(t.Context())
		w.must(err)
		w.backup(keep)
		w.clock.Advance(25 * time.Hour)
	}
	w.write()
	before, err := w.store.List(t.Context(), "")
	w.must(err)
	store := &contested{Dir: w.store, from: 2}
	if r := w.backup(keep, func(o *archive.BackupOptions) { o.Store = store }); store.puts != 2 || r.Deleted != 0 {
		t.Errorf("the head was written %d times, want 2; %d objects were deleted", store.puts, r.Deleted)
	}
	after, err := w.store.List(t.Context(), "")
	w.must(err)
	for _, key := range before {
		if !slices.Contains(after, key) {
			t.Errorf("%s is gone", key)
		}
	}
	w.clock.Advance(time.Second)
	if r := w.backup(keep); r.Deleted == 0 {
		t.Error("the next backup deletes nothing")
	}
}

// contested is a store in which another backup wins from the given replacement of the head
// on.
type contested struct {
	*objstore.Dir
	from, puts int
}

func (c *contested) PutIf(ctx context.Context, key string, data []byte, expected objstore.Identity) (objstore.Identity, error) {
	if c.puts++; c.puts >= c.from {
		return objstore.Identity{}, &objstore.ConflictError{Key: key, Mine: objstore.IdentityOf(int64(len(data)), data)}
	}
	return c.Dir.PutIf(ctx, key, data, expected)
}

// A backup of a directory that is behind the archive is refused.
func TestAnOlderDirectoryIsNotBackedUp(t *testing.T) {
	w := newWorld(t, 0)
	w.write()
	name, err := w.db.Snapshot(t.Context(), storage.SnapshotOptions{})
	w.must(err)
	w.write()
	w.backup()
	_, err = archive.Backup(t.Context(), archive.BackupOptions{FS: w.fs, Dir: snapshot.Dir("data", name), Store: w.store, Clock: w.clock})
	if !errors.Is(err, archive.ErrBranch) || !strings.Contains(err.Error(), "older than the newest backup") {
		t.Errorf("backup of an older snapshot: %v", err)
	}
	// Also if it is older by an edit, and the log is the same.
	name, err = w.db.Snapshot(t.Context(), storage.SnapshotOptions{})
	w.must(err)
	w.must(w.db.SetRetention(t.Context(), storage.Retention{RawMs: 30 * model.DayMs, TierMs: w.opts.TierRetentionMs}))
	last := w.backup()
	_, err = archive.Backup(t.Context(), archive.BackupOptions{FS: w.fs, Dir: snapshot.Dir("data", name), Store: w.store, Clock: w.clock})
	if !errors.Is(err, archive.ErrBranch) || !strings.Contains(err.Error(), fmt.Sprintf("LSN %d, the backup has", last.Mark.LSN)) {
		t.Errorf("backup of a snapshot that lacks an edit: %v", err)
	}
}

// A clock that is set back does not hide what was written then: the position of a time is
// the last frame up to which none has a later time.
func TestTheClockIsSetBack(t *testing.T) {
	w := newWorld(t, time.Hour)
	w.write()
	w.backup()
	at := w.clock.Now().UnixMilli()
	w.clock.Advance(-time.Minute)
	w.write()
	want := w.answer(w.db)
	r := w.backup()
	if r.Mark.WallMs < at {
		t.Errorf("the time of the mark, %d, is before %d", r.Mark.WallMs, at)
	}
	w.clock.Advance(2 * time.Minute)
	w.write()
	w.backup()
	got, _, err := w.restore(r.Incarnation, archive.Target{AtMs: &at})
	if err != nil || got != want {
		t.Errorf("%v:\n%s\nwant\n%s", err, got, want)
	}
}

// overtaken is a store in which another backup moves the head first.
type overtaken struct {
	*objstore.Dir
	before func()
}

func (o *overtaken) PutIf(ctx context.Context, key string, data []byte, expected objstore.Identity) (objstore.Identity, error) {
	if f := o.before; f != nil {
		o.before = nil
		f()
	}
	return o.Dir.PutIf(ctx, key, data, expected)
}

// Of two backups at a time the one that is overtaken lists its mark beside that of the
// other.
func TestTwoBackupsAtATime(t *testing.T) {
	w := newWorld(t, time.Hour)
	w.write()
	w.backup()
	w.clock.Advance(time.Second)
	w.write()
	want := w.answer(w.db)
	newest := ""
	store := &overtaken{Dir: w.store, before: func() {
		w.clock.Advance(time.Second)
		w.write()
		newest = w.answer(w.db)
		w.backup()
	}}
	r := w.backup(func(o *archive.BackupOptions) { o.Store = store })
	list, err := archive.List(t.Context(), w.store)
	if err != nil || len(list) != 1 || len(list[0].Marks) != 3 {
		t.Fatalf("%+v, %v", list, err)
	}
	for text, target := range map[string]archive.Target{want: {LSN: &r.Mark.LSN}, newest: {}} {
		if got, _, err := w.restore(r.Incarnation, target); err != nil || got != text {
			t.Errorf("%v: %v\n%s\nwant\n%s", target, err, got, text)
		}
	}
}

// A backup that takes longer than the grace lists no mark of which other backups have
// deleted objects meanwhile.
func TestABackupLosesItsObjectsToAnother(t *testing.T) {
	w := newWorld(t, time.Hour)
	w.write()
	w.backup()
	w.clock.Advance(time.Second)
	w.write()
	_, err := w.db.Flush(t.Context())
	w.must(err)
	name, err := w.db.Snapshot(t.Context(), storage.SnapshotOptions{})
	w.must(err)
	want := ""
	store := &overtaken{Dir: w.store, before: func() {
		_, err := w.db.Compact(t.Context()) // the block of the snapshot leaves the database
		w.must(err)
		w.backup()
		w.clock.Advance(archive.DefaultGrace)
		want = w.answer(w.db)
		if r := w.backup(); r.Deleted == 0 {
			t.Error("nothing was deleted")
		}
	}}
	_, err = archive.Backup(t.Context(), archive.BackupOptions{FS: w.fs, Dir: snapshot.Dir("data", name), Store: store, Clock: w.clock})
	if err == nil || !strings.Contains(err.Error(), "another backup has deleted") || !strings.Contains(err.Error(), "--grace") {
		t.Errorf("a backup whose objects are gone: %v", err)
	}
	list, err := archive.List(t.Context(), w.store)
	w.must(err)
	for _, m := range list[0].Marks {
		if _, _, err := w.restore(list[0].ID, archive.Target{LSN: &m.LSN}); err != nil {
			t.Errorf("restore of LSN %d: %v", m.LSN, err)
		}
	}
	if got, _, err := w.restore(list[0].ID, archive.Target{}); err != nil || got != want {
		t.Errorf("%v:\n%s\nwant\n%s", err, got, want)
	}
}

// A restore touches nothing in a directory that has anything else.
func TestRestoreIntoADirectoryThatIsNotEmpty(t *testing.T) {
	w := newWorld(t, 0)
	w.write()
	r := w.backup()
	o := archive.RestoreOptions{Store: w.store, Incarnation: r.Incarnation, NewIncarnation: 99, Clock: w.clock, FS: vfs.NewMem(), Dir: "restored"}
	_, err := archive.Restore(t.Context(), o)
	w.must(err)
	before, err := manifest.ReadFile(o.FS, "restored/MANIFEST")
	w.must(err)
	o.NewIncarnation = 100
	if _, err := archive.Restore(t.Context(), o); err == nil || !strings.Contains(err.Error(), "it is not empty, it has ") {
		t.Errorf("restore over a database: %v", err)
	}
	if after, err := manifest.ReadFile(o.FS, "restored/MANIFEST"); err != nil || string(after) != string(before) {
		t.Errorf("the MANIFEST has changed, %v", err)
	}
}

// A directory whose log is gone is not backed up, as if nothing had been in it.
func TestADirectoryWithoutItsLogIsNotBackedUp(t *testing.T) {
	w := newWorld(t, 0)
	w.write()
	w.abandon(w.db)
	w.must(copyDir(w.fs, "data", "copy"))
	names, err := w.fs.List("copy/wal")
	w.must(err)
	for _, n := range names {
		w.must(w.fs.Remove("copy/wal/" + n))
	}
	w.db = w.open(w.fs, "data")
	if r, err := archive.Backup(t.Context(), archive.BackupOptions{FS: w.fs, Dir: "copy", Store: w.store, Clock: w.clock}); err == nil || !strings.Contains(err.Error(), "wal") {
		t.Errorf("%+v, %v", r, err)
	} else {
		t.Log(err)
	}
	if keys, err := w.store.List(t.Context(), ""); err != nil || len(keys) > 0 {
		t.Errorf("it has left %v, %v", keys, err)
	}
}

// A piece of another log under the key of one is not restored.
func TestAPieceOfAnotherLogIsRefused(t *testing.T) {
	var worlds [2]*world
	var pieces [2]string
	var r *archive.BackupReport
	for i := range worlds {
		w := newWorld(t, 0)
		worlds[i], w.step = w, 10*i // other values, and all else is equal
		w.write()
		r = w.backup()
		keys, err := w.store.List(t.Context(), "")
		w.must(err)
		for _, key := range keys {
			if strings.HasSuffix(key, ".frames") {
				pieces[i] = path.Join("archive", key)
			}
		}
	}
	w := worlds[1]
	if pieces[0] == pieces[1] || path.Dir(pieces[0]) != path.Dir(pieces[1]) {
		t.Fatalf("pieces %v", pieces)
	}
	other, err := worlds[0].fs.Open(pieces[0])
	w.must(err)
	size, err := other.Size()
	w.must(err)
	b := make([]byte, size)
	_, err = other.ReadAt(b, 0)
	w.must(errors.Join(err, other.Close()))
	f, err := w.fs.OpenReadWrite(pieces[1])
	w.must(err)
	_, err = f.WriteAt(b, 0)
	w.must(errors.Join(err, f.Truncate(size), f.Sync(), f.Close()))
	if got, _, err := w.restore(r.Incarnation, archive.Target{}); !errors.Is(err, format.ErrCorrupt) || !strings.Contains(err.Error(), "another piece than the mark lists") {
		t.Errorf("%v:\n%s", err, got)
	}
}

// Of two copies of a directory on which servers have run, only one is backed up.
func TestAnotherBranchIsNotBackedUp(t *testing.T) {
	for _, flush := range []bool{false, true} {
		w := newWorld(t, 0)
		w.write()
		w.abandon(w.db)
		w.must(copyDir(w.fs, "data", "copy"))
		w.db = w.open(w.fs, "data")
		other := w.open(w.fs, "copy")
		w.clock.Advance(time.Second)
		w.write()
		w.db, other = other, w.db
		for range 5 { // so that the copy is further
			w.write()
		}
		if flush {
			for _, db := range []*storage.DB{w.db, other} {
				_, err := db.Flush(t.Context())
				w.must(err)
			}
			w.write()
		}
		w.abandon(w.db)
		w.db = other
		w.backup()
		_, err := archive.Backup(t.Context(), archive.BackupOptions{FS: w.fs, Dir: "copy", Store: w.store, Clock: w.clock})
		if !errors.Is(err, archive.ErrBranch) {
			t.Errorf("flush %v: backup of another branch: %v", flush, err)
		}
		t.Log(err)
	}
}

// copyDir copies a data directory at rest.
func copyDir(fsys vfs.FS, from, to string) error {
	files, err := snapshot.Files(fsys, from)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := path.Join(to, f.Path)
		if err := errors.Join(fsys.MkdirAll(path.Dir(name)), vfs.Copy(fsys, path.Join(from, f.Path), name, f.Size)); err != nil {
			return err
		}
	}
	return nil
}
