package compaction

import (
	"maps"
	"math"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// RetentionTarget returns the floor for a retention period: the start of the
// partition that holds nowMs - retentionMs, so that a partition is dropped only when
// all its samples are too old. It returns NoFloor if the retention is 0 or less.
func RetentionTarget(nowMs, retentionMs int64) int64 {
	oldest := model.SubTime(nowMs, retentionMs)
	if retentionMs <= 0 || oldest < model.MinTime {
		return manifest.NoFloor
	}
	return block.Raw.PartitionStart(oldest)
}

// RetentionOptions are the inputs of PlanRetention other than the state.
type RetentionOptions struct {
	Raw int64 // RetentionTarget of samples
	// Tiers are the rollups that are made, with their RetentionTargets. Those of
	// other tiers stay.
	Tiers map[block.Tier]int64
	// HeadMin is the time of the oldest sample that is not in a block, math.MaxInt64
	// if there is none.
	HeadMin int64
	// Concerns reports whether a tombstone may match a series of a rollup block; nil
	// means that it may.
	Concerns func(t *manifest.Tombstone, block string) bool
	// Quarantined reports whether a block is merged no more; nil means that none is.
	Quarantined func(block string) bool
	// StandsIn reports whether samples stand in for buckets of a coverage; nil means
	// that Coverage.StandIn says it.
	StandsIn func(c *manifest.Coverage) bool
	// Rules are the retention rules in force, with targets as floors; nil = none. Raw
	// and Tiers are then the lowest targets of all rules.
	Rules []manifest.Rule
	// RuleHas reports whether a series of a rule has samples of a raw block in tr, of a
	// generation above gen; nil means that it may.
	RuleHas func(l *manifest.RuleList, rule int, block string, tr model.TimeRange, gen uint64) bool
	// OldestInHead returns the time of the oldest sample in tr of a series of a rule that
	// is not in a block, math.MaxInt64 if there is none; nil means that HeadMin tells.
	OldestInHead func(l *manifest.RuleList, rule int, tr model.TimeRange) int64
	// Hides reports whether a block or the head may hold what a list hides; nil means
	// that some may.
	Hides func(l *manifest.RuleList) bool
	// Subsumed reports whether every series has in the list by at least the floors that l
	// gives it; nil means that this is not known.
	Subsumed func(l, by *manifest.RuleList) bool
}

// PlanRetention returns the edit that moves the retention floors towards their
// targets and drops the blocks entirely below them, if there is anything to do.
// Samples below the floor in other blocks are hidden from then on, and dropped when
// those are merged. Blocks with invalid times only, which older versions accepted,
// are dropped too.
//
// The floor of samples does not pass a day whose samples are not all in the buckets
// of every rollup: see waitFor. A raw block below it stays while samples of its day
// stand in for buckets of a rollup. The coverage of days below the floor of their
// tier is removed, and rollup blocks without any other day are dropped.
func PlanRetention(s *manifest.State, o RetentionOptions) (manifest.Edit, bool) {
	var e manifest.Edit
	floors := maps.Clone(s.TierFloors)
	for tier, target := range o.Tiers {
		if target > s.TierFloor(tier) {
			if e.TierFloors == nil {
				e.TierFloors = map[block.Tier]int64{}
			}
			e.TierFloors[tier], floors[tier] = target, target
		}
	}
	named := map[string]bool{} // rollup blocks
	for _, c := range s.SortedCoverage() {
		if floor, ok := floors[c.Tier]; ok && c.Day < floor {
			e.Uncover = append(e.Uncover, c.CoverKey)
		} else {
			named[c.Block] = true
		}
	}
	o.planRules(s, floors, &e)
	floor := max(s.Floor, o.waitFor(s))
	if floor > s.Floor {
		e.Floor = &floor
	}
	standsIn := func(day int64) bool {
		return slices.ContainsFunc(block.Rollups, func(tier block.Tier) bool {
			c, covered := s.CoverageOf(tier, day)
			floor, ok := floors[tier]
			return covered && !(ok && day < floor) && (c.StandIn || o.StandsIn != nil && o.StandsIn(&c))
		})
	}
	for _, b := range s.Sorted() {
		switch {
		case b.Tier != block.Raw:
			if !named[b.Name] {
				e.Drop = append(e.Drop, b.Name)
			}
		case !manifest.KeptAbove(floor).Overlaps(b.Info.TimeRange()) && (b.Level == block.L0 || !standsIn(b.Partition)):
			e.Drop = append(e.Drop, b.Name)
		}
	}
	return e, e.Floor != nil || len(e.Drop)+len(e.TierFloors)+len(e.Uncover)+len(e.RuleLists)+len(e.DropRules) > 0
}

// waitFor returns the target of samples, or the start of the first day before it
// that must be rolled up first: one of its raw blocks holds what the coverage of a
// rollup does not, or a deletion is not applied to its buckets; or samples of it are
// in the head or an L0. A rollup whose own floor is above the day does not count, nor
// does a block that waits behind a quarantined one: it would wait until that leaves.
func (o *RetentionOptions) waitFor(s *manifest.State) int64 {
	floor := o.Raw
	if floor <= s.Floor || len(o.Tiers)+len(s.Coverage) == 0 {
		return floor
	}
	stuck := o.stuck(s)
	wait := func(ms int64) { floor = min(floor, block.Raw.PartitionStart(max(ms, s.Floor))) }
	if o.HeadMin < math.MaxInt64 {
		wait(o.HeadMin)
	}
	for _, b := range s.Blocks {
		if b.Tier != block.Raw || b.MaxTime < s.Floor || b.Level != block.L2 && stuck(b.Info) {
			continue
		}
		if b.Level == block.L0 {
			wait(b.MinTime)
			continue
		}
		for _, tier := range o.tiersOf(s, b.Partition) {
			target, made := o.Tiers[tier]
			if !made {
				target = manifest.NoFloor
			}
			if b.Partition >= max(target, s.TierFloor(tier)) && !o.rolledUp(s, tier, b.Info) {
				wait(b.Partition)
			}
		}
	}
	return floor
}

// tiersOf returns the tiers whose buckets of a day must hold its samples before these
// leave: those that are made, and those that are off and have an entry of the day, which
// is rolled up again or removed when it is behind.
func (o *RetentionOptions) tiersOf(s *manifest.State, day int64) (tiers []block.Tier) {
	for _, tier := range block.Rollups {
		_, made := o.Tiers[tier]
		if _, covered := s.CoverageOf(tier, day); made || covered {
			tiers = append(tiers, tier)
		}
	}
	return tiers
}

// stuck returns a function that reports whether an L0 or L1 is quarantined, or is merged
// no more because an older one, or for an L1 an L2 of the day, is.
func (o *RetentionOptions) stuck(s *manifest.State) func(b block.Info) bool {
	l0, days := uint64(math.MaxUint64), map[int64]bool{}
	for _, b := range s.Blocks {
		switch {
		case b.Tier != block.Raw || o.Quarantined == nil || !o.Quarantined(b.Name):
		case b.Level == block.L0:
			l0 = min(l0, b.MinGen)
		default:
			days[b.Partition] = true
		}
	}
	return func(b block.Info) bool { return b.Level == block.L0 && b.MinGen >= l0 || days[b.Partition] }
}

// rolledUp reports whether the buckets of a tier hold all that an L1 or L2 does, and
// nothing that was deleted.
func (o *RetentionOptions) rolledUp(s *manifest.State, tier block.Tier, b block.Info) bool {
	c, covered := s.CoverageOf(tier, b.Partition)
	return covered && c.Clean(b) && !slices.ContainsFunc(s.Tombstones, func(t manifest.Tombstone) bool {
		return t.Pending(&c) && (o.Concerns == nil || o.Concerns(&t, c.Block))
	})
}
