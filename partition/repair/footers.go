package repair

import (
	"slices"

	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// deletionsInFooters reports whether every deletion that a lost edit may have recorded
// is in a footer or in the WAL, which must be kept from generation low on. The edit of
// the cut that ends a generation records its deletions. So a block that a merge wrote
// repeats those of all generations up to its newest, unless they were carried out
// before; and if there is no newer cut, all others are in the WAL.
func (r *rebuilding) deletionsInFooters(low uint64) bool {
	var newest *repairFile
	for i := range r.in.files {
		f := &r.in.files[i]
		if f.err == nil && f.Tier == block.Raw && f.Level != block.L0 && f.repeated.Seed != 0 && (newest == nil || f.MaxGen > newest.MaxGen) {
			newest = f
		}
	}
	if newest == nil || newest.repeated.LeftOut {
		return false
	}
	_, err := manifest.RepeatedTombstones(newest.repeated)
	return err == nil && low == newest.MaxGen+1 && !r.in.walDamaged && slices.Contains(r.in.walGens, low)
}

// standIn covers the days below the floor of samples that still have raw blocks and no
// coverage of a tier for which samples may stand in: they do, or retention would have
// dropped them. The rollup block that lists their series is lost, so all stay,
// as long as the finest tier there is.
func (r *rebuilding) standIn(s *manifest.State) {
	finest := r.finest(s)
	for _, b := range r.listed {
		k := manifest.CoverKey{Tier: finest, Day: b.Partition}
		covered := slices.ContainsFunc(block.Rollups, func(t block.Tier) bool {
			c, ok := s.CoverageOf(t, k.Day)
			return ok && t < block.Hour && !(c.StandIn && t == finest)
		})
		if b.Tier != block.Raw || b.Level == block.L0 || k.Day >= s.Floor || k.Day < s.TierFloor(finest) || covered {
			continue
		}
		c := s.Coverage[k]
		c.CoverKey, c.StandIn, c.Gen = k, true, max(s.WALLow, 1)-1
		c.Sources = append(c.Sources, b.Name)
		slices.Sort(c.Sources)
		c.Sources = slices.Compact(c.Sources)
		s.Coverage[k] = c
		r.plan.say("%s: taken to stand in for buckets of %v, because it was kept below the retention floor", b.Name, finest)
	}
}

// finest returns the finest tier of which there are files or coverage, and for which
// samples may stand in; a minute if there is none.
func (r *rebuilding) finest(s *manifest.State) block.Tier {
	found := block.Hour
	for _, f := range r.in.files {
		if f.err == nil && f.Tier != block.Raw {
			found = min(found, f.Tier)
		}
	}
	for k := range s.Coverage {
		found = min(found, k.Tier)
	}
	if found == block.Hour {
		return block.Minute
	}
	return found
}
