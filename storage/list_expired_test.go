package storage

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// listed returns the series that ListSeries and LabelValues list on a range of days.
func (w *tieredWorld) listed(tr model.TimeRange) string {
	w.t.Helper()
	v := w.view()
	defer v.Release()
	set, err := v.ListSeries(w.ctx, model.DefaultTenant, tr, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(w.t, err)
	var all []string
	for i := range set.Len() {
		all = append(all, set.At(i).Labels.Get("i"))
	}
	values, _, err := v.LabelValues(w.ctx, model.DefaultTenant, "i", tr, 0)
	must(w.t, err)
	if !slices.Equal(all, values) {
		w.t.Errorf("series %v, values %v", all, values)
	}
	return fmt.Sprint(all)
}

// newExpiredWorld returns a world with minutes and hours of three series on two days, of
// which the samples have expired.
func newExpiredWorld(t *testing.T) *tieredWorld {
	w := newTieredWorld(t)
	w.opts.RetentionMs = 3 * model.DayMs
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Minute: 0, block.Hour: 0}
	w.restart()
	for i := range 3 {
		w.write(i, every(dayAt(2)+7, 1000, 3000), every(dayAt(1)+7, 1000, 3000))
	}
	w.compact()
	w.clock.Advance(4 * 24 * time.Hour)
	w.compact()
	if floor := w.db.views.floor(); floor < dayAt(0) {
		t.Fatalf("the floor is %s", model.FormatTime(floor))
	}
	return w
}

// Series that are deleted are listed no more, though the rollup block that has them is
// not yet written again.
func TestDeletedSeriesAreNotListedByTheirRollups(t *testing.T) {
	w := newExpiredWorld(t)
	days := model.TimeRange{Min: dayAt(2), Max: dayAt(0)}
	if got := w.listed(days); got != "[0 1 2]" {
		t.Fatal(got)
	}
	w.remove(1, model.AllTime)
	w.remove(2, model.TimeRange{Min: dayAt(2) + 1, Max: dayAt(1)}) // of the other day there are rows
	for _, what := range []string{"in the log", "recorded", "applied"} {
		switch what {
		case "recorded":
			w.flush()
		case "applied":
			w.compact()
		}
		if got := w.listed(days); got != "[0 2]" {
			t.Errorf("%s: %s", what, got)
		}
		if got := w.listed(model.TimeRange{Min: dayAt(2), Max: dayAt(1)}); got != "[0]" {
			t.Errorf("%s: on the first day %s", what, got)
		}
	}
}

// Of a day whose samples have expired, series are listed by the coarsest tier, and by
// finer ones if a rule has let them expire in the coarsest.
func TestExpiredSeriesAreListedByTheTierThatHasThem(t *testing.T) {
	w := newExpiredWorld(t)
	days := model.TimeRange{Min: dayAt(2), Max: dayAt(0)}
	tiersOf := func() string {
		v := w.view()
		defer v.Release()
		parts, err := v.st.expiredParts(w.ctx, days)
		must(t, err)
		seen := map[string]bool{}
		for _, p := range parts {
			seen[p.Tier.String()] = true
		}
		return fmt.Sprint(seen)
	}
	if got := tiersOf(); got != "map[1h:true]" {
		t.Errorf("read are %s", got)
	}
	set := func(keep map[block.Tier]int64) {
		r := only(1, 3*model.DayMs, 0)
		for tier, ms := range keep {
			r.Keep[tier] = ms
		}
		must(t, w.db.SetRetention(w.ctx, Retention{RawMs: w.opts.RetentionMs, TierMs: w.opts.TierRetentionMs, Rules: []RetentionRule{r}}))
	}
	set(map[block.Tier]int64{block.Hour: KeepNone})
	if got := w.listed(days); got != "[0 1 2]" || tiersOf() != "map[1h:true 1m:true]" {
		t.Errorf("without hours %s by %s", got, tiersOf())
	}
	set(map[block.Tier]int64{block.Hour: KeepNone, block.Minute: KeepNone})
	if got := w.listed(days); got != "[0 2]" {
		t.Errorf("without rows %s", got)
	}
}

// Memory is reserved for the series of a selection, not for those that blocks have too.
func TestMemoryIsReservedOnceForASeries(t *testing.T) {
	w := newTieredWorld(t)
	for i := range 40 {
		w.write(i, every(dayAt(0)+7, 1000, 3))
	}
	w.flush()
	for i := range 41 {
		w.write(i, every(dayAt(0)+model.MinuteMs, 1000, 3))
	}
	v := w.view()
	defer v.Release()
	reserved := 0
	v.SetReadOptions(ReadOptions{Reserve: func(n int) error { reserved += n; return nil }})
	set, err := v.Select(w.ctx, model.DefaultTenant, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	must(t, err)
	if set.Len() != 41 || reserved != 41 {
		t.Errorf("memory for %d series was reserved, %d are selected", reserved, set.Len())
	}
}
