package storage_test

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/storage"
)

// lifeFloors are the times before which rows of each tier and series have expired, as
// last seen.
type lifeFloors struct {
	of  map[block.Tier]*[lifeSeries]int64
	all map[block.Tier]int64 // of all series
	// highest are the highest floors that samples of each series ever had. A floor of a
	// rule falls when the rule is gone and nothing is left of what it hid.
	highest [lifeSeries]int64
	// since are the times from which on the hours, and the six hours, of each series have all
	// samples: those that expired while no such rows were made are in none.
	since map[block.Tier]*[lifeSeries]int64
}

// lifeCoarse are the tiers that answer in the place of expired samples.
var lifeCoarse = []block.Tier{block.Hour, block.Hours6}

func newLifeFloors() *lifeFloors {
	f := &lifeFloors{of: map[block.Tier]*[lifeSeries]int64{}, all: map[block.Tier]int64{}, since: map[block.Tier]*[lifeSeries]int64{}}
	for _, tier := range lifeTiers {
		f.of[tier], f.all[tier] = new([lifeSeries]int64), model.MinTime
		for i := range f.of[tier] {
			f.of[tier][i], f.highest[i] = model.MinTime, model.MinTime
		}
	}
	for _, tier := range lifeCoarse {
		f.since[tier] = new([lifeSeries]int64)
		for i := range lifeSeries {
			f.since[tier][i] = model.MinTime
		}
	}
	return f
}

func (f *lifeFloors) clone() *lifeFloors {
	c := newLifeFloors()
	for _, tier := range lifeTiers {
		*c.of[tier], c.all[tier] = *f.of[tier], f.all[tier]
	}
	for _, tier := range lifeCoarse {
		*c.since[tier] = *f.since[tier]
	}
	c.highest = f.highest
	return c
}

// raw returns the floor of the samples of a series.
func (f *lifeFloors) raw(i int) int64 { return f.of[block.Raw][i] }

// lifeIdentity are matchers that only one series satisfies.
var lifeIdentity = func() (all [lifeSeries][]*labels.Matcher) {
	for i, ls := range lifeLabels {
		for _, name := range []string{"__name__", "env", "i", "odd"} {
			all[i] = append(all[i], labels.MustNewMatcher(labels.MatchEqual, name, ls.Get(name)))
		}
	}
	return all
}()

// seen returns the floors that a view shows.
func seenFloors(v *storage.View) *lifeFloors {
	f := newLifeFloors()
	for _, tier := range lifeTiers {
		f.all[tier] = max(model.MinTime, v.FloorOfAll(tier))
		for i := range lifeSeries {
			f.of[tier][i] = max(model.MinTime, v.FloorFor(lifeIdentity[i], tier))
		}
	}
	return f
}

// equal returns an error unless two floors are the same.
func (f *lifeFloors) equal(want *lifeFloors) error {
	for _, tier := range lifeTiers {
		for i := range lifeSeries {
			if got, want := f.of[tier][i], want.of[tier][i]; got != want {
				return fmt.Errorf("the floor of %v of series %d is %s, want %s", tier, i, lifeTime(got), lifeTime(want))
			}
		}
	}
	return nil
}

// settlement says which floors must have reached their targets.
type settlement uint8

const (
	settledNone  settlement = iota
	settledTiers            // those of rollups, which wait for nothing
	settledAll
)

// seeFloors checks that the floors only rise, and never above their targets.
func (w *lifeWorld) seeFloors(settled settlement) error {
	v, err := w.db.View()
	if err != nil {
		return err
	}
	defer v.Release()
	now := seenFloors(v)
	for _, tier := range lifeTiers {
		must := settled == settledAll || settled == settledTiers && tier != block.Raw
		if err := w.seeFloor(fmt.Sprintf("%v of all series", tier), tier, now.all[tier], w.floors.all[tier], w.floors.all[tier], w.target(w.o.longest(tier)), must); err != nil {
			return err
		}
		for i := range lifeSeries {
			if err := w.seeFloor(fmt.Sprintf("%v of series %d", tier, i), tier, now.of[tier][i], now.all[tier], w.floors.of[tier][i], w.target(w.o.keep(tier, i)), must); err != nil {
				return err
			}
		}
	}
	for i := range lifeSeries {
		now.highest[i] = max(w.floors.highest[i], now.raw(i))
		fell := model.TimeRange{Min: now.raw(i), Max: w.floors.raw(i)}
		for _, tier := range lifeCoarse {
			since := max(w.floors.since[tier][i], now.of[tier][i])
			if !w.o.made(tier) || w.o.keep(tier, i) < 0 {
				since = max(since, now.raw(i))
			}
			if !fell.Empty() {
				since = max(since, fell.Max)
			}
			now.since[tier][i] = since
		}
		if !fell.Empty() { // nothing is left of what lay below
			removeSamples(&w.model.series[i].expired, fell)
			w.archive.unclear = true
		}
		w.model.expire(i, now.raw(i))
	}
	w.floors = now
	if settled == settledAll && w.o.maxKiB > 0 && len(w.snapshots) == 0 {
		return w.seeBound()
	}
	return nil
}

// target returns the floor for a retention in days; < 0 keeps nothing but today.
func (w *lifeWorld) target(days int) int64 {
	switch oldest := w.now() - int64(days)*model.DayMs; {
	case days == 0:
		return model.MinTime
	case days < 0:
		return w.today()
	default:
		return (oldest-1)/model.DayMs*model.DayMs + 1 // days begin a millisecond after midnight
	}
}

func (w *lifeWorld) today() int64 { return (w.now()-1)/model.DayMs*model.DayMs + 1 }

func (w *lifeWorld) seeFloor(what string, tier block.Tier, floor, least, before, target int64, settled bool) error {
	if !w.o.made(tier) {
		target = least
	}
	highest := max(target, before)
	if w.o.maxKiB > 0 && w.o.made(tier) { // a bound of bytes leaves the newest two days
		highest = max(highest, w.today()-model.DayMs)
	}
	switch {
	case floor < least:
		return fmt.Errorf("the floor of %s is %s, it was %s", what, lifeTime(floor), lifeTime(least))
	case floor > highest || settled && floor < target:
		return fmt.Errorf("the floor of %s is %s, its target %s, at most %s", what, lifeTime(floor), lifeTime(target), lifeTime(highest))
	case floor > before && tier == block.Raw:
		if w.counts.expired++; floor > target {
			w.counts.sizeExpired++
		}
	}
	return nil
}

// seeBound returns an error if the bound of bytes is not met although samples can leave.
// What is in memory and the log leaves after a cut.
func (w *lifeWorld) seeBound() error {
	st, err := w.db.Status()
	if err != nil || st.Retention.Met || st.Head.Samples > 0 {
		return err
	}
	until := w.today() - model.DayMs
	for i := range lifeSeries {
		s := &w.model.series[i].samples
		if k := s.Search(w.floors.raw(i)); k < s.Len() && s.T[k] < until {
			return fmt.Errorf("%+v: the bound of bytes is not met, and series %d has a sample at %s", st.Retention, i, lifeTime(s.T[k]))
		}
	}
	return nil
}
