package storage

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/format"
	"tsdb/storage/doctor"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// randomPast is a database made by random writes, cuts, merges, deletes, retention
// and restarts, and what it must answer.
type randomPast struct {
	fs    *vfs.Mem
	clock *vfs.ManualClock
	opts  Options
	want  map[historyKey]float64
}

type historyKey struct {
	series int
	t      int64
}

func makeHistory(t *testing.T, r *rand.Rand, deletes, retention bool) *randomPast {
	t.Helper()
	ctx := context.Background()
	h := &randomPast{fs: vfs.NewMem(), clock: vfs.NewManualClock(time.Date(2026, 3, 10, 23, 0, 0, 0, time.UTC)), want: map[historyKey]float64{}}
	h.opts = Options{Clock: h.clock, Seed: 1 + r.Uint64()>>1, WALSegmentBytes: 64 << 10, CacheBytes: -1, ReserveBytes: 4096}
	if retention {
		h.opts.RetentionMs = 2 * model.DayMs
	}
	if r.Intn(2) == 0 {
		h.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 0} // no samples stand in
	}
	db := h.open(t)
	var held *View // keeps the files of dropped blocks
	release := func() {
		if held != nil {
			held.Release()
			held = nil
		}
	}
	for range 10 + r.Intn(50) {
		switch r.Intn(13) {
		case 0, 1:
			if _, err := db.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		case 2:
			if _, err := db.Compact(ctx); err != nil {
				t.Fatal(err)
			}
		case 3:
			release()
			stopped, cancel := context.WithCancel(ctx)
			cancel()
			if err := db.Close(stopped); err != nil {
				t.Fatal(err)
			}
			db = h.open(t)
		case 12:
			release()
			var err error
			if held, err = db.View(); err != nil {
				t.Fatal(err)
			}
		case 4:
			if _, err := db.compactor.mergeNext(ctx, compaction.PlanFinal); err != nil {
				t.Fatal(err)
			}
		case 5:
			if !deletes {
				continue
			}
			i, from := r.Intn(4), h.clock.Now().UnixMilli()-r.Int63n(5*model.HourMs)
			tr := model.TimeRange{Min: from, Max: from + r.Int63n(3*model.HourMs) + 1}
			if err := db.Delete(ctx, model.DefaultTenant, tr, labels.MustNewMatcher(labels.MatchEqual, "i", fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			maps.DeleteFunc(h.want, func(k historyKey, _ float64) bool { return k.series == i && tr.Contains(k.t) })
		case 6:
			h.clock.Advance(time.Duration(r.Intn(20)) * time.Hour)
			if err := db.Retain(ctx); err != nil {
				t.Fatal(err)
			}
		default:
			b := db.NewBatch("test", model.DefaultTenant)
			for i := range 4 {
				ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)))
				if err != nil {
					t.Fatal(err)
				}
				for range 3 {
					k := historyKey{i, h.clock.Now().UnixMilli() - r.Int63n(4*model.HourMs)}
					h.want[k] = float64(r.Intn(1000))
					b.Float(ref, k.t, 0, h.want[k])
				}
			}
			if _, err := b.Commit(ctx); err != nil {
				t.Fatal(err)
			}
		}
		h.clock.Advance(time.Duration(r.Intn(30)) * time.Minute)
	}
	if held != nil || r.Intn(3) == 0 { // the process dies
		made := h.fs
		h.fs = made.CrashClone(vfs.CrashOptions{})
		release()
		return h
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *randomPast) open(t *testing.T) *DB {
	t.Helper()
	db, err := Open(context.Background(), h.fs, "data", h.opts)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// verify opens the database, lets retention catch up and compares all samples.
func (h *randomPast) verify(t *testing.T, what string) {
	t.Helper()
	ctx := context.Background()
	db := h.open(t)
	if err := db.Retain(ctx); err != nil {
		t.Fatal(err)
	}
	floor := db.views.floor()
	maps.DeleteFunc(h.want, func(k historyKey, _ float64) bool { return k.t < floor })
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	set, err := v.Select(ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[historyKey]float64{}
	for n := range set.Len() {
		var s model.Samples
		if err := set.At(n).Samples(ctx, model.AllTime, &s); err != nil {
			t.Fatal(err)
		}
		var i int
		fmt.Sscan(set.At(n).Labels.Get("i"), &i)
		for j := range s.T {
			got[historyKey{i, s.T[j]}] = s.V[j]
		}
	}
	v.Release()
	if !maps.Equal(got, h.want) {
		t.Fatalf("%s: %d samples, want %d", what, len(got), len(h.want))
	}
	if _, err := db.Compact(ctx); err != nil { // edits and merges go on
		t.Fatalf("%s: %v", what, err)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if report, err := doctor.Check(ctx, h.fs, "data"); err != nil || len(report.Damage) > 0 {
		t.Fatalf("%s: check afterwards: %+v, %v", what, report, err)
	}
}

// damage does something to both copies of the MANIFEST. plain damage leaves all
// that was in them, in one copy or the other.
var damages = []struct {
	name  string
	plain bool
	do    func(r *rand.Rand, files [][]byte) [][]byte
}{
	{"a byte of the first copy", true, func(r *rand.Rand, f [][]byte) [][]byte { f[0][r.Intn(len(f[0]))] ^= 0x24; return f }},
	{"a byte of the second copy", true, func(r *rand.Rand, f [][]byte) [][]byte { f[1][r.Intn(len(f[1]))] ^= 0x24; return f }},
	{"the first copy gone", true, func(r *rand.Rand, f [][]byte) [][]byte { f[0] = nil; return f }},
	{"the first copy cut off", true, func(r *rand.Rand, f [][]byte) [][]byte { f[0] = f[0][:r.Intn(len(f[0]))]; return f }},
	{"a byte in each, not the same", true, func(r *rand.Rand, f [][]byte) [][]byte {
		n := min(len(f[0]), len(f[1]))
		i := r.Intn(n)
		f[0][i] ^= 0x24
		f[1][(i+1+r.Intn(n-1))%n] ^= 0x24
		return f
	}},
	{"the same byte in both", false, func(r *rand.Rand, f [][]byte) [][]byte {
		i := r.Intn(min(len(f[0]), len(f[1])))
		f[0][i] ^= 0x24
		f[1][i] ^= 0x24
		return f
	}},
	{"both cut off", false, func(r *rand.Rand, f [][]byte) [][]byte {
		return [][]byte{f[0][:r.Intn(len(f[0]))], f[1][:r.Intn(len(f[1]))]}
	}},
	{"both gone", false, func(*rand.Rand, [][]byte) [][]byte { return [][]byte{nil, nil} }},
}

// Strategy: a random history, damage to the MANIFEST, a repair. Invariant: after
// it the database answers what it did before, or the repair was refused and
// changed nothing. Plain damage is never refused, and neither are lost edits of
// a database without deletions whose operator says so, while a seed is left.
func TestRepairGivesTheSameAnswersOrRefuses(t *testing.T) {
	ctx := context.Background()
	counts := map[string]*[2]int{}
	seeds := int64(12)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		for _, deletes := range []bool{false, true} {
			r := rand.New(rand.NewSource(seed))
			made := makeHistory(t, r, deletes, seed%3 == 0)
			for _, d := range damages {
				h := *made
				h.fs, h.want = made.fs.Clone(), maps.Clone(made.want)
				what := fmt.Sprintf("seed %d, deletes %v, %s", seed, deletes, d.name)
				damageManifest(t, h.fs, r, d.do)
				before := h.fs.Clone()
				o := doctor.RepairOptions{Clock: h.clock, Apply: true, AssumeNoDeletes: !deletes}
				report, err := doctor.Repair(ctx, h.fs, "data", o)
				c := counts[d.name]
				if c == nil {
					c = new([2]int)
					counts[d.name] = c
				}
				if errors.Is(err, doctor.ErrNoRepair) {
					c[1]++
					if d.plain {
						t.Errorf("%s: refused: %v\n%s", what, err, strings.Join(report.Lines, "\n"))
					}
					if !deletes && !strings.Contains(err.Error(), "identity seed") {
						t.Errorf("%s: refused: %v\n%s", what, err, strings.Join(report.Lines, "\n"))
					}
					sameFiles(t, what, h.fs, before)
					continue
				} else if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				c[0]++
				if t.Failed() {
					t.FailNow()
				}
				h.verify(t, what+"\n"+strings.Join(report.Lines, "\n")+"\n")
			}
		}
	}
	for _, d := range damages {
		t.Logf("%-32s repaired %d, refused %d", d.name, counts[d.name][0], counts[d.name][1])
	}
}

func damageManifest(t *testing.T, fs vfs.FS, r *rand.Rand, do func(*rand.Rand, [][]byte) [][]byte) {
	t.Helper()
	names := []string{"data/" + format.ManifestName, "data/" + format.TwinName}
	var files [][]byte
	for _, name := range names {
		b, err := readAll(fs, name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, b)
	}
	for i, b := range do(r, files) {
		if err := fs.Remove(names[i]); err != nil {
			t.Fatal(err)
		}
		if b == nil {
			continue
		}
		f, err := fs.Create(names[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func readAll(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil || n == 0 {
		return nil, err
	}
	b := make([]byte, n)
	_, err = f.ReadAt(b, 0)
	return b, err
}

func sameFiles(t *testing.T, what string, got, want vfs.FS) {
	t.Helper()
	a, err := got.List("data")
	if err != nil {
		t.Fatal(err)
	}
	b, err := want.List("data")
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Fatalf("%s: a refused repair changed %v to %v", what, b, a)
	}
}

// The plan is shown before anything is done; the golden file holds plans of
// every kind.
func TestRepairPlansAreGolden(t *testing.T) {
	ctx := context.Background()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 22, 0, 0, 0, time.UTC))
	made := vfs.NewMem()
	db, err := Open(ctx, made, "data", Options{Clock: clock, Seed: 7, WALSegmentBytes: 64 << 10, CacheBytes: -1, ReserveBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		writeSample(t, db, int64(i))
		if _, err := db.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if i == 3 {
			if _, err := db.Compact(ctx); err != nil {
				t.Fatal(err)
			}
		}
		clock.Advance(time.Minute)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	size, err := made.Stat("data/" + format.ManifestName)
	if err != nil {
		t.Fatal(err)
	}
	both := func(at int64) func(*rand.Rand, [][]byte) [][]byte {
		return func(_ *rand.Rand, f [][]byte) [][]byte {
			f[0][at] ^= 1
			f[1][at] ^= 1
			return f
		}
	}
	var out strings.Builder
	for _, c := range []struct {
		name string
		do   func(*rand.Rand, [][]byte) [][]byte
		o    doctor.RepairOptions
	}{
		{"nothing is wrong", func(_ *rand.Rand, f [][]byte) [][]byte { return f }, doctor.RepairOptions{}},
		{"the first copy is damaged", func(_ *rand.Rand, f [][]byte) [][]byte { f[0][40] ^= 1; return f }, doctor.RepairOptions{}},
		{"each copy is damaged, in different places", func(_ *rand.Rand, f [][]byte) [][]byte { f[0][40] ^= 1; f[1][55] ^= 1; return f }, doctor.RepairOptions{}},
		{"an edit is damaged in both", both(size.Size - 400), doctor.RepairOptions{}},
		{"the same, without deletions", both(size.Size - 400), doctor.RepairOptions{AssumeNoDeletes: true}},
		{"the last edit is damaged in both, without deletions", both(size.Size - 10), doctor.RepairOptions{AssumeNoDeletes: true}},
		{"the snapshot is damaged in both, but for its seed", both(50), doctor.RepairOptions{AssumeNoDeletes: true}},
		{"the seed is damaged in both", both(46), doctor.RepairOptions{AssumeNoDeletes: true}},
		{"both are gone", func(*rand.Rand, [][]byte) [][]byte { return [][]byte{nil, nil} }, doctor.RepairOptions{}},
	} {
		fs := made.Clone()
		damageManifest(t, fs, nil, c.do)
		c.o.Clock = clock
		r, err := doctor.Repair(ctx, fs, "data", c.o)
		if r == nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s\n\n", c.name)
		for _, line := range r.Lines {
			fmt.Fprintf(&out, "    %s\n", line)
		}
		if err != nil {
			fmt.Fprintf(&out, "    error: %v\n", err)
		}
		out.WriteString("\n")
	}
	golden := filepath.Join("testdata", "repair.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("the plans changed (-update rewrites the golden file):\n%s", out.String())
	}
}

// What a repair replaces is kept beside it, under the next free name.
func TestRepairKeepsTheOldFiles(t *testing.T) {
	ctx := context.Background()
	h := makeHistory(t, rand.New(rand.NewSource(5)), false, false)
	for n := range 2 {
		flip(t, h.fs, "data/MANIFEST", 30)
		r, err := doctor.Repair(ctx, h.fs, "data", doctor.RepairOptions{Clock: h.clock})
		if err != nil || !r.Needed || len(r.Kept) != 0 {
			t.Fatalf("plan: %+v, %v", r, err)
		}
		if r, err = doctor.Repair(ctx, h.fs, "data", doctor.RepairOptions{Clock: h.clock, Apply: true}); err != nil {
			t.Fatal(err)
		}
		if name := fmt.Sprintf("MANIFEST.damaged-%d", n+1); len(r.Kept) != 1 || r.Kept[0] != name {
			t.Errorf("kept %v, want %s", r.Kept, name)
		}
		if r, err = doctor.Repair(ctx, h.fs, "data", doctor.RepairOptions{Clock: h.clock, Apply: true}); err != nil || r.Needed {
			t.Errorf("a second repair: %+v, %v", r, err)
		}
	}
	h.verify(t, "after two repairs")
}
