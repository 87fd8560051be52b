package storage

import (
	"errors"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// Several readers read one tiered selection at a time; each reads days as samples that
// nobody has selected yet.
func TestReadersShareATieredSelection(t *testing.T) {
	w := newRolledWorld(t)
	for ago := 1; ago <= 3; ago++ {
		w.write(ago%3, one(dayAt(ago)+5*model.HourMs, 77))
	}
	w.remove(1, model.TimeRange{Min: dayAt(2) + 9*model.HourMs, Max: dayAt(2) + 10*model.HourMs})
	v := w.view()
	defer v.Release()
	tr := wholeDays(4)
	want := w.read(v, block.Hour, tr)
	set, err := v.SelectTiered(w.ctx, model.DefaultTenant, tr, OneTier(block.Hour), labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(t, err)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var r TieredReader
			defer r.Release()
			for i := range 3 * set.Len() {
				s := set.At(i % set.Len())
				name := s.Labels.Get("i")
				var rows model.Buckets
				gaps, err := r.Buckets(w.ctx, s, tr, model.AllBucketColumns, &rows, nil)
				if err != nil || rows.Len() != want.fromTier[name] || len(gaps) != len(want.gaps[name]) {
					t.Errorf("series %s: %d rows and %d gaps, want %d and %d; %v", name, rows.Len(), len(gaps), want.fromTier[name], len(want.gaps[name]), err)
					return
				}
				for _, gap := range gaps {
					var samples model.Samples
					if err := r.Samples(w.ctx, s, gap, &samples); err != nil {
						t.Error(err)
						return
					}
				}
				if i == 4 {
					w.db.cache.Clear()
				}
			}
		})
	}
	wg.Wait()
	if n := len(set.rawDays); n != 3 {
		t.Errorf("%d days were selected as samples, want 3", n)
	}
}

// Of a range that cuts buckets, those rows are read that end in it, and gaps end where
// it does.
func TestTieredReadOfPartsOfBuckets(t *testing.T) {
	w := newRolledWorld(t)
	noon := dayAt(2) + 12*model.HourMs
	w.write(1, one(noon+10*model.MinuteMs, 7), one(noon+150*model.MinuteMs, 7))
	v := w.view()
	defer v.Release()
	// The bucket that the range cuts first has a newer sample before the range.
	tr := model.TimeRange{Min: noon + 30*model.MinuteMs, Max: noon + 160*model.MinuteMs}
	set, err := v.SelectTiered(w.ctx, model.DefaultTenant, tr, OneTier(block.Hour), labels.MustNewMatcher(labels.MatchEqual, "i", "1"))
	must(t, err)
	var r TieredReader
	defer r.Release()
	rows := model.Buckets{}
	rows.AppendSample(1, 2) // stays
	gaps, err := r.Buckets(w.ctx, set.At(0), tr, model.AllBucketColumns, &rows, []model.TimeRange{{Min: 1, Max: 2}})
	must(t, err)
	want := []model.TimeRange{{Min: 1, Max: 2}, {Min: tr.Min, Max: noon + model.HourMs}, {Min: noon + 2*model.HourMs, Max: tr.Max}}
	if len(gaps) != 3 || gaps[0] != want[0] || gaps[1] != want[1] || gaps[2] != want[2] {
		t.Errorf("gaps %v, want %v", gaps, want)
	}
	if rows.Len() != 2 || rows.End[0] != 1 || rows.End[1] != noon-1+2*model.HourMs {
		t.Errorf("rows end at %v", rows.End)
	}
}

// Tiered selections and reads yield while no lock is held, and return the error of
// their yielder.
func TestTieredReadsYieldWithoutLocks(t *testing.T) {
	w := newRolledWorld(t)
	w.write(1, one(dayAt(2)+5*model.HourMs, 77))
	yields, stop := 0, error(nil)
	v := w.view()
	defer v.Release()
	v.SetReadOptions(ReadOptions{Yield: func() error {
		if yields++; yields < 4 {
			w.write(1, one(dayAt(1)+int64(yields), 1))
			w.compact()
			w.roll(dayAt(1), rollForm{}, block.Hour)
		}
		return stop
	}})
	m := labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")
	tr := model.TimeRange{Min: dayAt(3), Max: dayAt(0)}
	set, err := v.SelectTiered(w.ctx, model.DefaultTenant, tr, OneTier(block.Hour), m)
	must(t, err)
	var r TieredReader
	defer r.Release()
	reads := map[string]func() error{
		"SelectTiered": func() error {
			_, err := v.SelectTiered(w.ctx, model.DefaultTenant, tr, OneTier(block.Hour), m)
			return err
		},
		"Buckets": func() error {
			var rows model.Buckets
			_, err := r.Buckets(w.ctx, set.At(1), tr, 0, &rows, nil)
			return err
		},
		"Samples": func() error {
			var samples model.Samples
			return r.Samples(w.ctx, set.At(1), tr, &samples)
		},
		"ExplainTiered": func() error {
			_, _, err := v.ExplainTiered(w.ctx, model.DefaultTenant, tr, OneTier(block.Hour), TieredRead{}, m)
			return err
		},
	}
	errStop := errors.New("stop")
	for name, read := range reads {
		yields, stop = 0, nil
		if err := read(); err != nil || yields == 0 {
			t.Errorf("%s yielded %d times and returned %v", name, yields, err)
		}
		if stop = errStop; !errors.Is(read(), errStop) {
			t.Errorf("%s does not return the error of its yielder", name)
		}
		stop = nil
	}
}
