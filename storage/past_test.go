package storage

import (
	"bytes"
	"errors"
	"log/slog"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/storage/doctor"
	"tsdb/storage/snapshot"
)

// cut takes a mark and returns what it must show.
func (w *pastWorld) cut(t *testing.T) (Mark, string) {
	t.Helper()
	want := samplesNow(t, w.db)
	_, err := w.db.Flush(t.Context())
	must(t, err)
	marks := w.db.Marks()
	w.clock.Advance(time.Minute)
	return marks[len(marks)-1], want
}

func (w *pastWorld) reopen(t *testing.T) {
	t.Helper()
	must(t, w.db.Close(t.Context()))
	w.db = w.open(t, w.fs, "data")
}

// filled returns a world with three marks, of which the first has blocks of its own.
func filledPast(t *testing.T) (w *pastWorld, mem *vfs.Mem, marks []Mark, want []string) {
	t.Helper()
	mem = vfs.NewMem()
	doctortest.CheckAtEnd(t, func() vfs.FS { return mem }, "data", func() bool { return w.damaged })
	w = newPastWorld(t, mem)
	for range 3 {
		w.write(t, w.db, 4)
		m, s := w.cut(t)
		marks, want = append(marks, m), append(want, s)
	}
	_, err := w.db.Compact(t.Context())
	must(t, err)
	t.Cleanup(func() { must(t, w.db.Close(t.Context())) })
	return w, mem, marks, want
}

func marksFiles(t *testing.T, mem *vfs.Mem) []string {
	t.Helper()
	names, err := mem.List("data/history/marks")
	must(t, err)
	return names
}

// History is given up before anything else when the disk is short, with a line and a count.
func TestHistoryIsGivenUpFirst(t *testing.T) {
	if r := (supply{needed: 2, free: 1, history: 1, cutFrees: 5, pooled: 5, temporary: 5, mergeable: 5}).relief(); r != reliefHistory {
		t.Errorf("the first relief is %v", r)
	}
	var out bytes.Buffer
	w, mem, marks, _ := filledPast(t)
	w.opts.Logger = slog.New(slog.NewTextHandler(&out, nil))
	w.reopen(t)
	before := w.db.past.heldBytes()
	if before == 0 || len(w.db.Marks()) < len(marks) {
		t.Fatalf("%d bytes, %d marks", before, len(w.db.Marks()))
	}
	now := samplesNow(t, w.db)
	must(t, w.db.past.giveUp(t.Context(), "free disk space is short"))
	st := w.db.historyStatus()
	if w.db.past.heldBytes() >= before || st.GivenUp < 3 {
		t.Errorf("%d bytes of %d, status %+v", w.db.past.heldBytes(), before, st)
	}
	if !strings.Contains(out.String(), "the oldest marks of the history are given up") || !strings.Contains(out.String(), "free disk space is short") {
		t.Errorf("log: %s", out.String())
	}
	if _, err := w.db.MarkAt(marks[0].WallMs); !errors.Is(err, ErrNoMark) {
		t.Errorf("the mark: %v", err)
	}
	if _, err := w.db.At(marks[0]).View(); err == nil {
		t.Error("a mark that was given up can be read")
	}
	if got := samplesNow(t, w.db); got != now {
		t.Error("the database has other samples")
	}
	if left := unpinnedFiles(t, w.db, mem); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A bound of bytes takes the history before any sample. What marks pin frees nothing.
func TestBoundOfBytesTakesHistoryBeforeSamples(t *testing.T) {
	w, _, marks, _ := filledPast(t)
	name := w.db.manifest.State().RawBlocks()[0].Name
	_, err := w.db.Snapshot(t.Context(), SnapshotOptions{}) // pins what is there now
	must(t, err)
	if !w.db.past.pins(name) {
		t.Errorf("%s is not pinned", name)
	}
	logBytes, _ := w.db.wal.Bytes()
	used := logBytes + w.db.catalog.summary().Bytes + w.db.past.status().Bytes
	now := samplesNow(t, w.db)
	must(t, w.db.SetRetention(t.Context(), Retention{MaxBytes: used + 1<<20}))
	if n := len(w.db.Marks()); n < len(marks) {
		t.Errorf("%d marks, though there is room", n)
	}
	must(t, w.db.SetRetention(t.Context(), Retention{MaxBytes: 1}))
	if n := len(w.db.Marks()); n > 0 || samplesNow(t, w.db) != now || w.db.past.heldBytes() > 0 {
		t.Errorf("%d marks, %d bytes", n, w.db.past.heldBytes())
	}
}

// Damage of a file of marks costs the marks after it, and no block is deleted before the
// group leaves. The check names the file.
func TestDamagedMarksCostMarksOnly(t *testing.T) {
	w, mem, marks, want := filledPast(t)
	w.damaged = true
	must(t, w.db.Close(t.Context()))
	name := "data/history/marks/" + marksFiles(t, mem)[0]
	f, err := mem.Open(name)
	must(t, err)
	size, err := f.Size()
	must(t, err)
	must(t, f.Close())
	seen := map[int]bool{}
	for off := int64(0); off < size; off += 7 {
		c := mem.Clone()
		f, err := c.OpenReadWrite(name)
		must(t, err)
		var b [1]byte
		_, err = f.ReadAt(b[:], off)
		must(t, err)
		b[0] ^= 0x40
		_, err = f.WriteAt(b[:], off)
		must(t, err)
		must(t, f.Close())
		rep, err := doctor.Check(t.Context(), c, "data")
		must(t, err)
		db := w.open(t, c, "data")
		st := db.historyStatus()
		n := 0
		for i, m := range marks {
			if got, err := db.MarkAt(m.WallMs); err == nil && got == m {
				n++
				if s := samplesAt(t, db, m); s != want[i] {
					t.Fatalf("damage at %d: mark %d shows\n%s", off, m.Number, s)
				}
			}
		}
		seen[n] = true
		// A torn end is no damage: nothing follows it.
		if (st.Damaged > 0) != (len(rep.Damage) > 0) || st.Damaged > 0 && st.Blocks == 0 {
			t.Fatalf("damage at %d: status %+v, check %v", off, st, rep.Damage)
		}
		closeUncut(db)
	}
	if !seen[0] || !seen[1] || !seen[2] {
		t.Errorf("marks left: %v", seen)
	}
	w.db = w.open(t, mem, "data")
}

// One readable copy of the purges suffices. Without any, no mark may be shown.
func TestLostPurgesTakeTheMarks(t *testing.T) {
	w, mem, marks, want := filledPast(t)
	w.damaged = true
	_, err := w.db.DeleteSeries(t.Context(), DeleteRequest{
		Tenant: model.DefaultTenant, Range: model.AllTime, Purge: true, Sets: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m1")}},
	})
	must(t, err)
	must(t, w.db.Close(t.Context()))
	spoil := func(name string) {
		f, err := mem.OpenReadWrite("data/history/" + name)
		must(t, err)
		_, err = f.WriteAt([]byte{0xff}, 30)
		must(t, err)
		must(t, f.Close())
	}
	spoil("PURGES")
	w.db = w.open(t, mem, "data")
	if got := samplesAt(t, w.db, marks[1]); got != purged(want[1]) {
		t.Errorf("with one copy the mark shows\n%s", got)
	}
	must(t, w.db.Close(t.Context()))
	spoil("PURGES.2")
	w.db = w.open(t, mem, "data")
	for _, m := range w.db.Marks() {
		if m.WallMs <= marks[2].WallMs {
			t.Errorf("mark %d is still there", m.Number)
		}
	}
}

// Without --history.keep the next start removes the history.
func TestHistoryThatIsOffIsRemoved(t *testing.T) {
	w, mem, marks, _ := filledPast(t)
	w.opts.HistoryKeep = 0
	w.reopen(t)
	if _, err := mem.Stat("data/history"); err == nil {
		t.Error("history is there")
	}
	if _, err := w.db.MarkAt(marks[0].WallMs); !errors.Is(err, ErrNoMark) || !strings.Contains(err.Error(), "--history.keep=0") {
		t.Error(err)
	}
}

// A snapshot takes a mark of all that is acknowledged, and has no history itself.
func TestSnapshotsTakeMarks(t *testing.T) {
	w, mem, _, _ := filledPast(t)
	n := len(w.db.Marks())
	w.write(t, w.db, 2)
	want := samplesNow(t, w.db)
	name, err := w.db.Snapshot(t.Context(), SnapshotOptions{})
	must(t, err)
	marks := w.db.Marks()
	if len(marks) != n+1 || samplesAt(t, w.db, marks[n]) != want {
		t.Fatalf("%d marks after %d", len(marks), n)
	}
	w.clock.Advance(time.Minute)
	_, err = w.db.Snapshot(t.Context(), SnapshotOptions{}) // nothing to cut
	must(t, err)
	if got := w.db.Marks(); len(got) != n+2 || samplesAt(t, w.db, got[n+1]) != want {
		t.Errorf("%d marks after a snapshot without new samples, want %d", len(got), n+2)
	}
	files, err := snapshot.Files(mem, snapshot.Dir("data", name))
	must(t, err)
	for _, f := range files {
		if strings.HasPrefix(f.Path, format.HistoryDir) {
			t.Errorf("the snapshot has %s", f.Path)
		}
	}
}

// A repair of the MANIFEST leaves the marks as they are.
func TestMarksSurviveARepair(t *testing.T) {
	w, mem, marks, want := filledPast(t)
	w.damaged = true
	must(t, w.db.Close(t.Context()))
	for _, name := range []string{format.ManifestName, format.TwinName} {
		f, err := mem.OpenReadWrite(path.Join("data", name))
		must(t, err)
		must(t, f.Truncate(40))
		must(t, f.Close())
	}
	_, err := doctor.Repair(t.Context(), mem, "data", doctor.RepairOptions{Apply: true, AssumeNoDeletes: true, Clock: w.clock})
	must(t, err)
	w.db = w.open(t, mem, "data")
	for i, m := range marks {
		if got := samplesAt(t, w.db, m); got != want[i] {
			t.Errorf("mark %d shows\n%s", m.Number, got)
		}
	}
	rep, err := doctor.Check(t.Context(), mem, "data")
	must(t, err)
	if len(rep.Damage) > 0 {
		t.Error(rep.Damage)
	}
}

// At most maxOpenMarks are open; one that is not used makes room.
func TestOpenMarksAreBounded(t *testing.T) {
	w, _, _, _ := filledPast(t)
	for range maxOpenMarks {
		w.write(t, w.db, 1)
		w.cut(t)
	}
	marks := w.db.Marks()
	var held []*View
	for _, m := range marks[:maxOpenMarks] {
		v, err := w.db.At(m).View()
		must(t, err)
		held = append(held, v)
	}
	if _, err := w.db.At(marks[maxOpenMarks]).View(); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	again, err := w.db.At(marks[0]).View()
	must(t, err)
	again.Release()
	held[1].Release()
	v, err := w.db.At(marks[maxOpenMarks]).View()
	must(t, err)
	v.Release()
	for _, v := range held {
		v.Release()
	}
	if n := len(w.db.past.opened.list); n != maxOpenMarks {
		t.Errorf("%d are open", n)
	}
}

// Ten days with a cut an hour, merges, rollups and retention. Marks and bytes of the history
// stay bounded, the estimate made before it is enabled is near what it takes, and without
// writes all of it leaves.
func TestHistoryOfTenDays(t *testing.T) {
	mem := vfs.NewMem()
	doctortest.CheckAtEnd(t, func() vfs.FS { return mem }, "data", nil)
	w := newPastWorld(t, mem)
	w.opts.HistoryKeep, w.opts.RetentionMs, w.opts.TierRetentionMs = 0, 4*model.DayMs, map[block.Tier]int64{block.Hour: 0}
	w.reopen(t)
	t.Cleanup(func() { must(t, w.db.Close(t.Context())) })
	work := func(hours int) {
		for range hours {
			w.write(t, w.db, 30)
			w.clock.Advance(time.Hour - 30*time.Second)
			_, err := w.db.Flush(t.Context())
			must(t, err)
			must(t, w.db.Retain(t.Context()))
			for more := true; more; {
				more, err = w.db.MergeStep(t.Context(), false)
				must(t, err)
			}
			for more := true; more; {
				more, err = w.db.RollStep(t.Context(), false)
				must(t, err)
			}
			w.db.Sweep(t.Context())
			w.db.TidyHistory(t.Context())
		}
	}
	work(5*24 + 3) // some L0s are listed
	if st := w.db.historyStatus(); st.Basis != "measured" {
		t.Errorf("status %+v", st)
	}
	const keep = 48 * time.Hour
	w.opts.HistoryKeep = keep
	w.reopen(t)
	estimated := w.db.historyStatus()
	if estimated.Basis != "estimated" || estimated.KeepMs != keep.Milliseconds() {
		t.Errorf("status %+v", estimated)
	}
	work(3 * 24)
	st := w.db.historyStatus()
	perDay := w.db.past.heldBytes() / 2
	t.Logf("estimated %d, measured %d, held %d bytes a day; %d marks, %d blocks", estimated.BytesPerDay, st.BytesPerDay, perDay, st.Marks, st.Blocks)
	for what, n := range map[string]int64{"estimated": estimated.BytesPerDay, "measured": st.BytesPerDay} {
		if n < perDay/2 || n > perDay*2 {
			t.Errorf("%s %d bytes a day, it takes %d", what, n, perDay)
		}
	}
	if st.Basis != "measured" || st.Marks < 48 || st.Marks > 56 {
		t.Errorf("status %+v", st)
	}
	for range 8 * 24 { // nothing is written
		w.clock.Advance(time.Hour)
		must(t, w.db.Retain(t.Context()))
		w.db.Sweep(t.Context())
		w.db.TidyHistory(t.Context())
	}
	if st := w.db.historyStatus(); w.db.past.heldBytes() > 0 || st.Marks == 0 || st.Marks > 12 {
		t.Errorf("after days without writes: %+v", st)
	}
	if left := unpinnedFiles(t, w.db, mem); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// Without cuts a mark is taken of what is in blocks, and none while the log alone has a
// deletion: the mark would show what was deleted before it.
func TestMarksOfThePresentHaveItsDeletions(t *testing.T) {
	w, _, _, _ := filledPast(t)
	n := len(w.db.Marks())
	must(t, w.db.Delete(t.Context(), model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m1")))
	w.clock.Advance(6 * time.Hour)
	w.db.TidyHistory(t.Context())
	if got := len(w.db.Marks()); got != n {
		t.Errorf("%d marks, there were %d", got, n)
	}
	if _, err := w.db.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(6 * time.Hour)
	w.db.TidyHistory(t.Context())
	marks := w.db.Marks()
	if len(marks) != n+2 {
		t.Fatalf("%d marks, want %d", len(marks), n+2)
	}
	for _, m := range marks[n:] {
		if got := samplesAt(t, w.db, m); got != samplesNow(t, w.db) {
			t.Errorf("mark %d shows\n%s", m.Number, got)
		}
	}
}

// Generations of purges are not used again when the log is lost: what is written later
// would seem to have been deleted from marks.
func TestGenerationsOfPurgesAreNotUsedAgain(t *testing.T) {
	mem := vfs.NewMem()
	w := newPastWorld(t, mem)
	w.write(t, w.db, 2)
	w.cut(t)
	for range 3 { // generations that no edit names
		_, _, err := w.db.wal.Rotate()
		if err != nil {
			must(t, w.db.wal.PrepareRotate(t.Context()))
			_, _, err = w.db.wal.Rotate()
		}
		must(t, err)
		must(t, w.db.wal.PrepareRotate(t.Context()))
	}
	_, err := w.db.DeleteSeries(t.Context(), DeleteRequest{
		Range: model.AllTime, Purge: true, Sets: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m1")}},
	})
	must(t, err)
	high := w.db.past.highGeneration()
	if st := w.db.manifest.State(); high <= st.HighGen {
		t.Fatalf("the purge has generation %d, the MANIFEST names %d", high, st.HighGen)
	}
	abandon(w.db)
	must(t, vfs.RemoveAll(mem, "data/wal"))
	must(t, vfs.RemoveAll(mem, "data/SEGMENTS"))
	w.db = w.open(t, mem, "data")
	defer w.db.Close(t.Context())
	if got := w.db.wal.Generation(); got <= high {
		t.Errorf("the generation is %d, a purge has %d", got, high)
	}
	w.write(t, w.db, 1)
	m, want := w.cut(t)
	if got := samplesAt(t, w.db, m); got != want || !strings.Contains(got, `"m1"`) {
		t.Errorf("the mark shows\n%s\nwant\n%s", got, want)
	}
}
