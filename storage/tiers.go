package storage

import (
	"cmp"
	"maps"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// TierTimes tells where a view has buckets of a rollup.
type TierTimes struct {
	Tier block.Tier
	// Times is the range from the first to the last day with buckets. Days between
	// may have none.
	Times model.TimeRange
}

// Tiers returns the rollups of which the view has buckets, finest first.
func (v *View) Tiers() []TierTimes {
	var all []TierTimes
	st := v.st.blocks.State()
	for key, c := range st.Coverage {
		if c.StandIn || key.Day < st.TierFloor(key.Tier) {
			continue
		}
		i := slices.IndexFunc(all, func(t TierTimes) bool { return t.Tier == key.Tier })
		if i < 0 {
			all = append(all, TierTimes{key.Tier, key.Range()})
			continue
		}
		t := &all[i].Times
		t.Min, t.Max = min(t.Min, key.Range().Min), max(t.Max, key.Range().Max)
	}
	slices.SortFunc(all, func(a, b TierTimes) int { return cmp.Compare(a.Tier, b.Tier) })
	return all
}

// expiredParts returns the parts of rollup blocks for the days of tr whose samples
// have expired: those of the coarsest tier that covers the day.
func (s *state) expiredParts(tr model.TimeRange) []blockPart {
	tr.Max = min(tr.Max, s.floor)
	if tr.Empty() {
		return nil
	}
	st := s.blocks.State()
	days := make(map[int64]manifest.Coverage)
	for key, c := range st.Coverage {
		if key.Tier >= days[key.Day].Tier && key.Day >= st.TierFloor(key.Tier) && key.Range().Overlaps(tr) {
			days[key.Day] = c
		}
	}
	ranges := make(map[string][]model.TimeRange)
	for _, day := range slices.Sorted(maps.Keys(days)) {
		c := days[day]
		ranges[c.Block] = appendRange(ranges[c.Block], c.Range().Intersect(tr))
	}
	var parts []blockPart
	for _, e := range s.blocks.Rollups() {
		if r := ranges[e.Name]; len(r) > 0 {
			parts = append(parts, blockPart{Entry: e, ranges: r})
		}
	}
	return parts
}
