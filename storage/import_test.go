package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/storage/doctor"
	"tsdb/storage/log/logtest"
)

// importWorld is a database and a map of what it must hold: series "i" and time, with
// the bits of the value.
type importWorld struct {
	t     *testing.T
	ctx   context.Context
	fs    vfs.FS
	clock *vfs.ManualClock
	opts  Options
	db    *DB
	want  map[importKey]uint64
}

type importKey struct {
	series int
	t      int64
}

func newImportWorld(t *testing.T, fs vfs.FS) *importWorld {
	w := &importWorld{t: t, ctx: context.Background(), fs: fs, want: map[importKey]uint64{}}
	w.clock = vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	w.opts = Options{
		Clock: w.clock, Seed: 1, WALSegmentBytes: 64 << 10, CacheBytes: -1, ReserveBytes: 4096,
		TierRetentionMs: map[block.Tier]int64{block.Minute: 0, block.Hour: 0},
	}
	return w
}

func (w *importWorld) open() {
	w.t.Helper()
	db, err := openChecked(w.t, w.ctx, w.fs, "data", w.opts)
	must(w.t, err)
	w.db = db
}

func (w *importWorld) close() {
	w.t.Helper()
	must(w.t, w.db.Close(w.ctx))
	report, err := doctor.Check(w.ctx, w.fs, "data")
	must(w.t, err)
	if len(report.Damage) > 0 {
		w.t.Fatalf("check: %+v", report.Damage)
	}
}

func (w *importWorld) name(i int) labels.Labels {
	return labels.FromStrings("__name__", "m", "i", fmt.Sprint(i))
}

// ago returns a time d before now.
func (w *importWorld) ago(d time.Duration) int64 { return w.clock.Now().Add(-d).UnixMilli() }

func (w *importWorld) write(v float64, series int, ts ...int64) {
	w.t.Helper()
	b := w.db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(model.Hash{Lo: uint64(series)}, w.name(series))
	must(w.t, err)
	for _, t := range ts {
		b.Float(ref, t, 0, v)
		w.want[importKey{series, t}] = math.Float64bits(v)
	}
	_, err = b.Commit(w.ctx)
	must(w.t, err)
}

// add adds samples to a run. They are in the database once it is published.
func (w *importWorld) add(im *Import, v float64, series int, ts ...int64) {
	w.t.Helper()
	var s model.Samples
	for _, t := range ts {
		s.Append(t, 0, v, model.Histogram{})
		w.want[importKey{series, t}] = math.Float64bits(v)
	}
	must(w.t, im.Add(w.ctx, w.name(series), &s))
}

func (w *importWorld) publish(im *Import) ImportReceipt {
	w.t.Helper()
	r, err := im.Publish(w.ctx)
	must(w.t, err)
	return r
}

