package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/manifest"
	"tsdb/storage/log"
)

// samplesOf returns all samples of the database by series and time.
func samplesOf(t *testing.T, db *DB) map[string]float64 {
	t.Helper()
	ctx := context.Background()
	v, err := db.View()
	must(t, err)
	defer v.Release()
	set, err := v.Select(ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	must(t, err)
	all := map[string]float64{}
	for i := range set.Len() {
		var s model.Samples
		must(t, set.At(i).Samples(ctx, model.AllTime, &s))
		for k := range s.T {
			all[fmt.Sprint(set.At(i).Labels, s.T[k])] = s.V[k]
		}
	}
	return all
}

// Replay applies a deletion only if the log has its end; a tombstone of an earlier
// version always.
func TestReplayAppliesWholeDeletionsOnly(t *testing.T) {
	series := labels.FromStrings("__name__", "m")
	tomb := log.Tombstone{Range: model.TimeRange{Min: 0, Max: 15}, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")}}
	for _, c := range []struct {
		name   string
		ended  map[uint64]bool
		typ    log.FrameType
		want   int
		number uint64
	}{
		{"ended", map[uint64]bool{7: true}, log.FrameDeletion, 1, 7},
		{"not ended", map[uint64]bool{6: true}, log.FrameDeletion, 2, 7},
		{"of an earlier version", nil, log.FrameTombstone, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReplayer(manifest.NewState(1, 0), 1)
			r.begin()
			r.deletions = c.ended
			ref, _ := r.head.Resolve(0, series)
			apply := func(typ log.FrameType, payload []byte, err error) {
				t.Helper()
				must(t, err)
				must(t, r.apply(ref.Shard(), log.Frame{Type: typ, Generation: 1, Payload: payload}))
			}
			payload, err := log.AppendSeries(nil, []log.SeriesDef{{Slot: 1, Labels: series}})
			apply(log.FrameSeries, payload, err)
			apply(log.FrameSamples, log.AppendSamples(nil, []uint32{1, 1}, []int64{10, 20}, []float64{1, 2}, nil), nil)
			payload, err = log.AppendTombstone(nil, tomb)
			if c.typ == log.FrameDeletion {
				payload, err = log.AppendDeletion(nil, c.number, tomb)
			}
			apply(c.typ, payload, err)
			apply(c.typ, payload, err) // as if of another shard
			var s model.Samples
			r.active.buf.Samples(ref, model.AllTime, &s)
			if s.Len() != c.want || len(r.tombstones.list) != 2-c.want {
				t.Errorf("%d samples and %d deletions, want %d and %d", s.Len(), len(r.tombstones.list), c.want, 2-c.want)
			}
		})
	}
}

// Samples written beside deletions are deleted or not; replay finds the same, and so
// does the block of a cut.
func TestWritesBesideDeletionsFallOnTheSameSideAfterReplay(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	opts := Options{Clock: vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)), Seed: 1, CacheBytes: -1, ReserveBytes: 4096}
	db, err := openChecked(t, ctx, fs, "data", opts)
	must(t, err)
	now := db.now()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for k := range int64(60) {
				err := ErrStaleRef
				for errors.Is(err, ErrStaleRef) { // a cut evicted the series in between, as doors know
					b := db.NewBatch("test", model.DefaultTenant)
					for s := range 20 {
						ref, err := b.Resolve(model.Hash{Lo: uint64(100*i + s)}, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i), "s", fmt.Sprint(s)))
						if err != nil {
							t.Error(err)
							return
						}
						b.Float(ref, now+k, 0, float64(k))
						b.Float(ref, now-k%7, 0, float64(k)) // late, and again and again
					}
					_, err = b.Commit(ctx)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for k := range int64(40) {
			ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "i", fmt.Sprintf("%d|3", k%3))}
			if err := db.Delete(ctx, model.DefaultTenant, model.TimeRange{Min: now - k, Max: now + k + 1}, ms...); err != nil {
				t.Error(err)
			}
			if k%15 == 7 {
				if _, err := db.Flush(ctx); err != nil {
					t.Error(err)
				}
			}
		}
	})
	wg.Wait()
	want := samplesOf(t, db)
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	must(t, db.Close(stopped))
	db, err = openChecked(t, ctx, fs, "data", opts)
	must(t, err)
	if got := samplesOf(t, db); !maps.Equal(got, want) {
		t.Errorf("%d samples after replay, %d before", len(got), len(want))
	}
	_, err = db.Compact(ctx)
	must(t, err)
	if got := samplesOf(t, db); !maps.Equal(got, want) {
		t.Errorf("%d samples when merged, %d before", len(got), len(want))
	}
	must(t, db.Close(ctx))
	must(t, checkedClean(fs))
}

// A deletion whose frames are torn by a power cut counts as a whole or not at all,
// wherever they are torn.
func TestTornDeletionsCountAsAWhole(t *testing.T) {
	ctx := context.Background()
	mem := doctortest.NewMem(t)
	fault := vfs.NewFault(mem)
	opts := Options{Clock: vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)), Seed: 1, CacheBytes: -1, ReserveBytes: 4096, WALSegmentBytes: 64 << 10}
	db, err := Open(ctx, fault, "data", opts)
	must(t, err)
	const series = 100 // in all shards
	b := db.NewBatch("test", model.DefaultTenant)
	for i := range series {
		ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)))
		must(t, err)
		b.Float(ref, db.now(), 0, 1)
	}
	_, err = b.Commit(ctx)
	must(t, err)
	var states []*vfs.Mem
	rng := rand.New(rand.NewSource(1))
	fault.SetHook(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && len(states) == 0 {
			for range 30 {
				states = append(states, mem.CrashClone(vfs.CrashOptions{Mode: vfs.CrashTorn, Rand: rng}))
			}
		}
		return nil
	})
	// A long matcher, so that the frame of each shard has sectors of its own.
	long := labels.MustNewMatcher(labels.MatchRegexp, "i", ".+|"+strings.Repeat("x", 700))
	must(t, db.Delete(ctx, model.DefaultTenant, model.AllTime, long))
	fault.SetHook(nil)
	abandon(db)
	deleted := 0
	for i, fs := range states {
		db, err := Open(ctx, fs, "data", opts)
		must(t, err)
		switch n := len(samplesOf(t, db)); n {
		case 0:
			deleted++
		case series:
		default:
			t.Errorf("state %d: %d of %d samples are left", i, n, series)
		}
		abandon(db)
	}
	if len(states) == 0 || deleted == len(states) {
		t.Errorf("%d states, all samples are deleted in %d", len(states), deleted)
	}
}
