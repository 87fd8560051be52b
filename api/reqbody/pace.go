package reqbody

import (
	"cmp"
	"slices"
	"time"
)

// Grace is how long a body may stall, and how long one may stay below the
// minimum rate from its beginning.
const Grace = 30 * time.Second

// yieldLag is how far a body has to be behind another one to yield to it: a
// pause of this length is no sign of a slow link.
const yieldLag = time.Second

// pace is the minimum rate of bodies. A body has a due time, until which it may
// go on without another byte. It begins at Grace and moves on with every byte by
// the time that the byte takes at the minimum rate, but never beyond Grace from
// now, so bytes that came fast allow no longer stall later. What stays above
// the rate is never due, what stays below it is sooner or later.
type pace struct {
	minRate int64 // bytes a second; 0 = every byte is worth the whole of Grace
}

// begin returns the due time of a body that begins now.
func (p pace) begin(now time.Time) time.Time { return now.Add(Grace) }

// after returns the due time of a body of which n bytes arrived now.
func (p pace) after(due, now time.Time, n int) time.Time {
	latest := now.Add(Grace)
	if n == 0 {
		return due
	}
	if p.minRate == 0 || int64(n)/p.minRate >= int64(Grace/time.Second) {
		return latest
	}
	// No overflow: n is less than minRate for every second of Grace.
	whole, part := int64(n)/p.minRate, int64(n)%p.minRate
	earned := due.Add(time.Duration(whole)*time.Second + time.Duration(float64(part)/float64(p.minRate)*float64(time.Second)))
	if earned.After(latest) {
		return latest
	}
	return earned
}

// progress is what the choice of bodies that yield looks at.
type progress struct {
	due  time.Time
	held int64 // bytes
}

// chooseYielding returns the indexes of the unfinished bodies that yield so
// that need bytes come free: those that are due first, as many as it takes, of
// those that are at least yieldLag behind a body due at rival. If they do not
// hold as much, all of them yield: what they free shortens the wait for the
// rest.
func chooseYielding(bodies []progress, need int64, rival time.Time) []int {
	var behind []int
	for i, b := range bodies {
		if b.held > 0 && b.due.Add(yieldLag).Before(rival) {
			behind = append(behind, i)
		}
	}
	slices.SortStableFunc(behind, func(i, j int) int {
		return cmp.Or(bodies[i].due.Compare(bodies[j].due), cmp.Compare(bodies[j].held, bodies[i].held))
	})
	for n, i := range behind {
		if need <= 0 {
			return behind[:n]
		}
		need -= bodies[i].held
	}
	return behind
}