func (w *importWorld) held() map[importKey]uint64 {
	w.t.Helper()
	v, err := w.db.View()
	must(w.t, err)
	defer v.Release()
	set, err := v.Select(w.ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(w.t, err)
	got := map[importKey]uint64{}
	for n := range set.Len() {
		var s model.Samples
		must(w.t, set.At(n).Samples(w.ctx, model.AllTime, &s))
		var i int
		fmt.Sscan(set.At(n).Labels.Get("i"), &i)
		for j := range s.T {
			got[importKey{i, s.T[j]}] = math.Float64bits(s.V[j])
		}
	}
	return got
}

func (w *importWorld) compare(when string) {
	w.t.Helper()
	got := w.held()
	if maps.Equal(got, w.want) {
		return
	}
	for k, v := range w.want {
		if g, ok := got[k]; !ok || g != v {
			w.t.Errorf("%s: series %d at %s: %v, want %v", when, k.series, model.FormatTime(k.t), math.Float64frombits(g), math.Float64frombits(v))
		}
	}
	w.t.Fatalf("%s: %d samples, want %d", when, len(got), len(w.want))
}

func TestImportWinsOverOlderAndLosesToNewer(t *testing.T) {
	w := newImportWorld(t, vfs.NewMem())
	w.open()
	old, recent := w.ago(72*time.Hour), w.ago(time.Hour)
	w.write(1, 0, old, old+1, recent, recent+1, recent+2)
	im := w.db.NewImport(ImportOptions{})
	defer im.Close()
	w.add(im, 2, 0, old, recent)   // over what the head holds
	w.add(im, 2, 1, old+5, recent) // a series that is new
	if r := w.publish(im); r.Samples() != 4 || r.Blocks != 1 || r.Direct != 0 || r.Series != 2 {
		t.Errorf("receipt %+v", r)
	}
	w.compare("published")
	w.write(3, 0, recent, old+1) // over what was imported
	w.write(3, 1, old+5)
	w.compare("written after it")
	_, err := w.db.Flush(w.ctx)
	must(t, err)
	w.compare("cut")
	w.close()
	w.open()
	w.compare("opened again")
	_, err = w.db.Compact(w.ctx)
	must(t, err)
	w.compare("merged")
	w.close()
}

func TestImportOfDaysWithoutSamplesIsDirect(t *testing.T) {
	w := newImportWorld(t, vfs.NewMem())
	w.open()
	w.write(1, 0, w.ago(time.Minute)) // of today: in the head, no obstacle
	im := w.db.NewImport(ImportOptions{})
	defer im.Close()
	for day := range 40 { // more than one pass writes
		w.add(im, 2, day%3, w.ago(time.Duration(day+2)*24*time.Hour), w.ago(time.Duration(day+2)*24*time.Hour)+1)
	}
	r := w.publish(im)
	if r.Blocks != 40 || r.Direct != 40 {
		t.Errorf("%d blocks, %d of them direct, want 40", r.Blocks, r.Direct)
	}
	w.compare("published")
	for _, b := range w.db.manifest.State().Blocks {
		if b.Level != block.L2 || !b.Imported() {
			t.Errorf("%s is %v", b.Name, b.Level)
		}
	}
	// Later samples win, in whatever order they become blocks.
	w.write(3, 0, w.ago(48*time.Hour), w.ago(96*time.Hour)+1)
	w.compare("written after it")
	_, err := w.db.Compact(w.ctx)
	must(t, err)
	w.compare("merged and rolled up")

	// A day that is rolled up is no longer written directly: its rollup would seem to
	// have the samples.
	w.add(im, 4, 1, w.ago(49*time.Hour))
	if r := w.publish(im); r.Direct != 0 || r.Blocks != 1 {
		t.Errorf("into a day that is rolled up: %d blocks, %d of them direct", r.Blocks, r.Direct)
	}
	w.compare("imported into a day that is rolled up")
	_, err = w.db.Compact(w.ctx)
	must(t, err)
	w.compare("merged again")
	w.close()
}

func TestDeletionsAndImportsKeepTheirOrder(t *testing.T) {
	w := newImportWorld(t, vfs.NewMem())
	w.open()
	old := w.ago(72 * time.Hour)
	im := w.db.NewImport(ImportOptions{})
	defer im.Close()
	all := labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")
	w.add(im, 2, 0, old)
	w.publish(im)
	must(t, w.db.Delete(w.ctx, model.DefaultTenant, model.Inclusive(old, old), all))
	clear(w.want)
	w.compare("deleted after the import")
	w.add(im, 3, 0, old)
	if r := w.publish(im); r.Direct != 0 {
		t.Error("direct into a day with a deletion, whose generation is newer")
	}
	w.compare("imported after the deletion")
	other := w.ago(120 * time.Hour) // a day with nothing but a deletion that only the log has
	must(t, w.db.Delete(w.ctx, model.DefaultTenant, model.Inclusive(other, other), all))
	w.add(im, 4, 0, other)
	w.publish(im)
	w.compare("imported into an empty day after a deletion of it")
	_, err := w.db.Compact(w.ctx)
	must(t, err)
	w.compare("merged")
	w.close()
	w.open()
	w.compare("opened again")
	w.close()
}

func TestImportRefusesOneByOne(t *testing.T) {
	w := newImportWorld(t, vfs.NewMem())
	w.opts.RetentionMs = 10 * model.DayMs
	w.open()
	im := w.db.NewImport(ImportOptions{})
	defer im.Close()
	bad := model.Histogram{Int: &histogram.Histogram{Count: 5, PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{1}}}
	var s model.Samples
	s.Append(w.ago(11*24*time.Hour), 0, 1, model.Histogram{})
	s.Append(w.ago(time.Hour), 0, 2, model.Histogram{})
	s.Append(w.ago(-72*time.Hour), 0, 3, model.Histogram{})
	s.Append(math.MaxInt64-1, 0, 4, model.Histogram{})
	s.Append(w.ago(time.Minute), math.MaxInt64, 5, model.Histogram{})
	s.Append(w.ago(time.Second), 0, 0, bad)
	must(t, im.Add(w.ctx, w.name(0), &s))
	w.want[importKey{0, w.ago(time.Hour)}] = math.Float64bits(2)
	r := w.publish(im)
	got := map[Reason]int{}
	for _, x := range r.Rejected {
		got[x.Reason] = x.Count
		if x.Detail == "" || x.Series == "" {
			t.Errorf("%s has no example", x.Reason)
		}
	}
	want := map[Reason]int{ReasonTooOld: 1, ReasonTooNew: 1, ReasonBadTime: 2, ReasonBadHistogram: 1}
	if r.Samples() != 1 || !maps.Equal(got, want) {
		t.Errorf("%d taken, refused %v, want 1 and %v", r.Samples(), got, want)
	}
	if err := im.Add(w.ctx, labels.FromStrings("__name__", "m", "a", ""), &s); err == nil {
		t.Error("labels with an empty value were taken")
	}
	w.compare("published")
	w.close()
}

func TestRunsAreBoundedByMemory(t *testing.T) {
	w := newImportWorld(t, vfs.NewMem())
	w.open()
	im := w.db.NewImport(ImportOptions{RunBytes: 1})
	defer im.Close()
	r := rand.New(rand.NewSource(1))
	for i := 0; !im.Full(); i++ {
		var s model.Samples
		for k := range 1000 {
			s.Append(w.ago(time.Hour)+int64(k), 0, r.NormFloat64(), model.Histogram{})
		}
		must(t, im.Add(w.ctx, w.name(i), &s))
		if i > 2000 {
			t.Fatal("a run of a MiB takes two million samples")
		}
	}
	if r := w.publish(im); r.Samples() < 1000 {
		t.Errorf("%+v", r)
	}
	if im.Full() {
		t.Error("a run that has begun is full")
	}
	w.close()
}

// Writes, imports, deletions, cuts, merges and restarts in any order leave what a map
// leaves: strategy and invariants are those of deletesAgainstMap.
func TestImportsAgainstMap(t *testing.T) {
	seeds := int64(20)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			r := rand.New(rand.NewSource(seed))
			w := newImportWorld(t, vfs.NewMem())
			if seed%2 == 1 {
				w.opts.logStore = logtest.NewMem()
			}
			w.open()
			im := w.db.NewImport(ImportOptions{})
			direct, runs := 0, 0
			at := func() int64 { return w.ago(time.Duration(r.Intn(6*24*60)) * time.Minute) }
			for step := range 60 {
				switch r.Intn(12) {
				case 0:
					_, err := w.db.Flush(w.ctx)
					must(t, err)
				case 1:
					_, err := w.db.Compact(w.ctx)
					must(t, err)
				case 2:
					im.Close()
					stopped, cancel := context.WithCancel(w.ctx)
					cancel()
					must(t, w.db.Close(stopped))
					w.open()
					im = w.db.NewImport(ImportOptions{})
				case 3:
					i, from := r.Intn(4), at()
					tr := model.TimeRange{Min: from, Max: from + r.Int63n(30*model.HourMs) + 1}
					must(t, w.db.Delete(w.ctx, model.DefaultTenant, tr, labels.MustNewMatcher(labels.MatchEqual, "i", fmt.Sprint(i))))
					maps.DeleteFunc(w.want, func(k importKey, _ uint64) bool { return k.series == i && tr.Contains(k.t) })
				case 4, 5, 6, 7:
					for range 1 + r.Intn(6) {
						w.add(im, float64(r.Intn(1000)), r.Intn(4), at(), at(), at())
					}
					receipt := w.publish(im)
					direct += receipt.Direct
					runs++
				default:
					for range 3 {
						w.write(float64(r.Intn(1000)), r.Intn(4), at(), at())
					}
				}
				w.clock.Advance(time.Duration(r.Intn(200)) * time.Minute)
				w.compare(fmt.Sprint("step ", step))
			}
			im.Close()
			w.close()
			t.Logf("%d runs, %d direct blocks", runs, direct)
		})
	}
}

