package tiers

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
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
	// Covered are the days with buckets, joined and in ascending order.
	Covered []model.TimeRange
	// Kept is Covered with the days for which samples stand in. These stay as long as
	// the tier, so that it has all series of its days, as buckets or as samples.
	Kept []model.TimeRange
}

// View is what a view of the database can read.
type View struct {
	Tiers    []Available // finest first
	RawFloor int64       // samples before it have expired, Unix milliseconds
	// Split are times at which by retention rules some series are in one of the tiers only
	// and some in another only, in no order.
	Split []model.TimeRange
}

// Choice is how a Read is answered: the tier of each of its slices.
type Choice struct {
	Slices   []Slice         // by time; together they are the range of the Read
	Function bucket.Function // that answers from buckets, if Tier is not Raw
	// Check means that the tiers must be asked whether samples stand in for their
	// buckets. They are read instead, and the read is refused if they do not: see
	// ExpiredError.
	Check bool
}

// Slice is a part of the range of a Read: days of which the same tiers are there, or
// those of several such parts that are read from the same tier for the same reasons.
type Slice struct {
	Times model.TimeRange
	Tier  block.Tier
	// Expired means that samples have expired. Questions that buckets do not answer
	// cannot fall back to samples.
	Expired bool
	Refused []Refusal // coarser tiers, the coarsest first
	// MayFail is the number of borders that cut a bucket where that may suffice: the
	// buckets decide.
	MayFail int
}

// Tier returns the coarsest tier that is read.
func (c *Choice) Tier() block.Tier {
	t := block.Raw
	for i := range c.Slices {
		t = max(t, c.Slices[i].Tier)
	}
	return t
}

// Resolution returns the resolution of the buckets at a time, in milliseconds; 0 = samples.
func (c *Choice) Resolution(t int64) int64 {
	i := sort.Search(len(c.Slices), func(i int) bool { return c.Slices[i].Times.Max > t })
	if i == len(c.Slices) || c.Slices[i].Tier == block.Raw {
		return 0
	}
	return c.Slices[i].Tier.Ms()
}

// Cut returns the times of the buckets that the windows of a read cut, joined and in
// ascending order.
func (c *Choice) Cut(r *Read) []model.TimeRange {
	first, step := r.Moment.Ends(r.Grid)
	n := r.Grid.N
	if step == 0 {
		n = min(n, 1)
	}
	var cut []model.TimeRange
	add := func(border, inside int64) { // inside is a time in the part of the bucket that is inside
		resolution := c.Resolution(inside)
		if resolution == 0 {
			return
		}
		if end := bucket.EndOf(border, resolution); end != border {
			cut = append(cut, model.TimeRange{Min: end - resolution + 1, Max: end + 1})
		}
	}
	for i := range n {
		s := first + int64(i)*step
		if add(s, s); c.Function.LeftEdge() {
			add(s-r.Width, s-r.Width+1)
		}
	}
	slices.SortFunc(cut, func(a, b model.TimeRange) int { return cmp.Compare(a.Min, b.Min) })
	joined := cut[:0]
	for _, b := range cut {
		if k := len(joined); k > 0 && b.Min <= joined[k-1].Max {
			joined[k-1].Max = max(joined[k-1].Max, b.Max)
			continue
		}
		joined = append(joined, b)
	}
	return joined
}

