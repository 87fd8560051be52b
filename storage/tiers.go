package storage

import (
	"cmp"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
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
