package compaction

import (
	"maps"
	"math"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// planRules adds to e the floors that the retention rules have reached, and drops the
// lists of earlier configurations that hide nothing any more, or nothing that the current
// one does not hide. tierFloors are the floors
// of rollups after e.
//
// Of a rule only floors above those of all series are recorded. The floor of its samples
// waits for rollups as that of all samples does, but only for the rule's own series.
func (o *RetentionOptions) planRules(s *manifest.State, tierFloors map[block.Tier]int64, e *manifest.Edit) {
	current, id := manifest.RuleList{Rules: o.Rules}, uint64(0)
	for i := range s.RuleLists {
		l := &s.RuleLists[i]
		id = max(id, l.ID)
		switch {
		case len(o.Rules) > 0 && l.Key() == current.Key():
			current = *l
		case o.Hides != nil && !o.Hides(l):
			e.DropRules = append(e.DropRules, l.ID)
		}
	}
	if len(o.Rules) == 0 {
		return
	}
	recorded := current.ID > 0
	if !recorded {
		current.ID = id + 1
	}
	rules, raised := make([]manifest.Rule, len(o.Rules)), false
	for i, target := range o.Rules {
		r := manifest.Rule{Selectors: target.Selectors, Floors: map[block.Tier]int64{}}
		if recorded {
			maps.Copy(r.Floors, current.Rules[i].Floors)
		}
		raise := func(tier block.Tier, to, all int64) {
			if to > max(r.Floor(tier), all) {
				r.Floors[tier], raised = to, true
			}
		}
		for tier := range o.Tiers {
			all, ok := tierFloors[tier]
			if !ok {
				all = manifest.NoFloor
			}
			raise(tier, target.Floor(tier), all)
		}
		raise(block.Raw, o.waitForRule(s, &manifest.RuleList{ID: current.ID, Rules: o.Rules}, i, &r), max(s.Floor, o.Raw))
		if len(r.Floors) == 0 {
			r.Floors = nil
		}
		rules[i] = r
	}
	if raised && (recorded || len(s.RuleLists)-len(e.DropRules) < manifest.MaxRuleLists) {
		current.Rules, recorded = rules, true
		e.RuleLists = append(e.RuleLists, manifest.RuleList{ID: current.ID, Rules: rules})
	}
	if !recorded || o.Subsumed == nil {
		return
	}
	for i := range s.RuleLists {
		if l := &s.RuleLists[i]; l.ID != current.ID && !slices.Contains(e.DropRules, l.ID) && o.Subsumed(l, &current) {
			e.DropRules = append(e.DropRules, l.ID)
		}
	}
}

// waitForRule is waitFor for the series of a rule of l, whose floors are targets; at has
// the floors that the rule has reached.
func (o *RetentionOptions) waitForRule(s *manifest.State, l *manifest.RuleList, rule int, at *manifest.Rule) int64 {
	floor := l.Rules[rule].Floor(block.Raw)
	from := max(at.Floor(block.Raw), s.Floor)
	if floor <= from || !o.inTiers(s, &l.Rules[rule], floor) {
		return floor
	}
	has := func(b block.Info, tr model.TimeRange, gen uint64) bool {
		return o.RuleHas == nil || o.RuleHas(l, rule, b.Name, tr, gen)
	}
	wait := func(ms int64) { floor = min(floor, block.Raw.PartitionStart(max(ms, from))) }
	if o.HeadMin < floor {
		oldest := o.HeadMin
		if o.OldestInHead != nil {
			oldest = o.OldestInHead(l, rule, model.TimeRange{Min: from, Max: floor})
		}
		if oldest < math.MaxInt64 {
			wait(oldest)
		}
	}
	stuck := o.stuck(s)
	for _, b := range s.Sorted() {
		held := b.Info.TimeRange().Intersect(model.TimeRange{Min: from, Max: floor})
		if b.Tier != block.Raw || held.Empty() || b.Level != block.L2 && stuck(b.Info) {
			continue
		}
		if b.Level == block.L0 {
			for !held.Empty() {
				day := block.Raw.PartitionRange(held.Min)
				if has(b.Info, day.Intersect(held), 0) {
					wait(day.Min)
					break
				}
				held.Min = day.Max
			}
			continue
		}
		for _, tier := range o.tiersOf(s, b.Partition) {
			if b.Partition >= max(at.Floor(tier), s.TierFloor(tier)) && !o.rolledUp(s, tier, b.Info) && has(b.Info, held, o.cleanUpTo(s, tier, b.Info)) {
				wait(b.Partition)
			}
		}
	}
	return floor
}

// inTiers reports whether a rule keeps rows below a floor of its samples in any tier.
func (o *RetentionOptions) inTiers(s *manifest.State, r *manifest.Rule, floor int64) bool {
	for tier := range o.Tiers {
		if r.Floor(tier) < floor {
			return true
		}
	}
	for k := range s.Coverage {
		if r.Floor(k.Tier) < floor {
			return true
		}
	}
	return false
}

// cleanUpTo returns the generation up to which the buckets of a tier hold what series of
// an L2 have, 0 if it is not known or something was deleted.
func (o *RetentionOptions) cleanUpTo(s *manifest.State, tier block.Tier, b block.Info) uint64 {
	c, covered := s.CoverageOf(tier, b.Partition)
	if !covered || slices.ContainsFunc(s.Tombstones, func(t manifest.Tombstone) bool {
		return t.Pending(&c) && (o.Concerns == nil || o.Concerns(&t, c.Block))
	}) {
		return 0
	}
	return c.Gen
}
