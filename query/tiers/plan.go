package tiers

import (
	"fmt"
	"time"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/query/steps"
	"tsdb/rollup/bucket"
)

// Read is what a selector reads: the windows (m - Width, m] of a function, where m is
// the moment of each step.
type Read struct {
	Function string // name of the range function; "" = the last sample: an instant selector
	Grid     steps.Grid
	Moment   steps.Moment
	Width    int64 // milliseconds
	Modified bool  // smoothed or anchored: samples outside of the windows matter
}

// Range returns the range of all windows, half-open. It is empty for a grid without
// steps.
func (r *Read) Range() model.TimeRange {
	if r.Grid.N == 0 {
		return model.TimeRange{}
	}
	first, last := steps.ClampTime(r.Moment.Resolve(r.Grid.Start)), steps.ClampTime(r.Moment.Resolve(r.Grid.Last()))
	return model.TimeRange{Min: steps.ClampTime(first - r.Width + 1), Max: last + 1}
}

// Available is a tier that a view can read.
type Available struct {
	Tier block.Tier
	// Covered is the range from the first to the last day with buckets. There may be
	// gaps, which are read as samples.
	Covered model.TimeRange
	// Kept is Covered with the days for which samples stand in. These stay as long as
	// the tier, so that it has all series of its days, as buckets or as samples.
	Kept model.TimeRange
}

// View is what a view of the database can read.
type View struct {
	Tiers    []Available // finest first
	RawFloor int64       // samples before it have expired, Unix milliseconds
}

// Choice is the tier that a Read takes.
type Choice struct {
	Tier     block.Tier
	Function bucket.Function // that answers from buckets, if Tier is not Raw
	// Expired tells that the read begins before the view's RawFloor. What a bucket
	// cannot tell cannot be read as samples there.
	Expired bool
	// Check tells that Tier must be asked whether samples stand in for its buckets
	// before the RawFloor. They are read instead, and the read is refused if they do
	// not: see ExpiredError.
	Check   bool
	Refused []Refusal // coarser tiers, the coarsest first
	// MayFail is the number of borders that cut a bucket where that may suffice: the
	// buckets decide.
	MayFail int
}

// Refusal is a tier that was not taken.
type Refusal struct {
	Tier   block.Tier
	Reason Reason
	Text   string // for people
}

// Reason is why a tier was not taken. It is a word of the API.
type Reason string

// The reasons.
const (
	Forced    Reason = "resolution"  // the query is to read another tier
	Function  Reason = "function"    // it needs all samples
	Uncovered Reason = "not_covered" // the tier has nothing of the range
	StandIn   Reason = "stand_in"    // samples take fewer bytes than the tier's buckets would
	Narrow    Reason = "window"      // no bucket fits into a window
	Cut       Reason = "alignment"   // the windows cut many buckets, and reading samples is cheaper
	Cheap     Reason = "cost"        // samples are as cheap: the range is short
	Engine    Reason = "engine"      // the query runs on Prometheus' engine
)

// Choose returns the tier of a read. The error is an ExpiredError.
func Choose(r *Read, res Resolution, v *View) (Choice, error) {
	if only, forced := res.Tier(); !forced || only != block.Raw {
		if old := v.expired(r.Range()); len(old) > 0 {
			return chooseExpired(r, res, v, old)
		}
	}
	return choose(r, res, v.Tiers), nil
}

// choose is Choose for a read whose samples have not expired.
func choose(r *Read, res Resolution, available []Available) Choice {
	c := Choice{Tier: block.Raw}
	for i := len(available) - 1; i >= 0; i-- {
		a := available[i]
		refusal, mayFail := refuse(r, res, a)
		if refusal.Reason == "" {
			c.Tier, c.MayFail = a.Tier, mayFail
			c.Function, _ = functionOf(r.Function)
			return c
		}
		refusal.Tier = a.Tier
		c.Refused = append(c.Refused, refusal)
	}
	return c
}

// refuse returns why a read does not take a tier; its reason is "" if it does. mayFail
// is as in Choice.
func refuse(r *Read, res Resolution, a Available) (refusal Refusal, mayFail int) {
	no := func(why Reason, format string, args ...any) (Refusal, int) {
		return Refusal{Reason: why, Text: fmt.Sprintf(format, args...)}, 0
	}
	resolution := a.Tier.Ms()
	only, forced := res.Tier()
	fn, answers := functionOf(r.Function)
	switch {
	case forced && only != a.Tier:
		return no(Forced, "the query reads %s only", only)
	case r.Modified:
		return no(Function, "smoothed and anchored selectors read samples outside of the window")
	case !answers:
		return no(Function, "%s needs every sample", r.Function)
	case !forced && r.Function != "" && r.Width < resolution:
		return no(Narrow, "a window of %s has no room for a bucket of %s", text(r.Width), a.Tier)
	case !r.Range().Overlaps(a.Covered) && r.Range().Overlaps(a.Kept):
		return no(StandIn, "there are so few samples that they stand in for buckets")
	case !r.Range().Overlaps(a.Covered):
		return no(Uncovered, "no rollup covers the range")
	}
	e := estimate(r, fn, a)
	switch {
	case forced || e.tier < e.raw:
		return Refusal{}, e.mayFail
	case e.cut > 0:
		return no(Cut, "%d of %d borders of windows cut a bucket of %s", e.cut, e.borders, a.Tier)
	default:
		return no(Cheap, "samples take as little to read")
	}
}

// text returns a duration in milliseconds as PromQL writes it, roughly.
func text(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }
