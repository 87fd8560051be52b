package storage

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// A deletion takes the exemplars of its range with it: from the active head, from
// blocks, from a log that is replayed, from merged blocks. Later ones stay.
func TestDeletesTakeExemplarsWithThem(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	opts := Options{Clock: clock, Seed: 1, CacheBytes: -1, ReserveBytes: 4096}
	db, err := openChecked(t, ctx, fs, "data", opts)
	must(t, err)
	now := clock.Now().UnixMilli()
	write := func(from, to int64) {
		t.Helper()
		b := db.NewBatch("test", model.DefaultTenant)
		for i := range 2 {
			ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)))
			must(t, err)
			for k := from; k < to; k++ {
				b.Float(ref, now+k, 0, 1)
				b.Exemplar(ref, model.Exemplar{T: now + k, V: float64(k), Labels: labels.FromStrings("trace_id", fmt.Sprint(k))})
			}
		}
		_, err := b.Commit(ctx)
		must(t, err)
	}
	remove := func(from, to int64) {
		t.Helper()
		must(t, db.Delete(ctx, model.DefaultTenant, model.TimeRange{Min: now + from, Max: now + to}, labels.MustNewMatcher(labels.MatchEqual, "i", "1")))
	}
	check := func(when string, want ...float64) {
		t.Helper()
		v, err := db.View()
		must(t, err)
		defer v.Release()
		list, warnings, err := v.Exemplars(ctx, model.DefaultTenant, model.AllTime, [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")}})
		if err != nil || len(warnings) > 0 {
			t.Fatal(err, warnings)
		}
		for _, s := range list {
			var got []float64
			for _, e := range s.Exemplars {
				got = append(got, e.V)
			}
			if all := slices.Contains([]int{10, 20, 21}, len(got)); s.Labels.Get("i") == "0" && !all {
				t.Errorf("%s: the other series has %v", when, got)
			} else if s.Labels.Get("i") == "1" && !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
	}
	write(0, 10)
	remove(2, 8)
	check("in the head", 0, 1, 8, 9)
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	must(t, db.Close(stopped))
	db, err = openChecked(t, ctx, fs, "data", opts)
	must(t, err)
	check("replayed", 0, 1, 8, 9)
	_, err = db.Flush(ctx)
	must(t, err)
	check("in a block", 0, 1, 8, 9)
	write(10, 20)
	remove(9, 15)
	check("in a block and the head", 0, 1, 8, 15, 16, 17, 18, 19)
	write(9, 10)
	check("again", 0, 1, 8, 9, 15, 16, 17, 18, 19)
	_, err = db.Compact(ctx)
	must(t, err)
	check("merged", 0, 1, 8, 9, 15, 16, 17, 18, 19)
	if n := len(db.manifest.State().Tombstones); n != 0 {
		t.Errorf("%d deletions are left", n)
	}
	must(t, db.Close(ctx))
	must(t, checkedClean(fs))
}
