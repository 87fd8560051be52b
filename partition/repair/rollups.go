package repair

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/manifest"
)

// daysOf returns the days of which a block of a rollup has rows, ascending. A damaged
// chunk may hide days.
func daysOf(ctx context.Context, b *block.Block) ([]int64, error) {
	tier := b.Info().Tier
	days := map[int64]bool{}
	var rows model.Buckets
	var standIn []model.TimeRange
	it := b.Iterate()
	for it.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rows.Reset()
		var err error
		standIn, err = it.Buckets(model.AllTime, 0, &rows, standIn[:0])
		if err != nil && !errors.Is(err, format.ErrCorrupt) {
			return nil, err
		}
		for i := 0; i < rows.Len(); {
			day := tier.PartitionRange(rows.End[i])
			days[day.Min] = true
			i = rows.Search(day.Max)
		}
		for _, r := range standIn {
			for day := tier.PartitionRange(r.Min); day.Min < r.Max; day = tier.PartitionRange(day.Max) {
				days[day.Min] = true
			}
		}
	}
	if err := it.Err(); err != nil && !errors.Is(err, format.ErrCorrupt) {
		return nil, err
	}
	return slices.Sorted(maps.Keys(days)), nil
}

// addRepeated adds what footers repeat to a state, except for rules: the highest floors,
// and tombstones that it does not have. One that had been dropped deletes nothing more
// than it did.
func (r *rebuilding) addRepeated(s *manifest.State) {
	s.TierFloors, s.Tombstones = maps.Clone(s.TierFloors), slices.Clone(s.Tombstones)
	if s.TierFloors == nil {
		s.TierFloors = map[block.Tier]int64{}
	}
	known := map[uint64]bool{}
	for _, t := range s.Tombstones {
		known[t.ID] = true
	}
	added := 0
	for _, f := range r.in.files {
		for tier, floor := range f.repeated.Floors {
			if tier == block.Raw {
				s.Floor = max(s.Floor, floor)
			} else {
				s.TierFloors[tier] = max(s.TierFloor(tier), floor)
			}
		}
		ts, err := manifest.RepeatedTombstones(f.repeated)
		if err != nil {
			r.plan.say("%s: %v", f.Name, err)
		}
		if f.repeated.LeftOut {
			r.plan.say("%s: there were more deletions than its footer repeats", f.Name)
		}
		for _, t := range ts {
			if !known[t.ID] {
				known[t.ID] = true
				s.Tombstones = append(s.Tombstones, t)
				added++
			}
		}
	}
	slices.SortFunc(s.Tombstones, func(a, b manifest.Tombstone) int { return cmp.Compare(a.ID, b.ID) })
	if added > 0 {
		r.plan.say("deletions: %d are from the footers of blocks", added)
	}
}

// addRollups adds the blocks of rollups, and the coverage of their days, to a state
// without them. A known entry stays if its block is there and no block of an unknown
// edit has newer rows of the day. Of other days the newest block with rows has what
// there is: as nothing is known of their samples, all that raw blocks hold counts as
// newer and is rolled up again.
func (r *rebuilding) addRollups(s *manifest.State) {
	found := map[manifest.CoverKey]*repairFile{}
	for i := range r.in.files {
		f := &r.in.files[i]
		_, dropped := r.known.Dropped[f.Name]
		if f.err != nil || f.Tier == block.Raw || dropped || r.published[f.Name] {
			continue
		}
		for _, day := range f.days {
			key := manifest.CoverKey{Tier: f.Tier, Day: day}
			if old := found[key]; old == nil || newerRollup(f, old) {
				found[key] = f
			}
		}
	}
	s.Coverage = map[manifest.CoverKey]manifest.Coverage{}
	lost := 0
	for key, c := range r.known.Coverage {
		f, candidate := r.files[c.Block], found[key]
		gone := c.Block != "" && (f == nil || f.err != nil)
		if candidate != nil && (gone || candidate.MaxGen > c.Gen && (f == nil || newerRollup(candidate, f))) {
			continue
		}
		s.Coverage[key] = c // even if the block is missing: then it is quarantined
		delete(found, key)
		if gone {
			lost++
		}
	}
	for key, f := range found {
		c := manifest.Coverage{CoverKey: key, Block: f.Name}
		if f.Days == 1 {
			c.Tombstone = f.Tombstone // of more days it is the newest that any has applied
		}
		s.Coverage[key] = c
	}
	maps.DeleteFunc(s.Coverage, func(key manifest.CoverKey, _ manifest.Coverage) bool { return key.Day < s.TierFloor(key.Tier) })
	for _, c := range s.Coverage {
		if c.Block == "" {
			continue
		}
		b, ok := r.known.Blocks[c.Block]
		if f := r.files[c.Block]; !ok {
			b = manifest.Listed{Info: f.Info, Keys: f.keys, OldestMs: r.in.nowMs, NewestMs: r.in.nowMs}
		}
		r.listed[c.Block] = b
	}
	if n := len(s.Coverage); n > 0 {
		r.plan.say("rollups: %d days are covered, %d of them as blocks say, %d by blocks that are missing or unreadable", n, len(found), lost)
	}
}

// newerRollup reports whether a block of a rollup has newer rows than b, or was folded
// from it and others.
func newerRollup(a, b *repairFile) bool {
	return cmp.Or(cmp.Compare(a.MaxGen, b.MaxGen), cmp.Compare(a.Tombstone, b.Tombstone), cmp.Compare(a.Days, b.Days), cmp.Compare(a.Name, b.Name)) > 0
}
