package storage

import (
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
	"tsdb/storage/doctor"
)

// pastWorld is a database with a history, and what each of its marks must show.
type pastWorld struct {
	damaged bool // by the test
	*snapshotWorld
	want map[Mark]string
}

func newPastWorld(t *testing.T, fsys vfs.FS) *pastWorld {
	t.Helper()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	w := &pastWorld{snapshotWorld: &snapshotWorld{clock: clock, fs: fsys, opts: Options{
		Clock: clock, Seed: 7, CacheBytes: -1, WALSegmentBytes: 16 << 10, WALPendingBytes: 64 << 10, ReserveBytes: 4 << 10, MinFreeBytes: 1, HistoryKeep: 24 * time.Hour,
	}}, want: map[Mark]string{}}
	w.db = w.open(t, fsys, "data")
	return w
}

// samplesOfView returns all samples of a view as text.
func samplesOfView(t *testing.T, v *View) string {
	t.Helper()
	set, err := v.Select(t.Context(), model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".*"))
	must(t, err)
	var b strings.Builder
	for i := range set.Len() {
		var s model.Samples
		must(t, set.At(i).Samples(t.Context(), model.AllTime, &s))
		if len(s.T) > 0 {
			fmt.Fprintln(&b, set.At(i).Labels, s.T, s.V)
		}
	}
	for _, err := range set.Warnings() {
		fmt.Fprintln(&b, err)
	}
	return b.String()
}

func samplesAt(t *testing.T, db *DB, m Mark) string {
	t.Helper()
	v, err := db.At(m).View()
	must(t, err)
	defer v.Release()
	return samplesOfView(t, v)
}

func samplesNow(t *testing.T, db *DB) string {
	t.Helper()
	v, err := db.View()
	must(t, err)
	defer v.Release()
	return samplesOfView(t, v)
}

// seen notes what the marks show that a step has taken: what was there before it.
func (w *pastWorld) seen(t *testing.T, before string) {
	t.Helper()
	marks := w.db.Marks()
	for _, m := range marks {
		if _, known := w.want[m]; !known {
			w.want[m] = before
		}
	}
	maps.DeleteFunc(w.want, func(m Mark, _ string) bool { return !slices.Contains(marks, m) })
}

// pastSteps are all that takes, moves and drops marks and their blocks. Each may be
// repeated after an error.
func (w *pastWorld) pastSteps(t *testing.T) []func() error {
	cut := func() error {
		_, err := w.db.Flush(t.Context())
		return err
	}
	write := func() error { w.write(t, w.db, 3); return nil }
	return []func() error{
		write, cut, write, cut,
		func() error { _, err := w.db.Compact(t.Context()); return err },
		write, cut,
		func() error { w.db.Sweep(t.Context()); return nil },
		func() error {
			_, err := w.db.DeleteSeries(t.Context(), DeleteRequest{
				Tenant: model.DefaultTenant, Range: model.AllTime, Purge: true, Sets: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m1")}},
			})
			return err
		},
		write, cut,
		func() error { _, err := w.db.CleanTombstones(t.Context()); return err },
		func() error { w.clock.Advance(6 * time.Hour); return nil },
		write, cut, // a group of its own
		func() error { _, err := w.db.Compact(t.Context()); return err },
		func() error { w.clock.Advance(20 * time.Hour); return nil },
		func() error { w.db.TidyHistory(t.Context()); return nil }, // the first group expires
		write, cut,
		func() error { _, err := w.db.Compact(t.Context()); return err },
		func() error { return w.db.GiveUpHistory(t.Context()) },
	}
}

// purged returns samples without those of the purge of pastSteps.
func purged(samples string) string {
	var b strings.Builder
	for line := range strings.Lines(samples) {
		if !strings.Contains(line, `"m1"`) {
			b.WriteString(line)
		}
	}
	return b.String()
}

const purgeStep = 8

func inHistory(o vfs.Op) bool {
	return strings.HasPrefix(o.Name, "data/"+format.HistoryDir) || strings.HasPrefix(o.To, "data/"+format.HistoryDir)
}

// historyFiles returns the files of blocks in history that are not pinned.
func unpinnedFiles(t *testing.T, db *DB, fsys vfs.FS) (names []string) {
	t.Helper()
	held := 0
	var walk func(dir string)
	walk = func(dir string) {
		list, err := fsys.List(path.Join("data", dir))
		if err != nil {
			return
		}
		for _, n := range list {
			if strings.HasSuffix(n, format.BlockSuffix) {
				held++
			} else if !strings.Contains(n, ".") {
				walk(path.Join(dir, n))
			} else if strings.HasSuffix(n, format.TempSuffix) {
				names = append(names, path.Join(dir, n))
			}
		}
	}
	walk(format.HistoryDir)
	if st := db.past.status(); held != st.Blocks {
		names = append(names, fmt.Sprintf("%d files, %d are known", held, st.Blocks))
	}
	return names
}