// importAfter prepares a directory and returns the import of a run with a day that
// becomes an L2 and one that goes into an L0.
func importAfter(t *testing.T, fs vfs.FS) (*importWorld, *Import) {
	w := newImportWorld(t, fs)
	w.open()
	w.write(1, 0, w.ago(48*time.Hour), w.ago(time.Hour))
	_, err := w.db.Flush(w.ctx)
	must(t, err)
	w.write(1, 0, w.ago(49*time.Hour))
	return w, w.db.NewImport(ImportOptions{})
}

func (w *importWorld) runOfTest(im *Import) (direct, other []importKey) {
	w.t.Helper()
	w.add(im, 2, 0, w.ago(96*time.Hour), w.ago(96*time.Hour)+1, w.ago(48*time.Hour), w.ago(50*time.Hour))
	return []importKey{{0, w.ago(96 * time.Hour)}, {0, w.ago(96*time.Hour) + 1}},
		[]importKey{{0, w.ago(48 * time.Hour)}, {0, w.ago(50 * time.Hour)}}
}

// After a power cut at any operation of a publication each of its edits is there as a
// whole or not at all, all else is as it was, no file is left over, and a repetition
// ends in the same samples.
func TestPowerCutsDuringImport(t *testing.T) {
	mem := vfs.NewMem()
	fault := vfs.NewFault(mem)
	w, im := importAfter(t, fault)
	before := maps.Clone(w.want)
	direct, other := w.runOfTest(im)
	after := maps.Clone(w.want)
	fault.Count(vfs.MutatingOps)
	var states []*vfs.Mem
	rng := rand.New(rand.NewSource(1))
	var mu sync.Mutex // the log writes on a goroutine of its own
	fault.SetHook(func(vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		for _, mode := range []vfs.CrashOptions{{Mode: vfs.CrashLose}, {Mode: vfs.CrashTorn, Rand: rand.New(rand.NewSource(rng.Int63()))}} {
			states = append(states, mem.CrashClone(mode))
		}
		return nil
	})
	w.publish(im)
	fault.SetHook(nil)
	w.compare("published")
	if len(states) < 20 {
		t.Fatalf("%d states", len(states))
	}
	seen := map[string]int{}
	for i, state := range states {
		c := newImportWorld(t, state)
		c.open()
		got := c.held()
		has := func(ks []importKey) bool {
			n := 0
			for _, k := range ks {
				if got[k] == after[k] {
					n++
				}
			}
			if n != 0 && n != len(ks) {
				t.Fatalf("state %d has %d of %d samples of an edit", i, n, len(ks))
			}
			return n > 0
		}
		c.want = maps.Clone(before)
		for _, ks := range [][]importKey{direct, other} {
			if has(ks) {
				for _, k := range ks {
					c.want[k] = after[k]
				}
			}
		}
		seen[fmt.Sprint(has(direct), has(other))]++
		c.compare(fmt.Sprint("state ", i))
		for _, l := range c.db.report.Leftovers {
			cut := l.Name == "l0/000000000002-000000000002.tsb" // of the samples in the log, which may not show that they are all
			if l.MovedTo != "" && !cut || l.Err != nil {
				t.Errorf("state %d: leftover %+v", i, l)
			}
		}
		again := c.db.NewImport(ImportOptions{})
		c.runOfTest(again)
		c.publish(again)
		again.Close()
		c.compare(fmt.Sprint("repeated after state ", i))
		c.close()
	}
	if seen["false false"] == 0 || seen["true false"] == 0 {
		t.Errorf("states seen: %v", seen)
	}
	im.Close()
	w.close()
}

