package manifest

import (
	"errors"
	"fmt"

	"tsdb/partition/block"
)

// ImportGeneration returns the generation with which samples of a series in keys can
// be added to a partition as L2s at once, because no raw block has samples of the
// partition, except for L2s of other series. The generation is below that of every L0,
// so blocks stay in their order, whatever is merged later. The error says what is in the
// way:
//
//   - an L1 of the partition, or an L0 with samples of its time;
//   - an L2 with keys in the range;
//   - a rollup of the day, which would seem to hold the samples;
//   - a deletion newer than the generation, which would remove them.
func (s *State) ImportGeneration(partition int64, keys KeyRange) (uint64, error) {
	gen := max(s.WALLow, 1) // the log begins with generation 1
	for _, b := range s.Blocks {
		if b.Tier == block.Raw && b.Level == block.L0 {
			gen = min(gen, b.MinGen)
		}
	}
	if gen == 0 {
		return 0, errors.New("an L0 has the lowest generation")
	}
	gen--
	key := block.Raw.KeyAt(partition, block.L2)
	r := key.Range()
	for _, b := range s.Blocks {
		switch {
		case b.Tier != block.Raw:
		case b.Level == block.L0 && r.Overlaps(b.Info.TimeRange()),
			b.Level == block.L1 && b.Partition == key.Partition,
			b.Level == block.L2 && b.Partition == key.Partition && b.Keys.collides(keys):
			return 0, fmt.Errorf("%q may hold older samples of the series", b.Name)
		}
	}
	for _, tier := range block.Rollups {
		if c, ok := s.CoverageOf(tier, key.Partition); ok {
			return 0, fmt.Errorf("%s is rolled up", c)
		}
	}
	for i := range s.Tombstones {
		if t := &s.Tombstones[i]; t.Gen > gen && t.Range.Overlaps(r) {
			return 0, fmt.Errorf("deletion %d is newer than generation %d", t.ID, gen)
		}
	}
	return gen, nil
}

// checkImport checks a block whose samples come from outside of the database.
func (s *State) checkImport(b Listed) error {
	switch b.Level {
	case block.L0:
		return nil // its generation is checked like that of a cut
	case block.L2:
		gen, err := s.ImportGeneration(b.Partition, b.Keys)
		if err != nil {
			return badEdit("add %q: %v", b.Name, err)
		}
		if b.MinGen != b.MaxGen || b.MaxGen > gen {
			return badEdit("add %q: generations %d to %d of an import, which may have %d", b.Name, b.MinGen, b.MaxGen, gen)
		}
		return nil
	}
	return badEdit("add %q: an import of level %v", b.Name, b.Level)
}
