package reqbody

import (
	"cmp"
	"slices"
	"time"
)

// Grace is the maximum time for which a body may stall, and for which it may stay
// below the minimum rate from its start.
const Grace = 30 * time.Second

// yieldLag is the minimum difference in due time for one body to yield to another:
// a shorter pause does not indicate a slow link.
const yieldLag = time.Second

// pace computes due times from the minimum rate. The due time of a body is when it
// is ended unless more bytes arrive. It starts at Grace from now. Every byte
// advances it by the time that the byte takes at the minimum rate, but never
// beyond Grace from now, so that bytes received fast do not allow a longer stall
// later. A body that stays above the rate is never due; one that stays below it
// eventually is.
type pace struct {
	minRate int64 // bytes a second; 0 = every byte resets the due time to Grace from now
}

// begin returns the due time of a body that starts now.
func (p pace) begin(now time.Time) time.Time { return now.Add(Grace) }

// after returns the due time of a body after n more bytes have arrived.
func (p pace) after(due, now time.Time, n int) time.Time {
	latest := now.Add(Grace)
	if n == 0 {
		return due
	}
	if p.minRate == 0 || int64(n)/p.minRate >= int64(Grace/time.Second) {
		return latest
	}
	// No overflow: n is less than minRate for every second of Grace.
	seconds, rest := int64(n)/p.minRate, int64(n)%p.minRate
	earned := due.Add(time.Duration(seconds)*time.Second + time.Duration(float64(rest)/float64(p.minRate)*float64(time.Second)))
	if earned.After(latest) {
		return latest
	}
	return earned
}

// progress is the state of a body on which the choice of yielding bodies depends.
type progress struct {
	due  time.Time
	held int64 // bytes
}

// chooseYielding returns the indexes of the unfinished bodies that yield to free
// need bytes. Candidates are due more than yieldLag before rival; those due
// earliest are chosen, as many as necessary. If all of them hold less than need,
// all yield, which shortens the wait for the rest.
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
