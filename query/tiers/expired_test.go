package tiers

import (
	"errors"
	"testing"
	"time"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// Where samples have expired, buckets answer, the coarsest that are not cut, or the
// finest if all are cut; only tiers that reach back as far as any. What they cannot
// answer is an error.
func TestBucketsAnswerWhereSamplesHaveExpired(t *testing.T) {
	v := &View{RawFloor: (50 * day).Milliseconds() + 1, Tiers: []Available{covered(block.Minute, 30*day, 60*day), covered(block.Hour, 0, 60*day)}}
	f := func(r *Read, res Resolution, want block.Tier, expired bool) {
		t.Helper()
		c, err := Choose(r, res, v)
		if err != nil || c.Tier != want || c.Expired != expired {
			t.Errorf("%s over %v from %v at %v: tier %v, expired %v, %v, want %v, %v", r.Function, time.Duration(r.Width)*time.Millisecond,
				time.Duration(r.Grid.Start)*time.Millisecond, res, c.Tier, c.Expired, err, want, expired)
		}
	}
	narrow := func(from time.Duration) *Read { return read("rate", 5*time.Minute, from, 55*day, time.Hour) }
	f(narrow(51*day), Auto, block.Minute, false)
	f(narrow(40*day), Auto, block.Minute, true)
	f(narrow(10*day), Auto, block.Hour, true) // only it reaches back, although it is cut
	f(read("rate", time.Hour, 40*day, 55*day, time.Hour), Auto, block.Hour, true)
	f(read("rate", time.Hour, 40*day+time.Second, 55*day, time.Hour), Auto, block.Minute, true)
	f(read("rate", time.Minute, 40*day, 40*day+time.Hour, 15*time.Second), Auto, block.Minute, true) // samples would be cheaper
	f(narrow(40*day), Only(block.Hour), block.Hour, true)
	f(narrow(10*day), Only(block.Minute), block.Hour, true) // it does not reach back
	f(narrow(40*day), Raw, block.Raw, false)
	f(read("", 5*time.Minute, 10*day, 55*day, time.Hour), Auto, block.Hour, true)

	refused := func(r *Read, want string) {
		t.Helper()
		_, err := Choose(r, Auto, v)
		var e *ExpiredError
		if !errors.As(err, &e) || err.Error() != want {
			t.Errorf("%s: %v", r.Function, err)
		}
		if c, err := Choose(r, Raw, v); err != nil || c.Tier != block.Raw {
			t.Errorf("%s of samples: %v, %v", r.Function, c, err)
		}
	}
	quantiles := func(from time.Duration) *Read { return read("quantile_over_time", day, from, 55*day, day) }
	refused(quantiles(10*day), "raw samples up to 1970-02-20T00:00:00.000Z have expired; the 1h rollup cannot answer quantile_over_time")
	refused(read(AllSamples, day, 10*day, 0, 0), "raw samples up to 1970-02-20T00:00:00.000Z have expired; the 1h rollup cannot answer a range selector")
	f(quantiles(52*day), Auto, block.Raw, false)
	modified := narrow(10 * day)
	modified.Modified = true
	refused(modified, "raw samples up to 1970-02-20T00:00:00.000Z have expired; the 1h rollup cannot answer rate")

	// Samples of some series may stand in for minutes; where they do for all series,
	// nothing has expired.
	if c, err := Choose(quantiles(40*day), Auto, v); err != nil || c.Tier != block.Minute || !c.Check {
		t.Errorf("samples that may be there: %+v, %v", c, err)
	}
	minutes := &v.Tiers[0]
	minutes.Covered.Min = (51 * day).Milliseconds() + 1
	f(quantiles(40*day), Auto, block.Raw, false)
	f(narrow(40*day), Auto, block.Minute, false)
	f(narrow(10*day), Auto, block.Hour, true)
	minutes.Covered = model.TimeRange{}
	f(narrow(40*day), Auto, block.Raw, false)
	if tr := narrow(40 * day).Range(); v.HasExpired(tr) {
		t.Errorf("samples in %v have expired", tr)
	}
	if tr := narrow(10 * day).Range(); !v.HasExpired(tr) {
		t.Errorf("samples in %v have not expired", tr)
	}
}
