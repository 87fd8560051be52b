package history

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/goleak"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

var update = flag.Bool("update", false, "rewrite the golden file")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const day = 1795910400000 // 2026-11-29T00:00:00Z

// cutBlock returns the description of an L0 of one generation.
func cutBlock(gen uint64) block.Info {
	m := block.Meta{Key: block.SpanningKey(block.L0), MinGen: gen, MaxGen: gen}
	return block.Info{Meta: m, Name: block.FileName(m), Size: 1000 + int64(gen), FooterLen: 300, CRC: 0x1b0c0000 + uint32(gen), Series: 3, Samples: 60, MinTime: day, MaxTime: day + 60_000}
}

// writeBlock makes a file of the size of a block: Store does not look inside.
func writeBlock(t testing.TB, fsys vfs.FS, b block.Info) {
	t.Helper()
	must(t, fsys.MkdirAll("data/l0"))
	f, err := fsys.Create("data/" + b.Name)
	must(t, err)
	must(t, f.Truncate(b.Size))
	must(t, f.Sync())
	must(t, f.Close())
	must(t, fsys.SyncDir("data/l0"))
}

// world has a store, and cuts of which each state has the last two.
type world struct {
	fs  *vfs.Mem
	st  *manifest.State
	now int64
	s   *Store
}

func newWorld(t testing.TB, keep time.Duration) *world {
	t.Helper()
	w := &world{fs: vfs.NewMem(), st: manifest.NewState(0x5eed, day), now: day}
	w.st.Incarnation.ID = 0x5b1f0c7a9e3d2468
	must(t, w.fs.MkdirAll("data"))
	w.open(t, keep)
	return w
}

func (w *world) open(t testing.TB, keep time.Duration) {
	t.Helper()
	var err error
	w.s, err = Open(w.fs, "data", w.st, Options{Keep: keep})
	must(t, err)
}

// cut adds a block, drops the one before the last, and takes a mark.
func (w *world) cut(t testing.TB, after time.Duration) Mark {
	t.Helper()
	w.now += after.Milliseconds()
	gen := w.st.WALLow
	b := cutBlock(gen)
	writeBlock(t, w.fs, b)
	w.st = w.st.Clone()
	w.st.Number++
	w.st.WALLow = gen + 1
	w.st.Blocks[b.Name] = manifest.Listed{Info: b}
	dropped := false
	var old block.Info
	if gen >= 2 {
		old = cutBlock(gen - 2)
		delete(w.st.Blocks, old.Name)
		dropped = true
	}
	m, err := w.s.Take(w.st, w.now)
	must(t, err)
	if dropped && w.s.MayKeep(old.Name) {
		_, err := w.s.Keep(t.Context(), old)
		must(t, err)
	}
	return m
}

// The files of marks and purges are of the documented form.
func TestFilesAreGolden(t *testing.T) {
	w := newWorld(t, 7*24*time.Hour)
	for range 3 {
		w.cut(t, time.Hour)
	}
	must(t, w.s.Purge([]manifest.Tombstone{{
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "up")}, Range: model.TimeRange{Min: day, Max: day + 1000}, Gen: 2,
	}}, w.now))
	var out bytes.Buffer
	names, err := w.fs.List("data/history/marks")
	must(t, err)
	for _, name := range append([]string{"PURGES"}, "marks/"+names[0]) {
		fmt.Fprintln(&out, name)
		must(t, manifest.Describe(&out, w.fs, "data/history/"+name))
	}
	must(t, w.s.Close())
	golden := filepath.Join("testdata", "files.txt")
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(golden, out.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("the files changed:\n%s", out.String())
	}
}

// A mark answers until the next one: a group stays until the mark after it is old.
func TestGroupsLeaveWhenTheyAnswerNothingMore(t *testing.T) {
	const keep = 8 * time.Hour // groups span an hour
	w := newWorld(t, keep)
	var marks []Mark
	for range 30 {
		marks = append(marks, w.cut(t, 30*time.Minute))
		must(t, w.s.Tidy(time.UnixMilli(w.now)))
		for _, m := range marks { // all that the window may ask for is there
			oldest := w.now - keep.Milliseconds()
			if at := max(m.WallMs, oldest); at >= oldest && at >= marks[0].WallMs {
				if _, err := w.s.Find(at); err != nil {
					t.Fatalf("at %d: %v", w.now, err)
				}
			}
		}
	}
	st := w.s.Status()
	if st.Marks < 16 || st.Marks > 20 || st.Blocks > 20 || st.OldestMs > w.now-keep.Milliseconds() {
		t.Errorf("status %+v", st)
	}
	var none *NoMarkError
	if _, err := w.s.Find(st.OldestMs - 1); !errors.As(err, &none) || none.OldestMs != st.OldestMs || !errors.Is(err, ErrNoMark) {
		t.Errorf("before the oldest: %v", err)
	}
	if m, err := w.s.Find(marks[28].WallMs + 1); err != nil || m != marks[28] {
		t.Errorf("found %+v, %v", m, err)
	}
	before := w.s.Marks()
	must(t, w.s.Close())
	w.open(t, keep)
	if got := w.s.Marks(); len(got) != len(before) || got[0] != before[0] || w.s.Status().Blocks != st.Blocks {
		t.Errorf("after a start %d marks, %+v", len(got), w.s.Status())
	}
	if m := w.cut(t, 0); m.Number != before[len(before)-1].Number+1 || m.WallMs < before[len(before)-1].WallMs {
		t.Errorf("the next mark is %+v", m)
	}
	must(t, w.s.Tidy(time.UnixMilli(w.now).Add(100*time.Hour)))
	if st := w.s.Status(); st.Marks != 0 || st.Blocks != 0 {
		t.Errorf("in the end %+v", st)
	}
	must(t, w.s.Close())
}

