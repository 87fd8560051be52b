package manifest

import (
	"cmp"
	"maps"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// CoverKey identifies the day of a rollup that a Coverage is about.
type CoverKey struct {
	Tier block.Tier // a rollup
	Day  int64      // start of a partition, Unix milliseconds
}

// Compare orders keys by tier and day.
func (k CoverKey) Compare(o CoverKey) int {
	return cmp.Or(cmp.Compare(k.Tier, o.Tier), cmp.Compare(k.Day, o.Day))
}

// Range returns the times of the day.
func (k CoverKey) Range() model.TimeRange { return k.Tier.PartitionRange(k.Day) }

// Coverage says what of a day a rollup holds. A day without one is not rolled up.
// Of a rollup block only the rows of those days are visible whose Coverage names
// it. Whatever Clean does not find to be in the rollup is newer, and is read from
// the raw blocks and the head.
//
// A Coverage and its slices are immutable.
type Coverage struct {
	CoverKey
	// Block is the rollup block with the buckets of the day. It is empty if none
	// has a row of the day.
	Block string
	// Gen is a generation: every raw sample of the day up to it is in.
	Gen uint64
	// Sources are the names of the raw blocks of the day that were rolled up, all
	// of whose samples are in. They may have left the database since.
	Sources []string
	// Tombstone is the highest ID of the recorded tombstones that were applied.
	Tombstone uint64
	// StandIn tells that no series has buckets of the day: the raw samples stand in
	// for them.
	StandIn bool
	// Lost are the times of samples that could not be read, in ascending order and
	// apart from each other. At most MaxLost.
	Lost []model.TimeRange
}

// MaxLost bounds the ranges of Coverage.Lost.
const MaxLost = 1 << 10

// Clean reports whether all that a raw block holds of the day is in the rollup.
// Otherwise the block may hold newer samples; an L2 knows the generation of each
// of its series, and those up to Gen are clean too.
func (c *Coverage) Clean(b block.Info) bool {
	return b.MaxGen <= c.Gen || slices.Contains(c.Sources, b.Name)
}

// CoverageOf returns the coverage of a day of a rollup, if the day was rolled up.
// The Day of the key must be the start of a partition.
func (s *State) CoverageOf(tier block.Tier, day int64) (Coverage, bool) {
	c, ok := s.Coverage[CoverKey{tier, day}]
	return c, ok
}

// CoverageIn returns the entries of a tier that name a block, of the days of a range, by
// day.
func (s *State) CoverageIn(tier block.Tier, name string, days model.TimeRange) (cs []Coverage) {
	for day := block.Raw.PartitionRange(days.Min); day.Min < days.Max; day = block.Raw.PartitionRange(day.Max) {
		if c, ok := s.CoverageOf(tier, day.Min); ok && c.Block == name {
			cs = append(cs, c)
		}
	}
	return cs
}

// SortedCoverage returns all entries by tier and day.
func (s *State) SortedCoverage() []Coverage {
	cs := slices.Collect(maps.Values(s.Coverage))
	slices.SortFunc(cs, func(a, b Coverage) int { return a.Compare(b.CoverKey) })
	return cs
}

// TierFloor returns the retention floor of a tier: State.Floor for Raw, NoFloor
// for a rollup that never dropped anything.
func (s *State) TierFloor(tier block.Tier) int64 {
	if tier == block.Raw {
		return s.Floor
	}
	if floor, ok := s.TierFloors[tier]; ok {
		return floor
	}
	return NoFloor
}

// RawBlocks returns the listed blocks of the raw tier, as Sorted does.
func (s *State) RawBlocks() []Listed {
	return slices.DeleteFunc(s.Sorted(), func(b Listed) bool { return b.Tier != block.Raw })
}

// RollupBlocks returns the listed blocks of rollups, as Sorted does.
func (s *State) RollupBlocks() []Listed {
	return slices.DeleteFunc(s.Sorted(), func(b Listed) bool { return b.Tier == block.Raw })
}

// SettledGen returns the highest Gen that a Coverage of the day may have if the
// sources are all its L2s: the generation below the lowest that the WAL keeps, or
// that an L0 or L1 has in which samples of the day may be; or the Gen that an entry
// of the day has, if that is higher: an L1 takes the generations of all L0s that it
// was merged from, also of those without samples of the day.
func (s *State) SettledGen(day int64) uint64 {
	low := s.WALLow
	r := block.Raw.PartitionRange(day)
	for _, b := range s.Blocks {
		if b.Tier == block.Raw && b.Level != block.L2 && r.Overlaps(b.Info.TimeRange()) {
			low = min(low, b.MinGen)
		}
	}
	settled := max(low, 1) - 1
	for _, tier := range block.Rollups {
		if c, ok := s.CoverageOf(tier, day); ok {
			settled = max(settled, c.Gen)
		}
	}
	return settled
}

// applyCoverage applies the parts of an edit that are about rollups to n.
func (n *State) applyCoverage(e *Edit) {
	for _, k := range e.Uncover {
		delete(n.Coverage, k)
	}
	for _, c := range e.Cover {
		n.Coverage[c.CoverKey] = c
	}
	maps.Copy(n.TierFloors, e.TierFloors)
}