// Strategy: a power cut before each file operation of all that takes, moves and drops marks.
// Invariants after the next start: marks that were acknowledged before the step and are
// there after it are there, and show what they did; a mark of the step shows its moment, a
// purged mark not what was purged; history has no other files; the database has all samples
// and the directory passes the check.
func TestMarksSurviveAPowerCutAtAnyOperation(t *testing.T) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	w := newPastWorld(t, fault)
	type state struct {
		op   vfs.Op
		fs   *vfs.Mem
		step int
		at   time.Time
	}
	type moment struct {
		now  string
		want map[Mark]string
	}
	var states []state
	rng := rand.New(rand.NewSource(1))
	step := 0
	var mu sync.Mutex // of rng, states and step: jobs write files beside the steps
	modes := []vfs.CrashOptions{{Mode: vfs.CrashSectors, Keep: 0.5, Rand: rng}, {}, {Mode: vfs.CrashTorn, Rand: rng}}
	fault.Count(vfs.MutatingOps)
	fault.SetHook(func(op vfs.Op) error {
		if strings.HasPrefix(op.Name, "data/wal/") && op.N%4 > 0 { // other tests stop there
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		for i, mode := range modes {
			if inHistory(op) || op.N%len(modes) == i {
				states = append(states, state{op, mem.CrashClone(mode), step, w.clock.Now()})
			}
		}
		return nil
	})
	moments := []moment{{samplesNow(t, w.db), maps.Clone(w.want)}}
	for i, do := range w.pastSteps(t) {
		before := samplesNow(t, w.db)
		mu.Lock()
		step = i
		mu.Unlock()
		must(t, do())
		if i == purgeStep {
			for m, s := range w.want {
				w.want[m] = purged(s)
			}
		}
		w.seen(t, before)
		moments = append(moments, moment{samplesNow(t, w.db), maps.Clone(w.want)})
	}
	fault.SetHook(nil)
	abandon(w.db)
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d states, %d marks at the end", len(states), len(w.want))
	taken := 0
	for i, s := range states {
		if i%unlessShort(1, 9) != 0 {
			continue
		}
		before, after := moments[s.step], moments[s.step+1]
		what := fmt.Sprintf("step %d, power cut before %v", s.step, s.op)
		o := w.opts
		o.Clock = vfs.NewManualClock(s.at)
		db, err := Open(t.Context(), s.fs, "data", o)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := samplesNow(t, db); got != before.now && got != after.now {
			if len(got) < len(purged(before.now)) { // a batch of a step that writes several may be there
				t.Fatalf("%s: the database has\n%s", what, got)
			}
		}
		marks := db.Marks()
		for m := range before.want {
			if _, stays := after.want[m]; stays && !slices.Contains(marks, m) {
				t.Fatalf("%s: mark %d is lost", what, m.Number)
			}
		}
		for _, m := range marks {
			got := samplesAt(t, db, m)
			if got == before.want[m] || got == after.want[m] {
				taken++
				continue
			}
			if _, known := after.want[m]; !known && before.want[m] == "" && slices.Contains([]string{before.now, after.now}, got) {
				continue // what failed in time is a mark all the same
			}
			t.Fatalf("%s: mark %d shows\n%s\nwant\n%s\nor\n%s", what, m.Number, got, before.want[m], after.want[m])
		}
		if left := unpinnedFiles(t, db, s.fs); len(left) > 0 {
			t.Fatalf("%s: history has %q", what, left)
		}
		abandon(db)
		rep, err := doctor.Check(t.Context(), s.fs, "data")
		must(t, err)
		if len(rep.Damage) > 0 {
			t.Fatalf("%s: %v", what, rep.Damage)
		}
	}
	if taken < unlessShort(500, 50) {
		t.Errorf("%d marks were compared", taken)
	}
}

// Strategy: each file operation in history fails once, with another step of the database
// going on. Invariants: nothing but the history notices (cuts, sweeps and reads go on);
// every mark that is there shows its moment, before and after the next start; a purge that
// was acknowledged holds; no file is left that no mark pins.
func TestMarksFailCleanly(t *testing.T) {
	failures := 0
	for k := 1; ; k += unlessShort(1, 5) {
		mem := vfs.NewMem()
		fault := vfs.NewFault(mem)
		w := newPastWorld(t, fault)
		n, failed := 0, ""
		fault.Count(vfs.MutatingOps)
		fault.SetHook(func(o vfs.Op) error {
			if !inHistory(o) {
				return nil
			}
			if n++; n == k {
				failed = o.String()
				if k%3 == 0 {
					return vfs.ErrShortWrite
				}
				return errors.New("injected")
			}
			return nil
		})
		for i, do := range w.pastSteps(t) {
			before := samplesNow(t, w.db)
			err := do()
			if err != nil && i != purgeStep && i != len(w.pastSteps(t))-1 {
				t.Fatalf("operation %d (%s): step %d: %v", k, failed, i, err)
			}
			if err != nil {
				must(t, do())
			}
			if i == purgeStep {
				for m, s := range w.want {
					w.want[m] = purged(s)
				}
			}
			w.seen(t, before)
		}
		fault.SetHook(nil)
		for _, when := range []string{"at once", "after a start"} {
			for m, want := range w.want {
				if got := samplesAt(t, w.db, m); got != want {
					t.Fatalf("operation %d (%s), %s: mark %d shows\n%s\nwant\n%s", k, failed, when, m.Number, got, want)
				}
			}
			want := samplesNow(t, w.db)
			if when == "after a start" {
				break
			}
			must(t, w.db.Close(t.Context()))
			w.db = w.open(t, fault, "data")
			if got := samplesNow(t, w.db); got != want {
				t.Fatalf("operation %d (%s): the database has\n%s", k, failed, got)
			}
			if left := unpinnedFiles(t, w.db, mem); len(left) > 0 {
				t.Fatalf("operation %d (%s): history has %q", k, failed, left)
			}
		}
		abandon(w.db)
		if failed == "" {
			break
		}
		failures++
	}
	if failures < unlessShort(40, 8) {
		t.Errorf("%d operations failed", failures)
	}
}
