package tiers

import (
	"fmt"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// ExpiredError is the error of a read of expired samples in the place of which buckets
// cannot answer.
type ExpiredError struct {
	RawFloor int64 // samples before it have expired
	Tier     block.Tier
	Function string // as in Read
}

func (e *ExpiredError) Error() string {
	what := e.Function
	if what == "" {
		what = "this selector"
	}
	return fmt.Sprintf("raw samples up to %s have expired; the %s rollup cannot answer %s", model.FormatTime(e.RawFloor-1), e.Tier, what)
}

// HasExpired reports whether rollups hold samples of a range that have expired.
func (v *View) HasExpired(tr model.TimeRange) bool { return len(v.expired(tr)) > 0 }

// expired returns the tiers that have buckets of the expired samples of a range, finest
// first.
func (v *View) expired(tr model.TimeRange) []Available {
	tr.Max = min(tr.Max, v.RawFloor)
	var old []Available
	for _, a := range v.Tiers {
		if a.Covered.Overlaps(tr) {
			old = append(old, a)
		}
	}
	return old
}

// chooseExpired is Choose for a read of expired samples, of which the tiers old have
// buckets. Of those that reach back as far as any, it takes the coarsest whose buckets
// are not cut, and otherwise the finest: its borders are the closest to those of the
// windows.
func chooseExpired(r *Read, res Resolution, v *View, old []Available) (Choice, error) {
	fn, answers := functionOf(r.Function)
	if !answers || r.Modified {
		return Choice{}, &ExpiredError{v.RawFloor, old[0].Tier, r.Function}
	}
	if only, forced := res.Tier(); forced {
		for _, a := range old {
			if a.Tier == only {
				return Choice{Tier: only, Function: fn, Expired: true}, nil
			}
		}
	}
	first := old[0].Covered.Min
	for _, a := range old {
		first = min(first, a.Covered.Min)
	}
	first = max(first, r.Range().Min)
	c := Choice{Function: fn, Expired: true}
	for i := len(old) - 1; i >= 0; i-- {
		a := old[i]
		if a.Covered.Min > first {
			c.Refused = append(c.Refused, Refusal{a.Tier, Uncovered, "another rollup reaches further back, and samples have expired"})
			continue
		}
		c.Tier = a.Tier
		e := estimate(r, fn, a)
		if e.cut == 0 && (r.Function == "" || r.Width >= a.Tier.Ms()) {
			c.MayFail = e.mayFail
			break
		}
		c.MayFail = e.cut + e.mayFail
		c.Refused = append(c.Refused, Refusal{a.Tier, Cut, fmt.Sprintf("%d of %d borders of windows cut a bucket of %s, and samples have expired", e.cut, e.borders, a.Tier)})
	}
	if n := len(c.Refused); n > 0 && c.Refused[n-1].Tier == c.Tier {
		c.Refused = c.Refused[:n-1]
	}
	return c, nil
}