// A clock that is set back does not bring marks out of order.
func TestMarksRiseWhenTheClockIsSetBack(t *testing.T) {
	w := newWorld(t, 24*time.Hour)
	a, b := w.cut(t, time.Hour), w.cut(t, -3*time.Hour)
	if b.WallMs != a.WallMs || b.Number != a.Number+1 {
		t.Errorf("%+v after %+v", b, a)
	}
	if m, err := w.s.Find(a.WallMs); err != nil || m != b {
		t.Errorf("found %+v, %v", m, err)
	}
	must(t, w.s.Close())
}

// A block of another content under a pinned name is not pinned, and both can be kept.
func TestPinsKnowTheContent(t *testing.T) {
	w := newWorld(t, 24*time.Hour)
	w.cut(t, time.Hour)
	b := cutBlock(0)
	other := b
	other.CRC++
	if !w.s.Pins(b) || w.s.Pins(other) || keyOf(b) == keyOf(other) {
		t.Errorf("pinned %v and %v, keys %s and %s", w.s.Pins(b), w.s.Pins(other), keyOf(b), keyOf(other))
	}
	if took, err := w.s.Keep(t.Context(), other); took || err != nil {
		t.Error(took, err)
	}
	must(t, w.s.Close())
}

// Purges are combined, bounded, and forgotten with the marks that they concern.
func TestPurges(t *testing.T) {
	w := newWorld(t, 24*time.Hour)
	w.cut(t, time.Hour)
	purge := func(i int, gen uint64) error {
		return w.s.Purge([]manifest.Tombstone{{
			Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "i", fmt.Sprint(i))}, Range: model.TimeRange{Min: int64(i % 7 * 10), Max: int64(i%7*10 + 5)}, Gen: gen,
		}}, w.now)
	}
	for i := range 40 {
		must(t, purge(i, 1))
	}
	if n := w.s.Status().Purges; n != 7 {
		t.Errorf("%d purges", n)
	}
	many := make([]manifest.Tombstone, maxPurges+1)
	for i := range many {
		many[i] = manifest.Tombstone{Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, fmt.Sprint("l", i), "a.*")}, Range: model.TimeRange{Max: 1}, Gen: 1}
	}
	if err := w.s.Purge(many, w.now); !errors.Is(err, ErrTooManyPurges) {
		t.Error(err)
	}
	m := w.s.Marks()[0]
	st, err := w.s.Load(m)
	must(t, err)
	if len(st.Tombstones) != 7 {
		t.Errorf("the mark has %d tombstones", len(st.Tombstones))
	}
	next := w.cut(t, 4*time.Hour)
	if st, err = w.s.Load(next); err != nil || len(st.Tombstones) != 0 {
		t.Errorf("the next mark has %d tombstones, %v", len(st.Tombstones), err)
	}
	must(t, w.s.Close()) // one copy of the list is enough
	must(t, w.fs.Remove("data/history/"+purgesName))
	w.open(t, 24*time.Hour)
	if n := w.s.Status().Purges; n != 7 {
		t.Errorf("%d purges without the first copy of the list", n)
	}
	if w.s.HighGeneration() != 1 {
		t.Errorf("highest generation %d", w.s.HighGeneration())
	}
	must(t, w.s.Tidy(time.UnixMilli(w.now).Add(25*time.Hour)))
	w.cut(t, 30*time.Hour)
	must(t, w.s.Tidy(time.UnixMilli(w.now)))
	if n := w.s.Status().Purges; n != 0 {
		t.Errorf("%d purges concern nothing", n)
	}
	must(t, w.s.Close())
}

