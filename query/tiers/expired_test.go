package tiers

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// describe returns the slices of a choice: a tier, "!" if samples have expired, and the
// day at which the slice ends.
func describe(c Choice) string {
	var all []string
	for _, s := range c.Slices {
		text := s.Tier.String()
		if s.Expired {
			text += "!"
		}
		all = append(all, fmt.Sprintf("%s %.6g", text, float64(s.Times.Max-1)/float64(model.DayMs)))
	}
	return strings.Join(all, ", ")
}

// Where samples have expired, buckets answer, in each slice the coarsest that are not
// cut, or the finest if all are cut. What they cannot answer is an error.
func TestBucketsAnswerWhereSamplesHaveExpired(t *testing.T) {
	v := &View{RawFloor: (50 * day).Milliseconds() + 1, Tiers: []Available{covered(block.Minute, 30*day, 60*day), covered(block.Hour, 0, 60*day)}}
	f := func(r *Read, res Resolution, want string) {
		t.Helper()
		c, err := Choose(r, res, v)
		if got := describe(c); err != nil || got != want {
			t.Errorf("%s over %v from %v at %v: %q, %v, want %q", r.Function, time.Duration(r.Width)*time.Millisecond,
				time.Duration(r.Grid.Start)*time.Millisecond, res, got, err, want)
		}
	}
	narrow := func(from time.Duration) *Read { return read("rate", 5*time.Minute, from, 55*day, time.Hour) }
	f(narrow(51*day), Auto, "1m 55")
	f(narrow(40*day), Auto, "1m! 50, 1m 55")
	f(narrow(10*day), Auto, "1h! 30, 1m! 50, 1m 55") // minutes do not reach back
	f(read("rate", time.Hour, 10*day, 55*day, time.Hour), Auto, "1h! 50, 1h 55")
	f(read("rate", time.Hour, 10*day+time.Second, 55*day, time.Hour), Auto, "1h! 30, 1m! 50, raw 54.9583")
	f(read("rate", time.Minute, 40*day, 40*day+time.Hour, 15*time.Second), Auto, "1m! 40.0417") // samples would be cheaper
	f(narrow(40*day), Only(block.Hour), "1h! 50, 1h 55")
	f(narrow(10*day), Only(block.Minute), "1h! 30, 1m! 50, 1m 55")
	f(narrow(40*day), Raw, "raw 55")
	f(read("", 5*time.Minute, 10*day, 55*day, time.Hour), Auto, "1h! 50, 1h 55")
	// One window over all slices: the hours are cut once, at its beginning.
	f(read("increase", 50*day, 54*day+time.Second, 0, 0), Auto, "1h! 50, 1h 54")

	refused := func(r *Read, want string) {
		t.Helper()
		_, err := Choose(r, Auto, v)
		var e *ExpiredError
		if !errors.As(err, &e) || err.Error() != want {
			t.Errorf("%s: %v", r.Function, err)
		}
		if c, err := Choose(r, Raw, v); err != nil || c.Tier() != block.Raw {
			t.Errorf("%s of samples: %v, %v", r.Function, c, err)
		}
	}
	quantiles := func(from time.Duration) *Read { return read("quantile_over_time", day, from, 55*day, day) }
	refused(quantiles(10*day), "raw samples up to 1970-01-31T00:00:00.000Z have expired; the 1h rollup cannot answer quantile_over_time; the part from 1970-02-21T00:00:00.000Z on can be answered: ask for it alone")
	refused(read(AllSamples, day, 10*day, 0, 0), "raw samples up to 1970-01-31T00:00:00.000Z have expired; the 1h rollup cannot answer a range selector")
	f(quantiles(52*day), Auto, "raw 55")
	modified := narrow(10 * day)
	modified.Modified = true
	refused(modified, "raw samples up to 1970-01-31T00:00:00.000Z have expired; the 1h rollup cannot answer rate; the part from 1970-02-20T01:00:00.000Z on can be answered: ask for it alone")

	// Samples of some series may stand in for minutes; where they do for all series,
	// nothing has expired.
	if c, err := Choose(quantiles(40*day), Auto, v); err != nil || describe(c) != "1m! 50, raw 55" || !c.Check {
		t.Errorf("samples that may be there: %+v, %v", c, err)
	}
	minutes := &v.Tiers[0]
	minutes.Covered = []model.TimeRange{{Min: (51 * day).Milliseconds() + 1, Max: minutes.Kept[0].Max}}
	f(quantiles(40*day), Auto, "raw 55")
	f(narrow(40*day), Auto, "raw 51, 1m 55")
	f(narrow(10*day), Auto, "1h! 30, raw 51, 1m 55")
	minutes.Covered = nil
	f(narrow(40*day), Auto, "raw 55")
	if tr := narrow(40 * day).Range(); expiredIn(v, tr) {
		t.Errorf("samples in %v have expired", tr)
	}
	if tr := narrow(10 * day).Range(); !expiredIn(v, tr) {
		t.Errorf("samples in %v have not expired", tr)
	}
}