// Refusal is a tier that was not taken.
type Refusal struct {
	Tier   block.Tier
	Reason Reason
	Text   string // for people

	cut, borders int // of windows, if the reason is Cut
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

// Choose returns the tiers of a read. The error is an ExpiredError.
func Choose(r *Read, res Resolution, v *View) (Choice, error) {
	fn, answers := functionOf(r.Function)
	c := Choice{Function: fn}
	only, forced := res.Tier()
	for _, part := range v.parts(r.Range()) {
		old := v.expired(part)
		switch {
		case len(old) == 0 || forced && only == block.Raw:
			c.add(choose(r, res, v.Tiers, part))
		case answers && !r.Modified:
			c.add(chooseExpired(r, res, old, part))
		case old[0].Tier < block.Hour:
			c.Check = true
			c.add(Slice{Times: part, Tier: old[0].Tier, Expired: true})
		default:
			return Choice{}, Expired(r, v, old[0].Tier, part.Min)
		}
	}
	return c, nil
}

// parts divides a range, so that each part has the same tiers everywhere.
func (v *View) parts(tr model.TimeRange) []model.TimeRange {
	var borders []int64
	add := func(t int64) {
		if tr.Min < t && t < tr.Max {
			borders = append(borders, t)
		}
	}
	add(v.RawFloor)
	for i := range v.Tiers {
		for _, days := range [][]model.TimeRange{v.Tiers[i].Covered, v.Tiers[i].Kept} {
			for _, d := range days {
				add(d.Min)
				add(d.Max)
			}
		}
	}
	slices.Sort(borders)
	var parts []model.TimeRange
	for _, t := range slices.Compact(borders) {
		parts = append(parts, model.TimeRange{Min: tr.Min, Max: t})
		tr.Min = t
	}
	return append(parts, tr)
}

// add adds a slice to the end. It is joined with the last one if it is read in the same
// way for the same reasons.
func (c *Choice) add(s Slice) {
	if len(c.Slices) == 0 {
		c.Slices = append(c.Slices, s)
		return
	}
	last := &c.Slices[len(c.Slices)-1]
	same := func(a, b Refusal) bool { return a.Tier == b.Tier && a.Reason == b.Reason }
	if last.Tier != s.Tier || last.Expired != s.Expired || !slices.EqualFunc(last.Refused, s.Refused, same) {
		c.Slices = append(c.Slices, s)
		return
	}
	last.Times.Max = s.Times.Max
	last.MayFail += s.MayFail
	for i := range last.Refused {
		if f := &last.Refused[i]; f.Reason == Cut {
			*f = cutting(f.Tier, f.cut+s.Refused[i].cut, f.borders+s.Refused[i].borders, s.Expired)
		}
	}
}

// cutting returns the refusal of a tier whose buckets windows cut.
func cutting(t block.Tier, cut, borders int, expired bool) Refusal {
	text := fmt.Sprintf("%d of %d borders of windows cut a bucket of %s", cut, borders, t)
	if expired {
		text += ", and samples have expired"
	}
	return Refusal{Tier: t, Reason: Cut, Text: text, cut: cut, borders: borders}
}

// choose returns the slice of a part of a read whose samples have not expired.
func choose(r *Read, res Resolution, available []Available, part model.TimeRange) Slice {
	s := Slice{Times: part, Tier: block.Raw}
	for i := len(available) - 1; i >= 0; i-- {
		a := &available[i]
		refusal, mayFail := refuse(r, res, a, part)
		if refusal.Reason == "" {
			s.Tier, s.MayFail = a.Tier, mayFail
			return s
		}
		refusal.Tier = a.Tier
		s.Refused = append(s.Refused, refusal)
	}
	return s
}

// refuse returns why a part of a read does not take a tier; its reason is "" if it does.
// mayFail is as in Slice.
func refuse(r *Read, res Resolution, a *Available, part model.TimeRange) (refusal Refusal, mayFail int) {
	no := func(why Reason, format string, args ...any) (Refusal, int) {
		return Refusal{Reason: why, Text: fmt.Sprintf(format, args...)}, 0
	}
	only, forced := res.Tier()
	fn, answers := functionOf(r.Function)
	switch {
	case forced && only != a.Tier:
		return no(Forced, "the query reads %s only", only)
	case r.Modified:
		return no(Function, "smoothed and anchored selectors read samples outside of the window")
	case !answers:
		return no(Function, "%s needs every sample", r.Function)
	case !forced && r.Function != "" && r.Width < a.Tier.Ms():
		return no(Narrow, "a window of %s has no room for a bucket of %s", text(r.Width), a.Tier)
	case overlaps(a.Covered, part):
	case overlaps(a.Kept, part):
		return no(StandIn, "there are so few samples that they stand in for buckets")
	default:
		return no(Uncovered, "no rollup covers the range")
	}
	e := estimate(r, fn, a, part)
	switch {
	case forced || e.raw == 0 || e.tier < e.raw: // raw is 0 if no window is there
		return Refusal{}, e.mayFail
	case e.cut > 0:
		return cutting(a.Tier, e.cut, e.borders, false), 0
	default:
		return no(Cheap, "samples take as little to read")
	}
}

// text returns a duration in milliseconds as PromQL writes it, roughly.
func text(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }

// overlaps reports whether tr overlaps one of the sorted, disjoint ranges rs.
func overlaps(rs []model.TimeRange, tr model.TimeRange) bool {
	i := sort.Search(len(rs), func(i int) bool { return rs[i].Max > tr.Min })
	return i < len(rs) && rs[i].Overlaps(tr)
}
