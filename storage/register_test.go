package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// registerOptions are those of a database whose log is cut at 1 MiB.
func registerOptions() Options {
	return Options{
		Clock: vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)), Seed: 1, RetentionMs: 30 * model.DayMs,
		WALSegmentBytes: 1 << 20, CutWALBytes: 1 << 20, CacheBytes: -1,
	}
}

func openRegister(t *testing.T, fs vfs.FS, opts Options) *DB {
	t.Helper()
	db, err := openChecked(t, context.Background(), fs, "data", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	return db
}

func seriesAlias(i int) model.Hash { return model.Hash{Hi: uint64(i) + 1, Lo: 7} }

// cutAsWatched cuts as the watcher would, if the head is due.
func cutAsWatched(t *testing.T, db *DB) bool {
	t.Helper()
	tried, err := db.flusher.cutIfDue(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return tried
}

// Series all of whose samples are refused, for their time or by their number,
// leave nothing in the head: no tables, no aliases, no answer.
func TestRefusedSamplesLeaveNoSeries(t *testing.T) {
	const series = 200_000
	db := openRegister(t, vfs.NewMem(), registerOptions())
	before := db.views.headStatus().TableBytes
	b := db.NewBatch("test", model.DefaultTenant)
	old := db.now() - 31*model.DayMs
	for i := range series {
		ref, err := b.Resolve(seriesAlias(i), labels.FromStrings("__name__", "refused", "pod", fmt.Sprint("pod-", i)))
		if err != nil {
			t.Fatal(err)
		}
		b.Float(ref, old, 0, 1)
		b.Histogram(ref, old, 0, model.Histogram{})
		b.Exemplar(ref, model.Exemplar{T: old, V: 1})
		if i%5000 == 4999 {
			r, err := b.Commit(context.Background())
			if err != nil || r.Floats+r.Histograms+r.Exemplars > 0 || r.RejectedCount() != 15000 {
				t.Fatalf("%+v, %v", r, err)
			}
			if e := r.Rejected[0]; !strings.Contains(e.Series, `pod="pod-`) {
				t.Fatalf("the refusal names no series: %+v", e)
			}
			b.Reset()
		}
	}
	if h := db.views.headStatus(); h.TableBytes > before+1<<20 || h.Series > 0 {
		t.Errorf("%d bytes of tables after refused samples, %d before; %+v", h.TableBytes, before, h)
	}
	if st := db.head.Stats(); st.Series != 0 || st.Aliases != 0 || st.Slots != 0 {
		t.Errorf("%+v", st)
	}
}

// Of a series with refused and taken samples the taken ones are there, whatever
// their order, and the next request finds the series by its alias.
func TestSeriesIsRegisteredWithItsFirstGoodSample(t *testing.T) {
	db := openRegister(t, vfs.NewMem(), registerOptions())
	b := db.NewBatch("test", model.DefaultTenant)
	ls := labels.FromStrings("__name__", "m", "a", "b")
	first, err := b.Resolve(seriesAlias(1), ls)
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Resolve(seriesAlias(2), ls) // the same series under another alias
	if err != nil {
		t.Fatal(err)
	}
	b.Float(first, db.now()-40*model.DayMs, 0, 1)
	b.Float(first, db.now()-1, 0, 2)
	b.Float(second, db.now(), 0, 3)
	r, err := b.Commit(context.Background())
	if err != nil || r.Floats != 2 || r.RejectedCount() != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if st := db.head.Stats(); st.Series != 1 || st.Aliases != 2 {
		t.Errorf("%+v", st)
	}
	b.Reset()
	for i := range 2 {
		ref, ok := b.Lookup(seriesAlias(i + 1))
		if !ok || ref.Epoch() == 0 {
			t.Errorf("alias %d names %v, %v", i+1, ref, ok)
		}
	}
}

// Series that were registered and got no sample, because the commit failed,
// leave with the next cut.
func TestSeriesWithoutSamplesLeaveWithTheNextCut(t *testing.T) {
	mem := vfs.NewMem()
	db := openRegister(t, mem, registerOptions())
	writeOne(t, db, 3)
	ctx, cancel := context.WithCancel(context.Background())
	b := db.NewBatch("test", model.DefaultTenant)
	for i := range 1000 {
		ref, err := b.Resolve(seriesAlias(i), labels.FromStrings("__name__", "lost", "i", fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		b.Float(ref, db.now(), 0, 1)
	}
	cancel()
	db.space.observe(0, 1) // a full disk: the commit is refused
	if _, err := b.Commit(ctx); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	if st := db.head.Stats(); st.Series != 1003 {
		t.Fatalf("%+v", st)
	}
	if _, err := db.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if st := db.head.Stats(); st.Series != 3 {
		t.Errorf("%d series after the cut, want 3", st.Series)
	}
}

// Metadata alone fill the log; it is cut at its bound, and they are all there
// after each cut, after a restart and after a power cut.
func TestMetadataAloneKeepTheLogBounded(t *testing.T) {
	mem := vfs.NewMem()
	opts := registerOptions()
	db := openRegister(t, mem, opts)
	want := map[string]string{}
	cuts := 0
	for round := range 60 {
		b := db.NewBatch("test", model.DefaultTenant)
		for i := range 200 {
			metric := fmt.Sprint("metric_", i)
			help := fmt.Sprintf("round %d of %s %s", round, metric, strings.Repeat("x", 1000))
			b.Metadata(metric, model.Metadata{Type: "counter", Help: help})
			want[metric] = help
		}
		if _, err := b.Commit(context.Background()); err != nil {
			t.Fatal(err)
		}
		if cutAsWatched(t, db) {
			cuts++
		}
		if bytes, _ := db.wal.Bytes(); bytes > 2*opts.CutWALBytes {
			t.Fatalf("round %d: the log has %d bytes, its bound is %d", round, bytes, opts.CutWALBytes)
		}
	}
	if cuts < 5 {
		t.Errorf("%d cuts", cuts)
	}
	check := func(name string, db *DB) {
		t.Helper()
		got := db.head.Metadata(0)
		if len(got) != len(want) {
			t.Errorf("%s: metadata of %d metrics, want %d", name, len(got), len(want))
		}
		for metric, help := range want {
			if got[metric].Help != help {
				t.Errorf("%s: %s is %.40q, want %.40q", name, metric, got[metric].Help, help)
			}
		}
	}
	check("running", db)
	crashed := openRegister(t, mem.CrashClone(vfs.CrashOptions{}), opts)
	check("after a power cut", crashed)
}

// Exemplars alone fill the log too.
func TestExemplarsAloneKeepTheLogBounded(t *testing.T) {
	opts := registerOptions()
	db := openRegister(t, vfs.NewMem(), opts)
	for round := range 40 {
		b := db.NewBatch("test", model.DefaultTenant)
		for i := range 1000 {
			ref, ok := b.Lookup(seriesAlias(i))
			if !ok {
				var err error
				if ref, err = b.Resolve(seriesAlias(i), labels.FromStrings("__name__", "m", "i", fmt.Sprint(i))); err != nil {
					t.Fatal(err)
				}
			}
			b.Exemplar(ref, model.Exemplar{T: db.now() + int64(round), V: 1, Labels: labels.FromStrings("trace_id", strings.Repeat("t", 60))})
		}
		if _, err := b.Commit(context.Background()); err != nil {
			t.Fatal(err)
		}
		cutAsWatched(t, db)
		if bytes, _ := db.wal.Bytes(); bytes > 2*opts.CutWALBytes {
			t.Fatalf("round %d: the log has %d bytes, its bound is %d", round, bytes, opts.CutWALBytes)
		}
	}
}

// What was replayed counts: a log at its bound is cut after the start, not when
// the new generation alone has reached it.
func TestReplayedLogCountsForTheNextCut(t *testing.T) {
	mem := vfs.NewMem()
	opts := registerOptions()
	db := openRegister(t, mem, opts)
	for bytes := int64(0); bytes < opts.CutWALBytes; bytes, _ = db.wal.Bytes() {
		writeOne(t, db, 500)
		opts.Clock.(*vfs.ManualClock).Advance(time.Second)
	}
	again := openRegister(t, mem.CrashClone(vfs.CrashOptions{}), opts)
	again.flusher.mu.Lock()
	reason := again.flusher.cutDueLocked(t.Context())
	again.flusher.mu.Unlock()
	if reason != "log" {
		t.Errorf("reason to cut after the start: %q", reason)
	}
}

func TestCutReasons(t *testing.T) {
	o := Options{}.withDefaults().sizedFor(0).sizedFor(0)
	f := func(want string, h headSizes) {
		t.Helper()
		if got := cutReason(&o, h); got != want {
			t.Errorf("%+v: %q, want %q", h, got, want)
		}
	}
	f("", headSizes{})
	f("", headSizes{age: 100 * time.Hour})
	f("log", headSizes{walBytes: 1 << 30})
	f("memory", headSizes{headBytes: 256 << 20})
	f("", headSizes{tableGrowth: 1<<30 - 4})
	f("memory", headSizes{tableGrowth: 1 << 30})
	f("memory", headSizes{headBytes: 200 << 20, tableGrowth: 240 << 20, samples: 1, series: 1})
	f("", headSizes{headBytes: 200 << 20, tableGrowth: -(1 << 30), samples: 1, series: 1})
	f("memory", headSizes{headBytes: 128 << 20, samples: 5120, series: 10})
	f("", headSizes{headBytes: 128 << 20, samples: 5119, series: 10})
	f("", headSizes{headBytes: 128<<20 - 1, samples: 5120, series: 10})
	f("age", headSizes{samples: 60, series: 1, age: 30 * time.Minute})
	f("", headSizes{samples: 59, series: 1, age: 30 * time.Minute})
	f("age", headSizes{samples: 1, series: 1, age: 2 * time.Hour})
}
