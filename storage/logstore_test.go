package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log"
	"tsdb/storage/log/logtest"
)

// forEachLog runs a test with the write-ahead log and with a log in memory.
func forEachLog(t *testing.T, run func(t *testing.T, store log.Store)) {
	t.Run("log in files", func(t *testing.T) { run(t, nil) })
	t.Run("log in memory", func(t *testing.T) { run(t, logtest.NewMem()) })
}

// writeAt writes a sample of one series.
func writeAt(db *DB, at int64) error {
	b := db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(model.Hash{Hi: 9}, labels.FromStrings("__name__", "one"))
	if err != nil {
		return err
	}
	b.Float(ref, at, 0, 1)
	_, err = b.Commit(context.Background())
	return err
}

func TestFullLogRefusesWritesUntilACut(t *testing.T) {
	ctx := context.Background()
	clock := vfs.NewManualClock(time.UnixMilli(1_700_000_000_000))
	store := logtest.NewMem()
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: store, Clock: clock, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	store.SetLimit(4096)
	at := clock.Now().UnixMilli()
	for n := int64(0); err == nil; n++ {
		if n > 1000 {
			t.Fatal("the log is never full")
		}
		err = writeAt(db, at+n)
	}
	if !errors.Is(err, ErrBusy) || !errors.Is(err, log.ErrNoSpace) {
		t.Fatalf("write to a full log: %v", err)
	}
	if err := db.Delete(ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "a", "b")); err != nil {
		t.Errorf("a deletion does not fit into a full log: %v", err)
	}
	if _, err := db.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := writeAt(db, at); err != nil {
		t.Errorf("write after the cut: %v", err)
	}
}

func TestFailedSyncEndsWritesUntilARestart(t *testing.T) {
	ctx := context.Background()
	clock := vfs.NewManualClock(time.UnixMilli(1_700_000_000_000))
	store, fs := logtest.NewMem(), vfs.NewMem()
	opts := Options{logStore: store, Clock: clock, Seed: 1}
	db, err := openChecked(t, ctx, fs, "data", opts)
	if err != nil {
		t.Fatal(err)
	}
	at := clock.Now().UnixMilli()
	if err := writeAt(db, at); err != nil {
		t.Fatal(err)
	}
	store.FailSync(errors.New("no sync"))
	if err := writeAt(db, at+1); !errors.Is(err, ErrPoisoned) {
		t.Fatalf("write with a failing sync: %v", err)
	}
	store.FailSync(nil)
	if err := writeAt(db, at+2); !errors.Is(err, ErrPoisoned) {
		t.Errorf("write after a failed sync: %v", err)
	}
	if _, err := db.Flush(ctx); !errors.Is(err, ErrPoisoned) {
		t.Errorf("cut after a failed sync: %v", err)
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if db, err = openChecked(t, ctx, fs, "data", opts); err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	if r := db.Recovery(); r.Samples != 1 {
		t.Errorf("%d samples replayed, want the acknowledged one", r.Samples)
	}
	if err := writeAt(db, at+3); err != nil {
		t.Errorf("write after the restart: %v", err)
	}
}

// A log replayed with the MANIFEST of another database has series in shards that
// are not theirs.
func TestLogOfAnotherDatabaseIsRefused(t *testing.T) {
	ctx := context.Background()
	now := time.UnixMilli(1_700_000_000_000)
	store := logtest.NewMem()
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: store, Seed: 1, Clock: vfs.NewManualClock(now)})
	if err != nil {
		t.Fatal(err)
	}
	randomBatches(t, db, rand.New(rand.NewSource(1)), now)
	frames := store.Clone()
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	db, err = openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: frames, Seed: 2, Clock: vfs.NewManualClock(now)})
	if !errors.Is(err, log.ErrCorrupt) {
		t.Errorf("a log of seed 1 opens with seed 2: %v", err)
	}
	if err == nil {
		db.Close(ctx)
	}
}