func expiredIn(v *View, tr model.TimeRange) bool {
	_, ok := v.FirstExpired(tr)
	return ok
}

// What is said to have expired ends where samples stand in.
func TestExpiredSamplesEndWhereOthersStandIn(t *testing.T) {
	v := &View{RawFloor: (50 * day).Milliseconds() + 1, Tiers: []Available{covered(block.Minute, 30*day, 60*day), covered(block.Hour, 0, 60*day)}}
	f := func(at, want time.Duration) {
		t.Helper()
		if got := v.ExpiredUntil(at.Milliseconds()); got != want.Milliseconds()+1 {
			t.Errorf("on day %v: until %v, want %v", at, time.Duration(got-1)*time.Millisecond, want)
		}
	}
	f(10*day, 30*day) // later samples may stand in for minutes
	f(40*day, 50*day) // of a series of which they do not
	v.Tiers[0].Covered = []model.TimeRange{{Min: 1, Max: (35 * day).Milliseconds() + 1}}
	f(32*day, 35*day) // they do for all series
	v.Tiers[0].Kept = nil
	f(10*day, 50*day)
}

// Days that a tier lacks are slices of their own, read from another tier.
func TestDaysThatATierLacksAreReadFromAnother(t *testing.T) {
	v := &View{RawFloor: (20 * day).Milliseconds() + 1, Tiers: []Available{covered(block.Minute, 0, 40*day), covered(block.Hour, 0, 40*day)}}
	hours := &v.Tiers[1]
	holes := []model.TimeRange{
		{Min: 1, Max: (10 * day).Milliseconds() + 1}, {Min: (12 * day).Milliseconds() + 1, Max: (30 * day).Milliseconds() + 1},
		{Min: (33 * day).Milliseconds() + 1, Max: (40 * day).Milliseconds() + 1},
	}
	hours.Covered, hours.Kept = holes, holes
	r := read("rate", time.Hour, 5*day, 45*day, time.Hour)
	c, err := Choose(r, Auto, v)
	if got, want := describe(c), "1h! 10, 1m! 12, 1h! 20, 1h 30, 1m 33, 1h 40, raw 45"; err != nil || got != want {
		t.Fatalf("%q, %v, want %q", got, err, want)
	}
	if c.Tier() != block.Hour || c.Slices[0].Times.Min != r.Range().Min {
		t.Errorf("%+v", c)
	}
	for i, s := range c.Slices[1:] {
		if s.Times.Min != c.Slices[i].Times.Max {
			t.Errorf("slice %d begins at %d, not %d", i+1, s.Times.Min, c.Slices[i].Times.Max)
		}
	}
	if why := c.Slices[4].Refused; len(why) != 1 || why[0].Tier != block.Hour || why[0].Reason != Uncovered {
		t.Errorf("no hours: %+v", why)
	}
	// Parts that are refused for the same reason are one slice, with their borders.
	c, err = Choose(read("sum_over_time", 2*time.Hour, 22*day, 29*day, 30*time.Minute), Auto, &View{RawFloor: math.MinInt64, Tiers: []Available{
		{block.Minute, holes, holes}, {block.Hour, holes, []model.TimeRange{holes[0], {Min: holes[1].Min, Max: (25 * day).Milliseconds() + 1}, {Min: (25 * day).Milliseconds() + 1, Max: holes[1].Max}}},
	}})
	if got := describe(c); err != nil || got != "1m 29" || c.Slices[0].Refused[0].Text != "336 of 674 borders of windows cut a bucket of 1h" {
		t.Errorf("%q, %+v, %v", got, c, err)
	}
}
