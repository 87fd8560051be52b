package storage

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"math/rand"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
	"tsdb/storage/doctor"
	"tsdb/storage/log"
	"tsdb/storage/snapshot"
)

// snapshotWorld is a database with blocks, a log of several segments, and deletions.
type snapshotWorld struct {
	clock *vfs.ManualClock
	fs    vfs.FS
	opts  Options
	db    *DB
	step  int
}

func newSnapshotWorld(t *testing.T, fsys vfs.FS) *snapshotWorld {
	t.Helper()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	w := &snapshotWorld{clock: clock, fs: fsys, opts: Options{
		Clock: clock, Seed: 7, CacheBytes: -1, TierRetentionMs: map[block.Tier]int64{block.Minute: 0, block.Hour: 0}, WALSegmentBytes: 16 << 10, WALPendingBytes: 64 << 10, ReserveBytes: 4 << 10, MinFreeBytes: 1,
	}}
	doctortest.CheckAtEnd(t, func() vfs.FS { return fsys }, "data", nil)
	w.db = w.open(t, fsys, "data")
	return w
}

func (w *snapshotWorld) open(t *testing.T, fsys vfs.FS, dir string) *DB {
	t.Helper()
	db, err := Open(t.Context(), fsys, dir, w.opts)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// fill makes two blocks and a log with several segments.
func (w *snapshotWorld) fill(t *testing.T) {
	t.Helper()
	for range 2 {
		w.write(t, w.db, 20)
		if _, err := w.db.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.write(t, w.db, 60)
}

// write writes n batches of 40 series.
func (w *snapshotWorld) write(t *testing.T, db *DB, n int) {
	t.Helper()
	for range n {
		w.step++
		w.clock.Advance(time.Second)
		b := db.NewBatch("test", model.DefaultTenant)
		for i := range 40 {
			ref, err := b.Resolve(model.Hash{Hi: uint64(i)}, labels.FromStrings("__name__", fmt.Sprint("m", i%4), "i", fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
			b.Float(ref, w.clock.Now().UnixMilli(), 0, float64(w.step*100+i))
		}
		if _, err := b.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// busy does with the database all that changes files.
func (w *snapshotWorld) busy(t *testing.T) {
	t.Helper()
	w.write(t, w.db, 30)
	if err := w.db.Delete(t.Context(), model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m1")); err != nil {
		t.Fatal(err)
	}
	w.write(t, w.db, 30)
	if _, err := w.db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.db.catalog.sweep(t.Context())
	w.write(t, w.db, 60)
}

// allSamples returns all samples of a database as text.
func allSamples(t *testing.T, db *DB) string {
	t.Helper()
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Release()
	set, err := v.Select(t.Context(), model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".*"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i := range set.Len() {
		var s model.Samples
		if err := set.At(i).Samples(t.Context(), model.AllTime, &s); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, set.At(i).Labels, s.T, s.V)
	}
	return b.String()
}

// checksums returns the checksum of every file below a directory.
func checksums(t *testing.T, fsys vfs.FS, dir string) map[string]uint32 {
	t.Helper()
	files, err := snapshot.Files(fsys, dir)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]uint32{}
	for _, f := range files {
		file, err := fsys.Open(path.Join(dir, f.Path))
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, f.Size)
		if _, err := file.ReadAt(b, 0); err != nil && f.Size > 0 {
			t.Fatal(err)
		}
		file.Close()
		sums[f.Path] = crc32.ChecksumIEEE(b)
	}
	return sums
}

// sharedFiles returns the checksums of the files that a snapshot shares with its origin.
func sharedFiles(t *testing.T, fsys vfs.FS, name string) map[string]uint32 {
	t.Helper()
	sums := checksums(t, fsys, snapshot.Dir("data", name))
	maps.DeleteFunc(sums, func(file string, _ uint32) bool {
		info, err := fsys.Stat(path.Join("data", file))
		return err != nil || info.Links < 2
	})
	return sums
}

// checkDir runs tsdb check.
func checkDir(t *testing.T, fsys vfs.FS, dir string) {
	t.Helper()
	r, err := doctor.Check(context.Background(), fsys, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Damage {
		t.Errorf("%s: %s@%d: %s", dir, d.File, d.Offset, d.What)
	}
}

func abandon(db *DB) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = db.Close(ctx)
}

// A snapshot holds what was acknowledged when it was taken, whatever its origin does
// then, and neither changes a file of the other: not by writes, cuts, merges,
// deletions, nor by a start after a crash.
func TestSnapshotIsServedBesideItsOrigin(t *testing.T) {
	fsys := vfs.NewMem()
	w := newSnapshotWorld(t, fsys)
	w.fill(t)
	want := allSamples(t, w.db)
	name, err := w.db.Snapshot(t.Context(), SnapshotOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir := snapshot.Dir("data", name)
	checkDir(t, fsys, dir)
	taken := checksums(t, fsys, dir)
	w.busy(t)
	abandon(w.db)
	w.db = w.open(t, fsys, "data")
	w.busy(t)
	if got := checksums(t, fsys, dir); !maps.Equal(got, taken) {
		t.Errorf("the origin changed files of the snapshot: %v, were %v", got, taken)
	}

	served := w.open(t, fsys, dir)
	if got := allSamples(t, served); got != want {
		t.Errorf("the snapshot answers\n%s\nwant\n%s", got, want)
	}
	if a, b := served.manifest.State().Incarnation.ID, w.db.manifest.State().Incarnation.ID; a == 0 || a == b {
		t.Errorf("incarnation %x of the snapshot, %x of its origin", a, b)
	}
	if err := w.db.RemoveSnapshot(name); !errors.Is(err, ErrSnapshotInUse) {
		t.Errorf("removing a snapshot that is served: %v", err)
	}
	abandon(served)

	// What a second snapshot shares with its origin is not changed by a server on it.
	second, err := w.db.Snapshot(t.Context(), SnapshotOptions{})
	if err != nil {
		t.Fatal(err)
	}
	shared := sharedFiles(t, fsys, second)
	if len(shared) < 3 {
		t.Fatalf("shared are only %v", shared)
	}
	served = w.open(t, fsys, snapshot.Dir("data", second))
	w.write(t, served, 100)
	if _, err := served.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	served.catalog.sweep(t.Context())
	abandon(served)
	served = w.open(t, fsys, snapshot.Dir("data", second))
	w.write(t, served, 100)
	if err := served.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, sum := range checksums(t, fsys, "data") {
		if was, ok := shared[name]; ok && sum != was {
			t.Errorf("the served snapshot changed %s of its origin", name)
		}
		delete(shared, name)
	}
	if len(shared) > 0 {
		t.Errorf("the served snapshot removed %v of its origin", shared)
	}
	checkDir(t, fsys, dir)
	checkDir(t, fsys, snapshot.Dir("data", second))
	if err := w.db.RemoveSnapshot(second); err != nil {
		t.Fatal(err)
	}
	if err := w.db.RemoveSnapshot(name); err != nil {
		t.Fatal(err)
	}
	if infos, err := w.db.SnapshotStatus(); err != nil || len(infos) > 0 {
		t.Errorf("after the removal: %v, %v", infos, err)
	}
	if err := w.db.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkDir(t, fsys, "data")
}

// A snapshot is the same where the file system refuses links.
func TestSnapshotCopiesWhereLinksAreRefused(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	w := newSnapshotWorld(t, fault)
	w.fill(t)
	want := allSamples(t, w.db)
	fault.SetHook(func(o vfs.Op) error {
		if o.Kind == vfs.OpLink {
			return errors.New("no links here")
		}
		return nil
	})
	name, err := w.db.Snapshot(t.Context(), SnapshotOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.busy(t)
	served := w.open(t, fault, snapshot.Dir("data", name))
	if got := allSamples(t, served); got != want {
		t.Errorf("the snapshot answers\n%s\nwant\n%s", got, want)
	}
	abandon(served)
	abandon(w.db)
}

func TestSnapshotWithoutTheHeadHasTheBlocks(t *testing.T) {
	fsys := vfs.NewMem()
	w := newSnapshotWorld(t, fsys)
	w.write(t, w.db, 5)
	if _, err := w.db.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := allSamples(t, w.db)
	w.write(t, w.db, 5)
	name, err := w.db.Snapshot(t.Context(), SnapshotOptions{SkipHead: true})
	if err != nil {
		t.Fatal(err)
	}
	served := w.open(t, fsys, snapshot.Dir("data", name))
	if got := allSamples(t, served); got != want {
		t.Errorf("the snapshot answers\n%s\nwant\n%s", got, want)
	}
	if lo, hi := w.db.wal.Generation(), served.wal.Generation(); hi <= lo {
		t.Errorf("generation %d of the snapshot was used by its origin, which is at %d", hi, lo)
	}
	abandon(served)
	abandon(w.db)
}

// While a snapshot is taken, writes and cuts go on; whatever it holds is a prefix of
// what was acknowledged, with all that was acknowledged before.
func TestSnapshotsTakenWhileTheDatabaseWorks(t *testing.T) {
	fsys := vfs.NewMem()
	w := newSnapshotWorld(t, fsys)
	w.fill(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 8 {
			w.write(t, w.db, 10)
			if _, err := w.db.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}()
	var dirs []string
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		name, err := w.db.Snapshot(t.Context(), SnapshotOptions{})
		if errors.Is(err, fs.ErrExist) {
			continue // in the same millisecond as the last
		}
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, snapshot.Dir("data", name))
	}
	last := 0
	for _, dir := range dirs {
		checkDir(t, fsys, dir)
		served := w.open(t, fsys, dir)
		text := allSamples(t, served)
		steps := strings.Count(strings.SplitN(text, "\n", 2)[0], " ")
		for line := range strings.Lines(text) {
			if n := strings.Count(line, " "); n != steps {
				t.Errorf("%s: a batch is there in part: %d and %d samples", dir, n, steps)
				break
			}
		}
		if steps < last {
			t.Errorf("%s has fewer samples than the one before", dir)
		}
		last = steps
		abandon(served)
	}
	abandon(w.db)
}

// imageHook is a log that calls after once it has made an image.
type imageHook struct {
	log.Log
	after func()
}

func (h *imageHook) Image(lsn uint64) (log.Image, error) {
	image, err := h.Log.Image(lsn)
	h.after()
	return image, err
}

// What is written after a snapshot has its position of the log is not in it, nor is what
// comes beside the log: no edit is published before the snapshot has its blocks.
func TestSnapshotTakesBlocksAndLogOfOneMoment(t *testing.T) {
	fsys := vfs.NewMem()
	w := newSnapshotWorld(t, fsys)
	defer func() { abandon(w.db) }()
	w.fill(t)
	want := allSamples(t, w.db)
	held := false
	w.db.catalog.wal = &imageHook{Log: w.db.catalog.wal, after: func() {
		w.write(t, w.db, 1)
		if held = !w.db.catalog.mu.TryLock(); held {
			return
		}
		w.db.catalog.mu.Unlock()
		im := w.db.NewImport(ImportOptions{})
		defer im.Close()
		s := one(w.clock.Now().UnixMilli()-40*model.DayMs, 1)
		must(t, im.Add(t.Context(), labels.FromStrings("__name__", "imported"), &s))
		_, err := im.Publish(t.Context())
		must(t, err)
	}}
	name, err := w.db.Snapshot(t.Context(), SnapshotOptions{})
	must(t, err)
	dir := snapshot.Dir("data", name)
	checkDir(t, fsys, dir)
	served := w.open(t, fsys, dir)
	defer abandon(served)
	if got := allSamples(t, served); got != want {
		t.Errorf("the snapshot has what came after its position:\n%s\nwant\n%s", got, want)
	}
	if allSamples(t, w.db) == want {
		t.Error("nothing was written")
	}
	if !held {
		t.Error("edits were not held back")
	}
}

// After a power cut at any operation of a snapshot or of its removal the database has
// all samples, and the snapshot is complete or gone.
func TestSnapshotIsWholeOrGoneAfterAPowerCut(t *testing.T) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	w := newSnapshotWorld(t, fault)
	w.fill(t)
	want := allSamples(t, w.db)
	type state struct {
		op   vfs.Op
		fs   *vfs.Mem
		made bool // the snapshot had been acknowledged
	}
	var states []state
	made := false
	rng := rand.New(rand.NewSource(1))
	fault.Count(vfs.MutatingOps)
	cut := func(op vfs.Op) error {
		for _, o := range []vfs.CrashOptions{{}, {Mode: vfs.CrashSectors, Keep: 0.5, Rand: rng}, {Mode: vfs.CrashTorn, Rand: rng}} {
			states = append(states, state{op, mem.CrashClone(o), made})
		}
		return nil
	}
	fault.SetHook(cut)
	name, err := w.db.Snapshot(t.Context(), SnapshotOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made = true
	must(t, cut(vfs.Op{})) // before any other operation
	removing := len(states)
	if err := w.db.RemoveSnapshot(name); err != nil {
		t.Fatal(err)
	}
	fault.SetHook(nil)
	abandon(w.db)
	t.Logf("%d states", len(states))
	found := 0
	for i, s := range states {
		db := w.open(t, s.fs, "data")
		if got := allSamples(t, db); got != want {
			t.Fatalf("power cut before %v: the database lost samples", s.op)
		}
		infos, err := db.SnapshotStatus()
		if err != nil {
			t.Fatal(err)
		}
		if len(infos) == 0 && s.made && i < removing {
			t.Fatalf("power cut before %v: the snapshot is lost", s.op)
		}
		for _, info := range infos {
			found++
			dir := snapshot.Dir("data", info.Name)
			checkDir(t, s.fs, dir)
			served := w.open(t, s.fs, dir)
			if got := allSamples(t, served); got != want {
				t.Fatalf("power cut before %v: the snapshot answers\n%s\nwant\n%s", s.op, got, want)
			}
			abandon(served)
		}
		names, err := s.fs.List(path.Join("data", format.SnapshotsDir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, format.TempSuffix) }) {
			t.Fatalf("power cut before %v: %v are left", s.op, names)
		}
		abandon(db)
	}
	if found == 0 {
		t.Error("no state had a snapshot")
	}
}

// A failed operation fails the snapshot, or not even that; the next one succeeds.
func TestSnapshotFailsCleanly(t *testing.T) {
	for _, cause := range []error{errors.New("injected"), vfs.ErrShortWrite} {
		for k := 1; ; k++ {
			fault := vfs.NewFault(vfs.NewMem())
			w := newSnapshotWorld(t, fault)
			w.write(t, w.db, 5)
			if _, err := w.db.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.write(t, w.db, 5)
			want := allSamples(t, w.db)
			before := fault.N()
			fault.SetHook(func(o vfs.Op) error {
				if o.N == before+k && path.Dir(o.Name) != "data/wal" { // a failure there may poison the log
					return cause
				}
				return nil
			})
			_, err := w.db.Snapshot(t.Context(), SnapshotOptions{})
			failedAll := fault.N() < before+k
			fault.SetHook(nil)
			if err != nil {
				if infos, err := w.db.SnapshotStatus(); err != nil || len(infos) > 0 {
					t.Fatalf("operation %d: there is a snapshot that failed: %v, %v", k, infos, err)
				}
				w.clock.Advance(time.Second)
				if _, err := w.db.Snapshot(t.Context(), SnapshotOptions{}); err != nil {
					t.Fatalf("operation %d: the next snapshot: %v", k, err)
				}
			}
			infos, err := w.db.SnapshotStatus()
			if err != nil || len(infos) != 1 {
				t.Fatalf("operation %d: %v, %v", k, infos, err)
			}
			served := w.open(t, fault, snapshot.Dir("data", infos[0].Name))
			if got := allSamples(t, served); got != want {
				t.Fatalf("operation %d: the snapshot answers\n%s\nwant\n%s", k, got, want)
			}
			abandon(served)
			abandon(w.db)
			if failedAll {
				break
			}
		}
	}
}

// Short space refuses snapshots and takes back temporary ones, and no others.
func TestShortSpaceGivesTemporarySnapshotsUp(t *testing.T) {
	mem := vfs.NewMem()
	w := newSnapshotWorld(t, mem)
	w.fill(t)
	keep, err := w.db.Snapshot(t.Context(), SnapshotOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, w.db, 30)
	w.clock.Advance(time.Second)
	if _, err := w.db.Snapshot(t.Context(), SnapshotOptions{Temporary: true}); err != nil {
		t.Fatal(err)
	}
	w.busy(t)
	st, err := w.db.Status()
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Snapshots) != 2 || st.SnapshotBytes == 0 || st.Snapshots[0].PinnedBytes == 0 {
		t.Fatalf("status: %+v", st.Snapshots)
	}
	mem.SetCapacity(mem.Used())
	if _, err := w.db.Snapshot(t.Context(), SnapshotOptions{}); !errors.Is(err, ErrBusy) {
		t.Errorf("snapshot on a full disk: %v", err)
	}
	for range 20 {
		w.db.watchOnce(t.Context())
	}
	infos, err := w.db.SnapshotStatus()
	if err != nil || len(infos) != 1 || infos[0].Name != keep {
		t.Errorf("snapshots after the shortage: %v, %v", infos, err)
	}
	mem.SetCapacity(-1)
	abandon(w.db)
}

// A temporary snapshot goes when nobody has read it for six hours.
func TestTemporarySnapshotsExpire(t *testing.T) {
	w := newSnapshotWorld(t, vfs.NewMem())
	w.write(t, w.db, 1)
	name, err := w.db.Snapshot(t.Context(), SnapshotOptions{Temporary: true})
	if err != nil {
		t.Fatal(err)
	}
	count := func(want int) {
		t.Helper()
		if err := w.db.snapshots.expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		if infos, err := w.db.SnapshotStatus(); err != nil || len(infos) != want {
			t.Errorf("%d snapshots, want %d: %v", len(infos), want, err)
		}
	}
	w.clock.Advance(5 * time.Hour)
	count(1)
	f, err := w.db.OpenSnapshotFile(name, format.ManifestName)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	w.clock.Advance(5 * time.Hour)
	count(1)
	w.clock.Advance(time.Hour)
	count(0)
	abandon(w.db)
}

// A directory of an earlier version gets an incarnation with its first start, and keeps it.
func TestOldDirectoriesGetAnIncarnation(t *testing.T) {
	fsys := vfs.NewMem()
	w := newSnapshotWorld(t, fsys)
	first := w.db.manifest.State().Incarnation.ID
	abandon(w.db)
	if first == 0 {
		t.Fatal("a new database has no incarnation")
	}
	old := w.db.manifest.State().Clone()
	old.Incarnation.ID = 0
	rewriteManifest(t, fsys, old)
	w.clock.Advance(time.Hour)
	db := w.open(t, fsys, "data")
	second := db.manifest.State().Incarnation.ID
	if second == 0 || second == first {
		t.Errorf("incarnation %x after the first start, %x before", second, first)
	}
	abandon(db)
	w.clock.Advance(time.Hour)
	db = w.open(t, fsys, "data")
	if third := db.manifest.State().Incarnation.ID; third != second {
		t.Errorf("the next start changed the incarnation from %x to %x", second, third)
	}
	abandon(db)
}

// rewriteManifest replaces both copies of the MANIFEST in data.
func rewriteManifest(t *testing.T, fsys vfs.FS, st *manifest.State) {
	t.Helper()
	for _, base := range manifest.CopyNames {
		if err := manifest.WriteCopy(fsys, "data", base, st); err != nil {
			t.Fatal(err)
		}
	}
}
