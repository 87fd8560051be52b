package storage

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

func TestSamplesSurviveCutsMergesAndReopening(t *testing.T) { forEachLog(t, samplesSurvive) }

func samplesSurvive(t *testing.T, store log.Store) {
	fs := vfs.NewMem()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	opts := Options{logStore: store, Clock: clock, Seed: 1}
	ctx := context.Background()
	open := func() *DB {
		db, err := openChecked(t, ctx, fs, "data", opts)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open()
	read := func(when string, want int) {
		v, err := db.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Release()
		set, err := v.Select(ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchRegexp, "__name__", "m.*"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for i := range set.Len() {
			var s model.Samples
			if err := set.At(i).Samples(ctx, model.AllTime, &s); err != nil {
				t.Fatal(err)
			}
			n += s.Len()
		}
		if n != want {
			t.Errorf("%s: %d samples, want %d", when, n, want)
		}
	}
	write := func(k int) {
		b := db.NewBatch("test", model.DefaultTenant)
		for i := range 10 {
			ref, err := b.Resolve(model.Hash{Hi: uint64(i)}, labels.FromStrings("__name__", fmt.Sprint("m", i), "a", "b"))
			if err != nil {
				t.Fatal(err)
			}
			b.Float(ref, clock.Now().UnixMilli()+int64(k*1000), 0, float64(k))
		}
		if _, err := b.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for k := range 10 {
		write(k)
	}
	read("head", 100)
	if _, err := db.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	read("flushed", 100)
	for k := range 20 {
		write(k + 5)
	}
	read("both", 250)
	cctx, cancel := context.WithCancel(ctx)
	cancel()
	if err := db.Close(cctx); err != nil {
		t.Fatal(err)
	}
	db = open()
	read("reopened", 250)
	if s, err := db.Compact(ctx); err != nil || s.Blocks != 1 {
		t.Fatal(s, err)
	}
	read("compacted", 250)
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
	db = open()
	read("again", 250)
	if err := db.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
