package storage

import (
	"cmp"
	"fmt"
	"slices"

	"tsdb/internal/match"
	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// coveredDay is a day that a rollup answers.
type coveredDay struct {
	manifest.Coverage
	times model.TimeRange // of the day, as far as selected
}

// coveredDays returns the days that are rolled up to the tier of their slice and overlap
// tr, by time. Days for which samples stand in are not among them.
func coveredDays(st *manifest.State, tiers TierSlices, tr model.TimeRange) []coveredDay {
	var days []coveredDay
	for key, c := range st.Coverage {
		if c.StandIn || key.Tier != tiers.At(key.Range().Min) {
			continue
		}
		if times := key.Range().Intersect(tr); !times.Empty() {
			days = append(days, coveredDay{c, times})
		}
	}
	slices.SortFunc(days, func(a, b coveredDay) int { return cmp.Compare(a.Day, b.Day) })
	return days
}

// timesOf returns the times of days, joined.
func timesOf(days []coveredDay) []model.TimeRange {
	var times []model.TimeRange
	for _, d := range days {
		times = appendRange(times, d.times)
	}
	return times
}

// daysIn returns the days that overlap tr.
func daysIn(days []coveredDay, tr model.TimeRange) []coveredDay {
	i, _ := slices.BinarySearchFunc(days, tr.Min, func(d coveredDay, t int64) int {
		if d.times.Max <= t {
			return -1
		}
		return 1
	})
	j := i
	for j < len(days) && days[j].times.Min < tr.Max {
		j++
	}
	return days[i:j]
}

// newerDays returns the times, joined, of the days on which a raw block may hold
// samples that the rollup does not have.
func newerDays(days []coveredDay, b block.Info) []model.TimeRange {
	var times []model.TimeRange
	for _, d := range daysIn(days, b.TimeRange()) {
		if !d.Clean(b) {
			times = appendRange(times, d.times)
		}
	}
	return times
}

// newerDeletion is a deletion that is not applied to all rows of a tier.
type newerDeletion struct {
	ms     []*match.Matcher
	ranges []model.TimeRange // deleted, of days whose rows it is not applied to
}

// newerDeletions returns the deletions of a tenant that are newer than the rows of
// a day.
func newerDeletions(days []coveredDay, ts []manifest.Tombstone, tenant uint32) ([]newerDeletion, error) {
	var all []newerDeletion
	for i := range ts {
		t := &ts[i]
		if t.Tenant != tenant {
			continue
		}
		var ranges []model.TimeRange
		for _, d := range daysIn(days, t.Range) {
			if d.Tombstone < t.ID && d.Block != "" {
				ranges = appendRange(ranges, d.times.Intersect(t.Range))
			}
		}
		if len(ranges) == 0 {
			continue
		}
		ms, err := match.Compiled(t.Matchers)
		if err != nil {
			return nil, err
		}
		all = append(all, newerDeletion{ms, ranges})
	}
	return all, nil
}

// lostIn returns a warning for each range of samples in tr that a tier lacks: those that
// could not be read when a day was rolled up, and those in buckets that a deletion cut
// after the samples had expired.
func lostIn(days []coveredDay, tr model.TimeRange) []error {
	var all []error
	for _, d := range days {
		for _, lost := range d.Lost {
			if lost.Overlaps(tr) {
				all = append(all, fmt.Errorf("the %v rollup lacks samples from %s to %s: they were unreadable, or have expired where a deletion cuts a bucket",
					d.Tier, model.FormatTime(lost.Min), model.FormatTime(lost.Max-1)))
			}
		}
	}
	return all
}