// Strategy: a random log of all kinds of frames, late and repeated samples among
// them, is replayed by processes that differ in everything but the identity seed:
// the clock, the number of processors, the random numbers, retention, and the reason
// of the cut. Invariant: the blocks have the same names and bytes. A reason
// chooses the position of a cut, never what it contains.
func TestTheSameFramesGiveTheSameBlocks(t *testing.T) {
	ctx := context.Background()
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	now := time.UnixMilli(1_700_000_000_000)
	for seed := range int64(unlessShort(4, 1)) {
		store := logtest.NewMem()
		disk := vfs.NewMem()
		writer, err := openChecked(t, ctx, disk, "data", Options{logStore: store, Seed: 1, Clock: vfs.NewManualClock(now)})
		if err != nil {
			t.Fatal(err)
		}
		randomBatches(t, writer, rand.New(rand.NewSource(seed)), now)
		frames := store.Clone()
		var want map[string][]byte
		for _, p := range []struct {
			reason string
			procs  int
			opts   Options
			age    time.Duration
		}{
			{"a request", 1, Options{}, 0},
			{"log", 4, Options{AliasSeed: 77, CutWALBytes: 1}, time.Hour},
			{"memory", 2, Options{AliasSeed: 78, CutHeadBytes: 1}, 90 * 24 * time.Hour},
			{"age", 3, Options{AliasSeed: 79, CutAge: time.Minute, RetentionMs: time.Hour.Milliseconds()}, 0},
		} {
			t.Run(fmt.Sprintf("seed=%d/%s", seed, p.reason), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(p.procs))
				clock, fs := vfs.NewManualClock(now.Add(p.age)), vfs.NewMem()
				opts := p.opts
				opts.logStore, opts.Seed, opts.Clock = frames.Clone(), 1, clock
				db, err := openChecked(t, ctx, fs, "data", opts)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close(stopped)
				if p.reason != "a request" {
					clock.Advance(5 * time.Minute)
					db.flusher.mu.Lock()
					why := db.flusher.cutDueLocked(ctx)
					db.flusher.mu.Unlock()
					if why != p.reason {
						t.Fatalf("the cut is due for %q", why)
					}
				}
				got := cutBlocks(t, db, fs)
				if len(got) == 0 {
					t.Fatal("no block")
				}
				if want == nil {
					want = maps.Clone(got)
				}
				compareBlocks(t, got, want)
			})
		}
		// The process that wrote the frames makes the same block as those that
		// replayed them.
		compareBlocks(t, cutBlocks(t, writer, disk), want)
		if err := writer.Close(stopped); err != nil {
			t.Fatal(err)
		}
	}
}

// randomBatches writes frames of every type.
func randomBatches(t *testing.T, db *DB, r *rand.Rand, now time.Time) {
	t.Helper()
	ctx := context.Background()
	values := []float64{0, 1, -1, 2.5, math.Inf(1), math.NaN(), math.Float64frombits(value.StaleNaN)}
	for range 40 {
		b := db.NewBatch("test", model.DefaultTenant)
		for range 1 + r.Intn(300) {
			i := r.Intn(60)
			ref, err := b.Resolve(model.Hash{Hi: 1, Lo: uint64(i)}, labels.FromStrings("__name__", fmt.Sprint("m", i%5), "i", fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
			at := now.Add(-time.Duration(r.Intn(48*240)) * 15 * time.Second).UnixMilli()
			st := int64(0)
			if i%3 == 0 {
				st = at - r.Int63n(1000)
			}
			if i%7 == 0 {
				h := &histogram.Histogram{Schema: 1, Count: uint64(1 + r.Intn(3)), Sum: 2,
					PositiveSpans: []histogram.Span{{Offset: int32(r.Intn(3)), Length: 1}}}
				h.PositiveBuckets = []int64{int64(h.Count)}
				b.Histogram(ref, at, st, model.Histogram{Int: h})
			} else {
				b.Float(ref, at, st, values[r.Intn(len(values))])
			}
			if r.Intn(8) == 0 {
				b.Exemplar(ref, model.Exemplar{Labels: labels.FromStrings("trace", fmt.Sprint(r.Intn(1000))), T: at, V: 1})
			}
		}
		b.Metadata(fmt.Sprint("m", r.Intn(5)), model.Metadata{Type: "gauge", Help: fmt.Sprint("help ", r.Intn(3))})
		if _, err := b.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if r.Intn(10) == 0 {
			from := now.Add(-time.Duration(r.Intn(48)) * time.Hour).UnixMilli()
			if err := db.Delete(ctx, model.DefaultTenant, model.TimeRange{Min: from, Max: from + model.HourMs},
				labels.MustNewMatcher(labels.MatchRegexp, "i", "1.")); err != nil {
				t.Fatal(err)
			}
		}
	}
}