// Every operation of a publication fails once: the call returns an error or succeeds,
// nothing is half there, and a repetition of the call succeeds unless the log is
// poisoned.
func TestFaultsDuringImport(t *testing.T) {
	count := 0
	for k := 1; ; k++ {
		stop := false
		for _, fail := range []error{syscall.EIO, syscall.ENOSPC} {
			fault := vfs.NewFault(vfs.NewMem())
			w, im := importAfter(t, fault)
			before := maps.Clone(w.want)
			w.runOfTest(im)
			var ops atomic.Int64
			var failed atomic.Bool
			fault.SetHook(func(vfs.Op) error {
				if ops.Add(1) == int64(k) {
					failed.Store(true)
					return fail
				}
				return nil
			})
			_, err := im.Publish(w.ctx)
			fault.SetHook(nil)
			if !failed.Load() {
				stop = true
			}
			count++
			switch {
			case err == nil:
				w.compare(fmt.Sprintf("operation %d failed with %v, the import did not", k, fail))
			case errors.Is(err, ErrPoisoned) || w.db.manifest.Err() != nil:
			default:
				if _, err = im.Publish(w.ctx); err == nil {
					w.compare(fmt.Sprintf("operation %d failed with %v, and the import was repeated", k, fail))
				} else if !errors.Is(err, ErrPoisoned) && w.db.manifest.Err() == nil && !errors.Is(err, ErrBusy) {
					t.Fatalf("operation %d failed with %v; repeated: %v", k, fail, err)
				}
			}
			im.Close()
			_ = w.db.Close(w.ctx)
			after := maps.Clone(w.want)
			c := newImportWorld(t, fault)
			c.open()
			got := c.held()
			for key, bits := range got {
				if bits != before[key] && bits != after[key] {
					t.Fatalf("operation %d failed with %v: series %d at %d has another value", k, fail, key.series, key.t)
				}
			}
			for key := range before {
				if _, ok := got[key]; !ok {
					t.Fatalf("operation %d failed with %v: a sample from before is gone", k, fail)
				}
			}
			c.close()
		}
		if stop {
			break
		}
	}
	if count < 60 {
		t.Errorf("%d faults", count)
	}
	t.Logf("%d faults", count)
}

