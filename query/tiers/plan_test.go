package tiers

import (
	"math"
	"testing"
	"time"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/query/steps"
)

// read returns the read of a function's windows at the times from start to end.
func read(function string, width, start, end, step time.Duration) *Read {
	g := steps.Grid{Start: start.Milliseconds(), Step: 1, N: 1, Instant: true}
	if step > 0 {
		g = steps.New(start.Milliseconds(), end.Milliseconds(), step.Milliseconds())
	}
	return &Read{Function: function, Grid: g, Width: width.Milliseconds()}
}

const day = 24 * time.Hour

func covered(t block.Tier, from, to time.Duration) Available {
	days := []model.TimeRange{{Min: from.Milliseconds() + 1, Max: to.Milliseconds() + 1}}
	return Available{t, days, days}
}

// view has both rollups for 60 days, and all samples.
var view = &View{RawFloor: math.MinInt64, Tiers: []Available{covered(block.Minute, 0, 60*day), covered(block.Hour, 0, 60*day)}}

// The coarsest tier is taken whose buckets the windows do not cut, or so seldom that
// samples would cost more.
func TestCoarsestTierThatIsCheaperIsTaken(t *testing.T) {
	f := func(r *Read, want block.Tier, why ...Reason) {
		t.Helper()
		c, err := Choose(r, Auto, view)
		if err != nil {
			t.Fatal(err)
		}
		var reasons []Reason
		for _, x := range c.Slices[len(c.Slices)-1].Refused {
			reasons = append(reasons, x.Reason)
		}
		same := len(reasons) == len(why)
		for i := 0; same && i < len(why); i++ {
			same = reasons[i] == why[i]
		}
		if c.Tier() != want || !same {
			t.Errorf("%s over %v from %v by %d: tier %v, refused %v, want %v, %v", r.Function, time.Duration(r.Width)*time.Millisecond,
				time.Duration(r.Grid.Start)*time.Millisecond, r.Grid.Step, c.Tier(), c.Slices, want, why)
		}
	}
	odd := 40*day + 7*time.Hour + 13*time.Minute + 11*time.Second
	f(read("increase", 30*day, odd, 0, 0), block.Hour)
	f(read("increase", 30*day, 40*day, 0, 0), block.Hour)
	f(read("rate", 5*time.Minute, 40*day, 41*day, 15*time.Second), block.Raw, Narrow, Cut)
	f(read("rate", 5*time.Minute, 30*day, 40*day, time.Minute), block.Minute, Narrow)
	f(read("rate", 5*time.Minute, 10*day, 40*day, time.Hour), block.Minute, Narrow)
	f(read("rate", time.Hour, 10*day, 40*day, time.Hour), block.Hour)
	f(read("rate", time.Hour+15*time.Second, 10*day, 40*day, time.Hour), block.Hour) // $__rate_interval
	f(read("rate", time.Hour+5*time.Minute, 10*day, 40*day, time.Hour), block.Hour)  // the same of scrapes every 5 minutes
	f(read("rate", time.Hour+20*time.Minute, 10*day, 40*day, time.Hour), block.Minute, Cut)
	f(read("rate", 75*time.Second, 10*day, 11*day, time.Minute), block.Minute, Narrow)
	f(read("sum_over_time", 2*time.Hour, 10*day, 40*day, 30*time.Minute), block.Minute, Cut)
	f(read("sum_over_time", 2*time.Hour, 10*day+time.Second, 40*day, 30*time.Minute), block.Raw, Cut, Cut)
	f(read("", 5*time.Minute, 10*day, 40*day, time.Hour), block.Hour)
	f(read("", 5*time.Minute, 10*day, 40*day, time.Minute), block.Minute, Cut)
	f(read("", 5*time.Minute, odd, 0, 0), block.Raw, Cut, Cut)
	f(read("quantile_over_time", day, 10*day, 40*day, day), block.Raw, Function, Function)
	f(read("rate", time.Hour, 70*day, 80*day, time.Hour), block.Raw, Uncovered, Uncovered)
	f(read("max_over_time", time.Hour, odd, 0, 0), block.Raw, Cut, Cut)

	// An offset moves the windows, an @ fixes them.
	r := read("rate", time.Hour, 10*day, 40*day, time.Hour)
	r.Moment = steps.MomentOf(nil, 10*time.Minute)
	f(r, block.Minute, Cut)
	at := (30 * day).Milliseconds()
	r = read("rate", 10*day, odd, odd+day, 15*time.Second)
	r.Moment = steps.MomentOf(&at, 0)
	f(r, block.Hour)
	r.Modified = true
	f(r, block.Raw, Function, Function)
}

func TestResolutionForcesATier(t *testing.T) {
	f := func(r *Read, res Resolution, want block.Tier) {
		t.Helper()
		if c, err := Choose(r, res, view); err != nil || c.Tier() != want {
			t.Errorf("%s at %v: tier %v, refused %v", r.Function, res, c.Tier(), c.Slices)
		}
	}
	hourly := read("rate", time.Hour, 10*day, 40*day, time.Hour)
	f(hourly, Raw, block.Raw)
	f(hourly, Only(block.Minute), block.Minute)
	f(hourly, Only(block.HalfHour), block.Raw) // there is none
	odd := read("rate", time.Hour, 10*day+time.Second, 10*day+time.Hour, 15*time.Second)
	f(odd, Auto, block.Raw)
	f(odd, Only(block.Hour), block.Hour)
	f(read("deriv", time.Hour, 10*day, 40*day, time.Hour), Only(block.Hour), block.Raw)
	f(read("rate", time.Minute, 10*day, 40*day, time.Hour), Only(block.Hour), block.Hour)
}

func TestResolutionsHaveNames(t *testing.T) {
	for _, r := range []Resolution{Auto, Raw, Only(block.Minute), Only(block.Hour)} {
		if got, err := ParseResolution(r.String()); err != nil || got != r {
			t.Errorf("%v is parsed as %v, %v", r, got, err)
		}
	}
	if r, err := ParseResolution(""); err != nil || r != Auto {
		t.Errorf("no name is %v, %v", r, err)
	}
	for _, name := range []string{"2h", "60m", "AUTO", "1h "} {
		if _, err := ParseResolution(name); err == nil {
			t.Errorf("%q is a resolution", name)
		}
	}
}

func TestCutsCountsBordersInsideBuckets(t *testing.T) {
	f := func(first, step int64, n int, hope int64, wantCut, wantHoped int) {
		t.Helper()
		if cut, hoped := cuts(first, step, n, 60_000, hope); cut != wantCut || hoped != wantHoped {
			t.Errorf("cuts(%d, %d, %d, hope %d) = %d, %d, want %d, %d", first, step, n, hope, cut, hoped, wantCut, wantHoped)
		}
	}
	f(0, 60_000, 10, 0, 0, 0)
	f(1, 60_000, 10, 0, 10, 0)
	f(-1, 60_000, 10, 0, 10, 0)
	f(-1, 120_000, 10, 1, 0, 10)
	f(45_000, 60_000, 10, 15_000, 0, 10)
	f(45_000, 60_000, 10, 14_999, 10, 0)
	f(0, 15_000, 8, 15_000, 4, 2)
	f(0, 30_000, 100_000, 0, 50_000, 0)
}
