package storage

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/storage/log/logtest"
)

// Selecting and reading yield while no lock is held: the yielder of this test
// writes to the database, cuts and merges it.
func TestReadsYieldWithoutLocks(t *testing.T) {
	ctx := t.Context()
	clock := vfs.NewManualClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
	db, err := openChecked(t, ctx, vfs.NewMem(), "data", Options{logStore: logtest.NewMem(), Clock: clock, Seed: 1, ReserveBytes: 4096})
	must(t, err)
	write := func() {
		clock.Advance(time.Minute)
		b := db.NewBatch("test", model.DefaultTenant)
		for i := range 20 {
			ref, err := b.Resolve(model.Hash{Lo: uint64(i)}, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)))
			must(t, err)
			b.Float(ref, clock.Now().UnixMilli(), 0, float64(i))
		}
		_, err := b.Commit(ctx)
		must(t, err)
	}
	flush := func() {
		_, err := db.Flush(ctx)
		must(t, err)
	}
	for range 3 {
		write()
		flush()
	}
	write()

	yields, stop := 0, error(nil)
	yield := func() error {
		yields++
		write()
		flush()
		_, err := db.Compact(ctx)
		must(t, err)
		return stop
	}
	v, err := db.View()
	must(t, err)
	v.SetReadOptions(ReadOptions{Yield: yield})
	m := labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")
	set, err := v.Select(ctx, model.DefaultTenant, model.AllTime, m)
	must(t, err)
	if set.Len() != 20 || yields < 4 {
		t.Errorf("selected %d series and yielded %d times, want 20 series and a yield for each block and the head", set.Len(), yields)
	}
	errStop := errors.New("stop")
	var samples model.Samples
	var r ColumnReader
	reads := map[string]func() error{
		"Select":  func() error { _, err := v.Select(ctx, model.DefaultTenant, model.AllTime, m); return err },
		"Samples": func() error { samples.Reset(); return set.At(3).Samples(ctx, model.AllTime, &samples) },
		"Read":    func() error { _, _, err := r.Read(ctx, set.At(3), model.AllTime); return err },
		"Intervals": func() error {
			return set.At(3).Intervals(ctx, model.AllTime, nil, &samples, func(Interval) error { return nil })
		},
	}
	for name, read := range reads {
		yields, stop = 0, nil
		if err := read(); err != nil || yields == 0 {
			t.Errorf("%s yielded %d times and returned %v", name, yields, err)
		}
		if stop = errStop; !errors.Is(read(), errStop) {
			t.Errorf("%s does not return the error of its yielder", name)
		}
	}
	stop = nil
	r.Release()
	v.Release()
	must(t, db.Close(ctx))
}
