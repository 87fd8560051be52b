package rollup

import (
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// Reason is why a day of a tier is not as its samples are. It is a word of the API.
type Reason string

// The reasons.
const (
	NotRolledUp  Reason = "not_rolled_up" // it has samples and no entry
	NewerSamples Reason = "newer_samples" // they came since it was rolled up
	Deletion     Reason = "deletion"      // it is not applied to the rows yet
	LostSamples  Reason = "lost_samples"  // some could not be read, or a deletion cut a bucket after they had expired
	Unreadable   Reason = "unreadable"    // the block with its rows is quarantined
)

// WaitingDay is a day of a tier that is not as its samples are.
type WaitingDay struct {
	Tier    block.Tier
	Day     int64 // start
	Reasons []Reason
	// SinceMs is the wall time of the edit that brought the oldest of the newer samples, 0
	// if they are none of blocks.
	SinceMs int64
	// NextMs is the wall time from which on the day is rolled up, 0 if it is not: its samples
	// have left, or cannot be read. Merges of the day may bring it forward.
	NextMs int64
}

// Waiting returns the days of configured tiers that are not as their samples are, the
// newest first, of a day the finest tier first. The running day is not among them before
// it has an entry. It takes the options of the planner; Force is ignored.
func Waiting(st *manifest.State, o PlanOptions) []WaitingDay {
	o.Force = false
	p := newPlanner(st, o)
	later := p.unmerged()
	var all []WaitingDay
	for _, d := range p.days {
		for _, t := range block.Rollups {
			if w, ok := p.waits(d, t, later[d.start]); ok {
				all = append(all, w)
			}
		}
	}
	return all
}

// unmerged returns the L0s and L1s of each day.
func (p *planner) unmerged() map[int64][]manifest.Listed {
	of := map[int64][]manifest.Listed{}
	for _, b := range p.st.Blocks {
		if b.Tier != block.Raw || b.Level == block.L2 {
			continue
		}
		for day := block.Raw.PartitionRange(b.MinTime); day.Min <= b.MaxTime; day = block.Raw.PartitionRange(day.Max) {
			of[day.Min] = append(of[day.Min], b)
		}
	}
	return of
}

// waits returns how a tier of a day is not as its samples are, false if it is. later are
// the L0s and L1s of the day.
func (p *planner) waits(d *day, t block.Tier, later []manifest.Listed) (w WaitingDay, ok bool) {
	if !p.configured(t) || d.start < p.st.TierFloor(t) {
		return w, false
	}
	w = WaitingDay{Tier: t, Day: d.start}
	c := d.entry(t)
	if d.start >= p.st.Floor {
		for _, b := range slices.Concat(d.l2, later) {
			if c == nil || !c.Clean(b.Info) {
				if since := b.OldestMs; w.SinceMs == 0 || since < w.SinceMs {
					w.SinceMs = since
				}
			}
		}
	}
	switch {
	case c == nil && (w.SinceMs == 0 || d.span().Max > p.o.NowMs):
		return w, false
	case c == nil:
		w.Reasons = append(w.Reasons, NotRolledUp)
	case w.SinceMs != 0:
		w.Reasons = append(w.Reasons, NewerSamples)
	}
	if c != nil {
		if p.deletion(d, c) == deleted {
			w.Reasons = append(w.Reasons, Deletion)
		}
		if len(c.Lost) > 0 {
			w.Reasons = append(w.Reasons, LostSamples)
		}
		if c.Block != "" && p.quarantined(c.Block) {
			w.Reasons = append(w.Reasons, Unreadable)
		}
	}
	if len(w.Reasons) == 0 {
		return w, false
	}
	switch {
	case p.rollable(d, t):
		w.NextMs = p.dueMs(d)
	case len(later) > 0 && w.SinceMs != 0: // once they are merged
		w.NextMs = max(model.AddTime(w.SinceMs, waitMs), d.span().Max)
	case slices.Contains(w.Reasons, Deletion):
		w.NextMs = p.o.NowMs // the rows are erased
	}
	return w, true
}

// dueMs returns the time from which on the day may be rolled up.
func (p *planner) dueMs(d *day) int64 {
	if p.due(d) {
		return p.o.NowMs
	}
	oldest := d.l2[0].OldestMs
	for _, b := range d.l2 {
		oldest = min(oldest, b.OldestMs)
	}
	return max(model.AddTime(oldest, waitMs), d.span().Max)
}