func TestImportKeepsBits(t *testing.T) {
	w := newImportWorld(t, vfs.NewMem())
	w.open()
	im := w.db.NewImport(ImportOptions{})
	defer im.Close()
	values := []uint64{0x7ff0000000000002, 0x7ff8000000000001, 0xfff8000000000123, 1, 0x8000000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x000fffffffffffff}
	for i, bits := range values {
		w.add(im, math.Float64frombits(bits), i%2, w.ago(time.Hour)+int64(i), w.ago(99*time.Hour)+int64(i))
	}
	h := model.Histogram{Int: &histogram.Histogram{
		Schema: 1, Count: 3, Sum: 7, ZeroThreshold: 0.1,
		PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []int64{1, 1},
	}}
	var s model.Samples
	s.Append(w.ago(98*time.Hour), 17, 0, h)
	s.Append(w.ago(98*time.Hour)+1, 0, 0.5, model.Histogram{})
	must(t, im.Add(w.ctx, labels.FromStrings("__name__", "h"), &s))
	must(t, im.Exemplar(labels.FromStrings("__name__", "h"), model.Exemplar{T: w.ago(98 * time.Hour), V: 1, Labels: labels.FromStrings("id", "x")}))
	im.Metadata("h", model.Metadata{Type: "histogram", Help: "of a test"})
	w.publish(im)
	w.compare("published")
	v, err := w.db.View()
	must(t, err)
	defer v.Release()
	set, err := v.Select(w.ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "h"))
	must(t, err)
	var got model.Samples
	must(t, set.At(0).Samples(w.ctx, model.AllTime, &got))
	if got.Len() != 2 || !got.EqualAt(0, &s, 0) || !got.EqualAt(1, &s, 1) {
		t.Errorf("got %+v", got)
	}
	var metrics []string
	for _, e := range w.db.set.Acquire().Raw() {
		ms, err := e.Block().Metadata()
		must(t, err)
		for _, m := range ms {
			metrics = append(metrics, m.Metric)
		}
	}
	if !slices.Contains(metrics, "h") {
		t.Errorf("metadata of %v", metrics)
	}
}

func TestImportsPauseBesideBusyWriters(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		work, period time.Duration
		samples      int64
		busy         time.Duration
		want         time.Duration
	}{
		{5 * ms, 100 * ms, 1 << 30, 100 * ms, 0},
		{100 * ms, 100 * ms, 0, 0, 0},
		{100 * ms, 100 * ms, 4_000, 100 * ms, 0},       // slow, whatever they wait for
		{100 * ms, 100 * ms, 5_000, 3 * ms, 100 * ms},  // a twentieth of a CPU
		{100 * ms, 100 * ms, 5_000, 20 * ms, 600 * ms}, // a fifth of the time
		{20 * ms, 200 * ms, 12_000, 200 * ms, 600 * ms},
		{100 * ms, 100 * ms, 30_000, 10 * ms, 600 * ms},
		{20 * ms, 20 * ms, 900_000, 0, 600 * ms},
		{10 * time.Second, 10 * time.Second, 30_000_000, 0, paceMax},
	} {
		if got := pauseAfter(c.work, c.period, c.samples, c.busy); got != c.want {
			t.Errorf("%d samples in %v, busy for %v: %v after %v, want %v", c.samples, c.period, c.busy, got, c.work, c.want)
		}
	}
	var l writeLoad
	at := func(n int) time.Time { return time.UnixMilli(int64(n)) }
	l.begin(at(10))
	l.begin(at(20))
	l.end(at(30), 5)
	if samples, busy := l.total(at(40)); samples != 5 || busy != 30*ms {
		t.Errorf("%d samples, busy for %v", samples, busy)
	}
	l.end(at(50), 6)
	if samples, busy := l.total(at(100)); samples != 11 || busy != 40*ms {
		t.Errorf("%d samples, busy for %v", samples, busy)
	}
	// An import that pauses goes on once the clock does, and ends with its context.
	w := newImportWorld(t, vfs.NewMem())
	w.open()
	im := w.db.NewImport(ImportOptions{})
	defer im.Close()
	var s model.Samples
	s.Append(w.ago(time.Hour), 0, 1, model.Histogram{})
	must(t, im.Add(w.ctx, w.name(0), &s))
	var ts []int64
	for i := range int64(5000) {
		ts = append(ts, w.ago(time.Minute)+i)
	}
	w.write(1, 0, ts...)
	w.clock.Advance(20 * time.Millisecond)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := im.Add(ctx, w.name(0), &s); !errors.Is(err, context.Canceled) {
		t.Errorf("beside busy writers: %v, want a pause", err)
	}
	w.clock.Advance(time.Hour)
	must(t, im.Add(w.ctx, w.name(0), &s))
	w.close()
}

