package tiers

import (
	"fmt"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/rollup/bucket"
)

// ExpiredError is the error of a read of expired samples in the place of which buckets
// cannot answer.
type ExpiredError struct {
	RawFloor int64 // samples before it have expired
	Tier     block.Tier
	Function string // as in Read
	Reason   string // for people; "" = no buckets can answer it
}

func (e *ExpiredError) Error() string {
	what := e.Function
	if what == "" {
		what = "this selector"
	}
	text := fmt.Sprintf("raw samples up to %s have expired; the %s rollup cannot answer %s", model.FormatTime(e.RawFloor-1), e.Tier, what)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// HasExpired reports whether there may be buckets of samples in a range that have
// expired.
func (v *View) HasExpired(tr model.TimeRange) bool {
	old := v.expired(tr)
	return len(old) > 0 && old[0].Covered.Overlaps(v.ExpiredPart(tr))
}

// ExpiredPart returns the part of a range whose samples have expired, unless they stand
// in for buckets.
func (v *View) ExpiredPart(tr model.TimeRange) model.TimeRange {
	tr.Max = min(tr.Max, v.RawFloor)
	return tr
}

// expired returns the tiers that have the expired samples of a range, as far back as any
// tier, finest first.
func (v *View) expired(tr model.TimeRange) []Available {
	old := v.ExpiredPart(tr)
	first := old.Max
	for _, a := range v.Tiers {
		if a.Kept.Overlaps(old) {
			first = min(first, max(a.Kept.Min, old.Min))
		}
	}
	var reaching []Available
	for _, a := range v.Tiers {
		if a.Kept.Overlaps(old) && a.Kept.Min <= first {
			reaching = append(reaching, a)
		}
	}
	return reaching
}

// chooseExpired is Choose for a read of samples that have expired, all of which the
// tiers old have. It takes the coarsest whose buckets are not cut, and otherwise the
// finest: its borders are the closest to those of the windows.
func chooseExpired(r *Read, res Resolution, v *View, old []Available) (Choice, error) {
	fn, answers := functionOf(r.Function)
	finest := old[0]
	switch {
	case !v.HasExpired(r.Range()):
		return choose(r, res, v.Tiers), nil // samples stand in for all series
	case answers && !r.Modified:
	case finest.Tier < block.Hour:
		return Choice{Tier: finest.Tier, Check: true}, nil
	default:
		return Choice{}, Expired(r, v, finest.Tier)
	}
	c := Choice{Function: fn, Expired: true}
	if only, forced := res.Tier(); forced {
		for _, a := range old {
			if a.Tier == only {
				c.Tier = only
				return c, nil
			}
		}
	}
	for i := len(old) - 1; i >= 0; i-- {
		a := old[i]
		e := estimate(r, fn, a)
		c.Tier, c.MayFail = a.Tier, e.cut+e.mayFail
		if i == 0 || e.cut == 0 && (fn == bucket.Instant || r.Width >= a.Tier.Ms()) {
			break
		}
		c.Refused = append(c.Refused, Refusal{a.Tier, Cut, fmt.Sprintf("%d of %d borders of windows cut a bucket of %s, and samples have expired", e.cut, e.borders, a.Tier)})
	}
	return c, nil
}

// Expired returns the error of a read in the place of whose samples, which have
// expired, buckets of a tier cannot answer.
func Expired(r *Read, v *View, tier block.Tier) error {
	return &ExpiredError{RawFloor: v.RawFloor, Tier: tier, Function: r.Function}
}
