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
	// may have none. It is empty if samples stand in on all days.
	Times model.TimeRange
	// Kept is Times with days for which samples stand in. Even where other samples
	// have expired the tier has all series of its days, as buckets or as samples.
	Kept model.TimeRange
}

// Tiers returns the rollups of the view, finest first. The slice must not be changed.
//
// Every query asks, and states change seldom, so the answer for the last state is kept.
func (v *View) Tiers() []TierTimes {
	st := v.st.blocks.State()
	if kept := v.views.tiers.Load(); kept != nil && kept.of == st {
		return kept.times
	}
	kept := &tiersOfState{of: st, times: tierTimes(st)}
	v.views.tiers.Store(kept)
	return kept.times
}

// tiersOfState are the rollups of a state.
type tiersOfState struct {
	of    *manifest.State
	times []TierTimes
}

func tierTimes(st *manifest.State) []TierTimes {
	var all []TierTimes
	for key, c := range st.Coverage {
		if key.Day < st.TierFloor(key.Tier) {
			continue
		}
		i := slices.IndexFunc(all, func(t TierTimes) bool { return t.Tier == key.Tier })
		if i < 0 {
			i = len(all)
			all = append(all, TierTimes{Tier: key.Tier})
		}
		all[i].Kept = joined(all[i].Kept, key.Range())
		if !c.StandIn {
			all[i].Times = joined(all[i].Times, key.Range())
		}
	}
	slices.SortFunc(all, func(a, b TierTimes) int { return cmp.Compare(a.Tier, b.Tier) })
	return all
}

// joined returns the range from the start of the first of two ranges to the end of the
// last. a may be empty.
func joined(a, b model.TimeRange) model.TimeRange {
	if a.Empty() {
		return b
	}
	return model.TimeRange{Min: min(a.Min, b.Min), Max: max(a.Max, b.Max)}
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
		if key.Tier >= days[key.Day].Tier && key.Range().Overlaps(tr) {
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
