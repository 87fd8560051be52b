package storage

import (
	"context"
	"fmt"
	"maps"
	"math/rand"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/storage/doctor"
	"tsdb/storage/log/logtest"
)

// Deletes, writes before and after them, cuts, merges and restarts in any
// order leave what a map leaves.
func TestDeletesKeepTheirPlaceInTheOrderOfWrites(t *testing.T) {
	for seed := range int64(unlessShort(30, 6)) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { deletesAgainstMap(t, seed) })
	}
}

func deletesAgainstMap(t *testing.T, seed int64) {
	r := rand.New(rand.NewSource(seed))
	ctx := context.Background()
	fs := vfs.NewMem()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 23, 0, 0, 0, time.UTC))
	opts := Options{Clock: clock, Seed: 1, WALSegmentBytes: 64 << 10, CacheBytes: -1, ReserveBytes: 4096}
	if seed%3 == 0 {
		opts.TierRetentionMs = map[block.Tier]int64{block.Minute: 0, block.Hour: 0}
	}
	if seed%2 == 1 {
		opts.logStore = logtest.NewMem()
	}
	open := func() *DB {
		db, err := openChecked(t, ctx, fs, "data", opts)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	type key struct {
		series int
		t      int64
	}
	want := map[key]float64{}
	db := open()
	name := func(i int) labels.Labels { return labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)) }
	for range 60 {
		switch r.Intn(12) {
		case 10:
			if _, err := db.CleanTombstones(ctx); err != nil {
				t.Fatal(err)
			}
			if n := len(db.manifest.State().Tombstones); n != 0 {
				t.Fatalf("%d deletions are left after the clean-up", n)
			}
		case 11: // deletions that are combined, of samples that exist and others
			tr := model.TimeRange{Min: clock.Now().UnixMilli() - r.Int63n(2*model.HourMs), Max: clock.Now().UnixMilli() + 1}
			for i := range combineEvery + 10 {
				sets := [][]*labels.Matcher{{equalI(i % 80)}, {equalI(100 + i)}}
				if _, err := db.DeleteSeries(ctx, DeleteRequest{Tenant: model.DefaultTenant, Range: tr, Sets: sets}); err != nil {
					t.Fatal(err)
				}
			}
			maps.DeleteFunc(want, func(k key, _ float64) bool { return tr.Contains(k.t) })
		case 0:
			if _, err := db.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		case 1:
			if _, err := db.Compact(ctx); err != nil {
				t.Fatal(err)
			}
		case 2:
			stopped, cancel := context.WithCancel(ctx)
			cancel()
			if err := db.Close(stopped); err != nil {
				t.Fatal(err)
			}
			db = open()
		case 3, 4:
			i, from := r.Intn(4), clock.Now().UnixMilli()-r.Int63n(5*model.HourMs)
			tr := model.TimeRange{Min: from, Max: from + r.Int63n(3*model.HourMs) + 1}
			if err := db.Delete(ctx, model.DefaultTenant, tr, labels.MustNewMatcher(labels.MatchEqual, "i", fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			maps.DeleteFunc(want, func(k key, _ float64) bool { return k.series == i && tr.Contains(k.t) })
		default:
			b := db.NewBatch("test", model.DefaultTenant)
			for i := range 4 {
				ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, name(i))
				if err != nil {
					t.Fatal(err)
				}
				for range 3 {
					k := key{i, clock.Now().UnixMilli() - r.Int63n(4*model.HourMs)}
					v := float64(r.Intn(1000))
					b.Float(ref, k.t, 0, v)
					want[k] = v
				}
			}
			if _, err := b.Commit(ctx); err != nil {
				t.Fatal(err)
			}
		}
		clock.Advance(time.Duration(r.Intn(30)) * time.Minute)
		v, err := db.View()
		if err != nil {
			t.Fatal(err)
		}
		set, err := v.Select(ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
		if err != nil {
			t.Fatal(err)
		}
		got := map[key]float64{}
		for n := range set.Len() {
			var s model.Samples
			if err := set.At(n).Samples(ctx, model.AllTime, &s); err != nil {
				t.Fatal(err)
			}
			var i int
			fmt.Sscan(set.At(n).Labels.Get("i"), &i)
			for j := range s.T {
				got[key{i, s.T[j]}] = s.V[j]
			}
		}
		v.Release()
		if !maps.Equal(got, want) {
			t.Fatalf("got %d samples, want %d", len(got), len(want))
		}
	}
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	report, err := doctor.Check(ctx, fs, "data")
	if err != nil || len(report.Damage) > 0 {
		t.Fatal(err, report)
	}
}