// A purge is newer than every deletion that a rollup of the mark has applied.
func TestPurgesAreNewerThanRollups(t *testing.T) {
	st := manifest.NewState(1, day)
	key := manifest.CoverKey{Tier: block.Hour, Day: day}
	st.Coverage[key] = manifest.Coverage{CoverKey: key, Block: "hours", Tombstone: 50}
	addPurges(st, []manifest.Tombstone{{ID: 1, Range: model.AllTime}, {ID: 2, Range: model.AllTime}})
	c := st.Coverage[key]
	for i := range st.Tombstones {
		if !st.Tombstones[i].Pending(&c) {
			t.Errorf("the rollup seems to have applied purge %d", st.Tombstones[i].ID)
		}
	}
	if len(st.Tombstones) != 2 {
		t.Errorf("%d purges", len(st.Tombstones))
	}
}

// A mark that could not be synced is none, and the next one begins a group.
func TestMarkThatIsNotSyncedIsNone(t *testing.T) {
	w := newWorld(t, 24*time.Hour)
	must(t, w.s.Close())
	fault := vfs.NewFault(w.fs)
	var err error
	w.s, err = Open(fault, "data", w.st, Options{Keep: 24 * time.Hour})
	must(t, err)
	first := w.cut(t, time.Minute)
	injected := errors.New("injected")
	fault.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			return injected
		}
		return nil
	})
	if m, err := w.s.Take(w.st, w.now+1); !errors.Is(err, injected) {
		t.Errorf("took %+v, %v", m, err)
	}
	fault.SetHook(nil)
	if got := w.s.Marks(); len(got) != 1 || got[0] != first || w.s.Status().Failed != 1 {
		t.Errorf("%+v, status %+v", got, w.s.Status())
	}
	w.cut(t, time.Minute)
	names, err := w.fs.List("data/" + marksDir)
	must(t, err)
	if len(names) != 2 || len(w.s.Marks()) != 2 {
		t.Errorf("groups %q, %d marks", names, len(w.s.Marks()))
	}
	must(t, w.s.Close())
}

// A group leaves before the blocks that only it pins: no mark lacks a block.
func TestMarksLeaveBeforeTheirBlocks(t *testing.T) {
	w := newWorld(t, 24*time.Hour)
	must(t, w.s.Close())
	fault := vfs.NewFault(w.fs)
	var err error
	w.s, err = Open(fault, "data", w.st, Options{Keep: 24 * time.Hour})
	must(t, err)
	for range 4 {
		w.cut(t, time.Minute)
	}
	var order []string
	fault.SetHook(func(op vfs.Op) error {
		switch {
		case op.Kind == vfs.OpRemove:
			order = append(order, "remove "+filepath.Ext(op.Name))
		case op.Kind == vfs.OpSyncDir:
			order = append(order, "sync "+filepath.Base(op.Name))
		}
		return nil
	})
	_, marks, ok, err := w.s.GiveUp()
	if want := "[remove .marks sync marks remove .tsb remove .tsb]"; err != nil || !ok || marks != 4 || fmt.Sprint(order) != want {
		t.Errorf("%d marks, %v: %v, want %v", marks, err, order, want)
	}
	must(t, w.s.Close())
}

func TestGroupNames(t *testing.T) {
	for name, ok := range map[string]bool{
		groupName(7, day): true, groupName(1<<40, -5): true, "7-1.marks": false, "000000000007-1": false, "000000000007-x.marks": false, "000000000007-1.marks.tmp": false,
	} {
		number, wallMs, got := parseGroupName(name)
		if got != ok || ok && groupName(number, wallMs) != name {
			t.Errorf("%s: %d, %d, %v", name, number, wallMs, got)
		}
	}
}

// The estimate follows from the listed blocks; a first day that is not whole counts as the
// part of one that it is.
func TestEstimate(t *testing.T) {
	st := manifest.NewState(1, 0)
	add := func(name string, level block.Level, partition, from, to, samples, bytes int64) {
		m := block.Meta{Key: block.Key{Tier: block.Raw, Level: level, Partition: partition}}
		st.Blocks[name] = manifest.Listed{Info: block.Info{Meta: m, Name: name, Size: bytes, Samples: uint64(samples), MinTime: from, MaxTime: to}, OldestMs: from}
	}
	want := func(what string, n int64) {
		t.Helper()
		if got := BytesPerDay(st, day+model.DayMs); got < n*99/100 || got > n*101/100 {
			t.Errorf("%s: %d bytes a day, want %d", what, got, n)
		}
	}
	want("nothing", 0)
	add("half", block.L2, day+1, day+model.DayMs/2, day+model.DayMs, 50_000, 50_000)
	want("of L2s alone", 100_000*(1.5+1.2))
	add("l0", block.L0, 0, day, day+1, 1000, 3000)
	add("l1", block.L1, day+model.DayMs+1, day, day+1, 1000, 2000)
	want("with L0s and L1s", 100_000*(3+2))
	st.Floor = day
	want("where samples expire", 100_000*(3+2+1))
	delete(st.Blocks, "half")
	want("before the first day is over", 2000*(3+2))
}
