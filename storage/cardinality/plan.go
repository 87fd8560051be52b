package cardinality

import (
	"cmp"
	"slices"
	"time"
)

// The paces of counting.
const (
	agedAfter  = 6 * time.Hour   // a day whose data has changed is counted again
	runningMin = 5 * time.Minute // so is the running day, at the earliest
	runningOf  = 50              // and it takes this part of the time
)

// State is what there is now of a day.
type State struct {
	Day      int64
	Basis    uint64 // hash of what determines its counts
	Deletion uint64 // the highest ID of the deletions that touch it or the day before; 0 = none
	Moving   bool   // it, or the day before, has samples in memory
	Empty    bool   // it has no samples and no buckets
	Expired  bool   // what it had has left by retention
}

type urgency int

const (
	none urgency = iota
	aged         // counted long ago, changed since
	due          // counted never, or of something else
)

// Next returns the day to count next: one that is due before one that is aged, the newer
// one first. kept are sorted by day, states are in any order. took is how long the last
// count of the running day took.
func Next(kept []Info, states []State, today int64, now time.Time, took time.Duration) (day int64, ok bool) {
	best := none
	for _, s := range states {
		if s.Day > today || s.Day <= today-MaxDays {
			continue
		}
		if u := urgencyOf(kept, s, today, now, took); u > best || u == best && u > none && s.Day > day {
			best, day = u, s.Day
		}
	}
	return day, best > none
}

func urgencyOf(kept []Info, s State, today int64, now time.Time, took time.Duration) urgency {
	i, counted := slices.BinarySearchFunc(kept, s.Day, func(k Info, day int64) int { return cmp.Compare(k.Day, day) })
	if !counted {
		if s.Empty {
			return none
		}
		return due
	}
	k := kept[i]
	age := now.Sub(time.Unix(k.Counted, 0))
	switch {
	case s.Empty && s.Expired:
		return none
	case s.Deletion > k.Deletion, age < 0, k.Running && s.Day < today:
		return due
	case s.Day == today:
		if (s.Moving || s.Basis != k.Basis) && age >= min(max(runningOf*took, runningMin), agedAfter) {
			return due
		}
	case (s.Moving || s.Basis != k.Basis) && age >= agedAfter:
		return aged
	}
	return none
}

// Waiting returns the number of days that were never counted, and are to be.
func Waiting(kept []Info, states []State, today int64) (days int64) {
	for _, s := range states {
		_, counted := slices.BinarySearchFunc(kept, s.Day, func(k Info, day int64) int { return cmp.Compare(k.Day, day) })
		if !counted && !s.Empty && s.Day <= today && s.Day > today-MaxDays {
			days++
		}
	}
	return days
}
