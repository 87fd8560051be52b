package rollup

import (
	"slices"

	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// Summary says how far a tier is rolled up.
type Summary struct {
	Tier    block.Tier
	Days    int   // with an entry
	StandIn int   // of Days, those with no buckets because samples stand in for all
	Lost    int   // of Days, those with samples that could not be read
	Blocks  int   // listed
	Bytes   int64 // of Blocks
	// First and Last are the starts of the oldest and the newest of Days; 0 without
	// any.
	First, Last int64
	// Uncovered counts the days that are over, have their final blocks and no entry;
	// Dirty those with an entry that is older than their samples or deletions. What
	// is newer is read from the samples.
	Uncovered, Dirty int
	// BehindMs is the time since the end of the oldest of these days; 0 if there is
	// none.
	BehindMs int64
}

// Summarize returns the summaries of the configured tiers and of those that still have
// entries, finest first. It takes the options of the planner; Force is ignored.
func Summarize(st *manifest.State, o PlanOptions) []Summary {
	o.Force = false
	p := newPlanner(st, o)
	var all []Summary
	for _, t := range block.Rollups {
		s := Summary{Tier: t}
		for _, b := range st.Blocks {
			if b.Tier == t {
				s.Blocks, s.Bytes = s.Blocks+1, s.Bytes+b.Size
			}
		}
		for _, d := range slices.Backward(p.days) {
			s.add(p, d)
		}
		if s.Days > 0 || p.configured(t) {
			all = append(all, s)
		}
	}
	return all
}

// add adds a day, which is newer than those before it.
func (s *Summary) add(p *planner, d *day) {
	c := d.entry(s.Tier)
	if c != nil {
		if s.Days == 0 {
			s.First = d.start
		}
		s.Days, s.Last = s.Days+1, d.start
		if c.StandIn {
			s.StandIn++
		}
		if len(c.Lost) > 0 {
			s.Lost++
		}
	}
	if !p.configured(s.Tier) || d.span().Max > p.o.NowMs || !p.rollable(d, s.Tier) {
		return
	}
	if c == nil {
		s.Uncovered++
	} else {
		s.Dirty++
	}
	s.BehindMs = max(s.BehindMs, p.o.NowMs-d.span().Max+1)
}
