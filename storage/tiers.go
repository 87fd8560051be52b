package storage

import (
	"context"
	"maps"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// TierTimes reports where a view has buckets of a rollup.
type TierTimes struct {
	Tier block.Tier
	// Times are the days with buckets, joined and in ascending order. There are none if
	// samples stand in on all days.
	Times []model.TimeRange
	// Kept is Times with the days for which samples stand in. Even where other samples
	// have expired the tier has all series of these days, as buckets or as samples.
	Kept []model.TimeRange
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
	covered := slices.SortedFunc(maps.Values(st.Coverage), func(a, b manifest.Coverage) int { return a.Compare(b.CoverKey) })
	for _, c := range covered {
		if c.Day < st.TierFloor(c.Tier) {
			continue
		}
		if len(all) == 0 || all[len(all)-1].Tier != c.Tier {
			all = append(all, TierTimes{Tier: c.Tier})
		}
		t := &all[len(all)-1]
		t.Kept = appendRange(t.Kept, c.Range())
		if !c.StandIn {
			t.Times = appendRange(t.Times, c.Range())
		}
	}
	return all
}

// expiredParts returns the parts of rollup blocks for the days of tr whose samples
// have expired: those of the coarsest tier that covers the day, and of finer ones if by
// retention rules they may have series that it has no more. Of days on which only the
// samples of some series have expired, the parts are of these series.
func (s *state) expiredParts(ctx context.Context, tr model.TimeRange) ([]blockPart, error) {
	parts := s.rollupParts(model.TimeRange{Min: tr.Min, Max: min(tr.Max, s.floor)})
	if s.rules == nil {
		return parts, nil
	}
	for _, p := range s.rollupParts(model.TimeRange{Min: max(tr.Min, s.floor), Max: min(tr.Max, s.rules.highest)}) {
		if p.Block() != nil {
			var err error
			if p.only, err = s.blocks.ExpiredSeries(ctx, p.Entry); err != nil {
				return nil, err
			}
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// rollupParts returns the parts of rollup blocks for the days of tr: those of the coarsest
// tier that covers the day, and the finer ones while some series of it may have left.
func (s *state) rollupParts(tr model.TimeRange) []blockPart {
	if tr.Empty() {
		return nil
	}
	st := s.blocks.State()
	days := make(map[int64][]manifest.Coverage)
	for key, c := range st.Coverage {
		if key.Range().Overlaps(tr) {
			days[key.Day] = append(days[key.Day], c)
		}
	}
	ranges := make(map[string][]model.TimeRange)
	for _, day := range slices.Sorted(maps.Keys(days)) {
		tiers := days[day]
		slices.SortFunc(tiers, func(a, b manifest.Coverage) int { return -a.Compare(b.CoverKey) })
		for _, c := range tiers {
			ranges[c.Block] = appendRange(ranges[c.Block], c.Range().Intersect(tr))
			if day >= st.HighestFloor(c.Tier) {
				break // it has all series
			}
		}
	}
	var parts []blockPart
	for _, e := range s.blocks.Rollups() {
		if r := ranges[e.Name]; len(r) > 0 {
			parts = append(parts, blockPart{Entry: e, ranges: r, rows: true})
		}
	}
	return parts
}
