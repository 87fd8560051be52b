package manifest

import (
	"slices"

	"tsdb/partition/block"
)

// checkRollups checks the parts of an edit that are about rollups, except for the
// order of all entries, which checkCoverage does.
func checkRollups(s, next *State, e *Edit) error {
	for _, b := range e.Add {
		if b.Tier != block.Raw {
			if err := checkRollup(s, b); err != nil {
				return err
			}
		}
	}
	for tier, floor := range e.TierFloors {
		if floor < s.TierFloor(tier) {
			return badEdit("retention floor of %v goes back from %d to %d", tier, s.TierFloor(tier), floor)
		}
	}
	changed := map[CoverKey]bool{}
	for _, k := range e.Uncover {
		if _, ok := s.Coverage[k]; !ok || changed[k] {
			return badEdit("uncover %s, which is not covered", k)
		}
		changed[k] = true
	}
	for i := range e.Cover {
		c := &e.Cover[i]
		if changed[c.CoverKey] {
			return badEdit("cover %s twice", c)
		}
		changed[c.CoverKey] = true
		if err := checkCover(s, next, c); err != nil {
			return err
		}
	}
	return nil
}

// checkRollup checks the sources of an added rollup block. They must still be
// listed: tombstones that were not applied might have been dropped with them.
func checkRollup(s *State, b block.Info) error {
	if len(b.Sources) == 0 {
		return badEdit("add %q: a rollup without sources", b.Name)
	}
	for _, name := range b.Sources {
		switch src, ok := s.Blocks[name]; {
		case !ok:
			return badEdit("add %q: source %q is not listed", b.Name, name)
		case src.Tier == block.Raw && src.Level != block.L2, src.Tier > b.Tier:
			return badEdit("add %q: source %q is %v of tier %v", b.Name, name, src.Level, src.Tier)
		}
	}
	return nil
}

// checkCover checks an entry that is added or replaced.
//
// One that takes in new samples must name every L2 of the day, and no L0 or L1 may
// have samples of generations that it claims. Its sources must still be listed, so
// that no tombstone that concerns them was dropped before it had an entry to wait
// for. The day must not be below the retention floor. One that replaces another without new samples keeps what the other says.
func checkCover(s, next *State, c *Coverage) error {
	old, replaces := s.Coverage[c.CoverKey]
	fresh := !replaces || c.Gen > old.Gen
	for _, name := range c.Sources {
		if replaces && slices.Contains(old.Sources, name) {
			continue
		}
		fresh = true
		src, ok := s.Blocks[name]
		if !ok || src.Tier != block.Raw || src.Level != block.L2 || src.Partition != c.Day {
			return badEdit("cover %s: source %q is not a listed L2 of the day", c, name)
		}
	}
	rawDay := false
	for _, b := range next.Blocks {
		if b.Tier != block.Raw || b.Level == block.L0 || b.Partition != c.Day {
			continue
		}
		rawDay = true
		if fresh && b.Level == block.L2 && !slices.Contains(c.Sources, b.Name) {
			return badEdit("cover %s: %q is not a source", c, b.Name)
		}
	}
	if fresh && c.Day < next.Floor {
		return badEdit("cover %s: it has new samples and is below the retention floor, where samples are missing", c)
	}
	if settled := s.SettledGen(c.Day); fresh && c.Gen > settled {
		return badEdit("cover %s: generation %d is above %d, up to which all samples are in L2s", c, c.Gen, settled)
	}
	if !replaces {
		return nil
	}
	if c.Gen < old.Gen && rawDay {
		return badEdit("cover %s: generation goes back from %d to %d", c, old.Gen, c.Gen)
	}
	for i := range s.Tombstones {
		if id := s.Tombstones[i].ID; id <= old.Tombstone && id > c.Tombstone {
			return badEdit("cover %s: tombstone %d is in the entry it replaces", c, id)
		}
	}
	return nil
}

// checkCoverage checks that entries and rollup blocks belong together: each entry
// names a listed block of its tier and days, or none, and each rollup block is
// named by an entry.
func checkCoverage(s *State) error {
	named := map[string]bool{}
	for k := range s.Coverage {
		c := s.Coverage[k]
		if c.Day < s.TierFloor(c.Tier) {
			return badEdit("coverage of %s is below the floor of the tier", c)
		}
		if c.Gen >= s.WALLow {
			return badEdit("coverage of %s claims generation %d, which the WAL keeps", c, c.Gen)
		}
		if c.Block == "" {
			continue
		}
		b, ok := s.Blocks[c.Block]
		if !ok || b.Tier != c.Tier || !b.Span().Contains(c.Day) {
			return badEdit("coverage of %s names %q, which is not a listed block of the day", c, c.Block)
		}
		named[c.Block] = true
	}
	for name, b := range s.Blocks {
		if b.Tier != block.Raw && !named[name] {
			return badEdit("no coverage names %q", name)
		}
	}
	return nil
}