// The exemplars of a run lie beside the samples of their day.
func TestExemplarsOfARunLieInTheirDays(t *testing.T) {
	w := newImportWorld(t, vfs.NewMem())
	w.open()
	defer w.close()
	im := w.db.NewImport(ImportOptions{})
	defer im.Close()
	for _, days := range []time.Duration{40, 39, 38} {
		at := w.ago(days * 24 * time.Hour)
		w.add(im, 1, 1, at)
		must(t, im.Exemplar(w.name(1), model.Exemplar{T: at, V: float64(days), Labels: labels.FromStrings("trace", fmt.Sprint(days))}))
	}
	if r := w.publish(im); r.Direct != 3 {
		t.Fatalf("%+v", r)
	}
	v, err := w.db.View()
	must(t, err)
	defer v.Release()
	found := 0
	for _, e := range v.st.blocks.Raw() {
		es, err := e.Block().Exemplars(0)
		must(t, err)
		for _, x := range es {
			found++
			if !block.Raw.PartitionRange(e.Partition).Contains(x.T) {
				t.Errorf("%s has an exemplar of %s", e.Name, model.FormatTime(x.T))
			}
		}
	}
	if found != 3 {
		t.Errorf("blocks have %d exemplars, want 3", found)
	}
}

// While a run is written its generation is that of the log: what is written meanwhile is
// newer, and no rollup claims to have the run.
func TestTheGenerationOfARunIsReserved(t *testing.T) {
	w := newImportWorld(t, vfs.NewMem())
	w.open()
	defer w.close()
	w.write(1, 1, w.ago(time.Hour))
	failed := errors.New("not written")
	_, err := w.db.flusher.publishReserved(w.ctx, func(gen uint64) (block.Info, error) {
		if st := w.db.manifest.State(); st.WALLow != gen || w.db.wal.Generation() != gen+1 {
			t.Errorf("generation %d is reserved, the log begins with %d and is at %d", gen, st.WALLow, w.db.wal.Generation())
		}
		return block.Info{}, failed
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
}

// What is written to a day while a run is on its way straight to L2 is older than the run.
func TestARunMeetsSamplesThatComeMeanwhile(t *testing.T) {
	fault := vfs.NewFault(vfs.NewMem())
	w := newImportWorld(t, fault)
	w.open()
	defer w.close()
	day := w.ago(40 * 24 * time.Hour)
	im := w.db.NewImport(ImportOptions{})
	defer im.Close()
	came := false
	fault.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpCreate && strings.HasPrefix(op.Name, "data/raw/") && !came {
			came = true
			w.write(7, 1, day, day+2)
		}
		return nil
	})
	w.add(im, 5, 1, day, day+1)
	after := maps.Clone(w.want) // the run is published after the samples
	r := w.publish(im)
	fault.SetHook(nil)
	after[importKey{1, day + 2}] = math.Float64bits(7)
	if !came || r.Direct != 0 || r.Blocks != 1 {
		t.Errorf("came %v, %+v", came, r)
	}
	if got := w.held(); !maps.Equal(got, after) {
		t.Errorf("got %v, want %v", got, after)
	}
	w.want = after
}
