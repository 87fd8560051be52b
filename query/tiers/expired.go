package tiers

import (
	"fmt"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/rollup/bucket"
)

// ExpiredError is the error of a read of expired samples in the place of which buckets
// cannot answer.
type ExpiredError struct {
	Until    int64 // samples before it have expired
	Tier     block.Tier
	Function string // as in Read
	Reason   string // for people; "" = no buckets can answer it
	// From is the first time of the query from which on its windows hold no expired samples,
	// so that this part of it can be answered, Unix milliseconds; 0 = there is none.
	From int64
}

func (e *ExpiredError) Error() string {
	what := e.Function
	if what == "" {
		what = "this selector"
	}
	text := fmt.Sprintf("raw samples up to %s have expired; the %s rollup cannot answer %s", model.FormatTime(e.Until-1), e.Tier, what)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	if e.From > 0 {
		text += "; the part from " + model.FormatTime(e.From) + " on can be answered: ask for it alone"
	}
	return text
}

// expired returns the tiers that have the samples of a part, which have expired, finest
// first: none if they have not, or if they stand in for the buckets of all series.
func (v *View) expired(part model.TimeRange) []Available {
	if part.Empty() || part.Min >= v.RawFloor {
		return nil
	}
	var old []Available
	for i := range v.Tiers {
		a := &v.Tiers[i]
		switch {
		case !overlaps(a.Kept, part):
		case len(old) == 0 && !overlaps(a.Covered, part):
			return nil
		default:
			old = append(old, *a)
		}
	}
	return old
}

// StandIn reports whether samples in a range that have expired may stand in for buckets
// of a tier finer than t.
func (v *View) StandIn(tr model.TimeRange, t block.Tier) bool {
	return slices.ContainsFunc(v.Tiers, func(a Available) bool { return a.Tier < t && overlaps(a.Kept, tr) })
}

// chooseExpired is choose for a part whose samples have expired, all of which the tiers
// old have. It takes the coarsest whose buckets are not cut, and otherwise the finest:
// its borders are the closest to those of the windows.
func chooseExpired(r *Read, res Resolution, old []Available, part model.TimeRange) Slice {
	fn, _ := functionOf(r.Function)
	s := Slice{Times: part, Expired: true}
	if only, forced := res.Tier(); forced {
		for _, a := range old {
			if a.Tier == only {
				s.Tier = only
				return s
			}
		}
	}
	for i := len(old) - 1; i >= 0; i-- {
		a := &old[i]
		e := estimate(r, fn, a, part)
		s.Tier, s.MayFail = a.Tier, e.cut+e.mayFail
		if i == 0 || e.cut == 0 && (fn == bucket.Instant || r.Width >= a.Tier.Ms()) {
			break
		}
		if e.cut == 0 {
			s.Refused = append(s.Refused, Refusal{Tier: a.Tier, Reason: Narrow, Text: fmt.Sprintf("a window of %s has no room for a bucket of %s", text(r.Width), a.Tier)})
			continue
		}
		s.Refused = append(s.Refused, cutting(a.Tier, e.cut, e.borders, true))
	}
	return s
}

// Expired returns the error of a read in the place of whose samples, which have expired
// at time t, buckets of a tier cannot answer.
func Expired(r *Read, v *View, tier block.Tier, t int64) error {
	return &ExpiredError{Until: v.ExpiredUntil(t), Tier: tier, Function: r.Function, From: r.FirstAfter(v.RawFloor)}
}

// FirstAfter returns the first time of the grid whose window begins at a time or later, 0
// if that is the first of all, or there is none.
func (r *Read) FirstAfter(t int64) int64 {
	first, step := r.Moment.Ends(r.Grid)
	begin := first - r.Width + 1 // of the first window
	if step <= 0 || begin >= t || r.Grid.N < 2 {
		return 0
	}
	i := (model.SubTime(t, begin) + step - 1) / step
	if i >= int64(r.Grid.N) {
		return 0
	}
	return r.Grid.At(int(i))
}

// ExpiredUntil returns the time up to which, exclusive, samples have expired that have
// at time t: the RawFloor, unless samples stand in for buckets below it.
func (v *View) ExpiredUntil(t int64) int64 {
	parts := v.parts(model.TimeRange{Min: t, Max: v.RawFloor})
	mayStandIn := v.StandIn(parts[0], block.Hour)
	for _, part := range parts[1:] {
		if v.StandIn(part, block.Hour) && (!mayStandIn || len(v.expired(part)) == 0) {
			return part.Min
		}
	}
	return v.RawFloor
}

// FirstExpired returns the first time of a range at which samples have expired, false if
// there is none.
func (v *View) FirstExpired(tr model.TimeRange) (int64, bool) {
	for _, part := range v.parts(tr) {
		if len(v.expired(part)) > 0 {
			return part.Min, true
		}
	}
	return 0, false
}

// FirstSplit returns the first time at which a choice reads a tier in the place of expired
// samples although some series are only in another one, false if there is none.
func (v *View) FirstSplit(c *Choice) (at int64, ok bool) {
	for i := range c.Slices {
		for _, tr := range v.Split {
			if tr = tr.Intersect(c.Slices[i].Times); c.Slices[i].Expired && !tr.Empty() && (!ok || tr.Min < at) {
				at, ok = tr.Min, true
			}
		}
	}
	return at, ok
}
