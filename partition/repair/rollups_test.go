package repair

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

// rollupBlock describes a block of the hour tier.
func rollupBlock(day int64, days uint32, gen, tombstone uint64) block.Info {
	m := block.Meta{Key: block.Key{Tier: block.Hour, Partition: day, Level: block.L2}, MinGen: 1, MaxGen: gen, Days: days,
		Sources: []string{"raw/x.tsb"}, Tombstone: tombstone}
	return block.Info{Name: block.FileName(m), Meta: m, Size: 1000, FooterLen: 90, CRC: 0xabcd, Series: 3, Samples: 30,
		MinTime: day + 3_599_999, MaxTime: day + int64(days)*model.DayMs - 1}
}

// Which block has the rows of a day after a repair: the known one, unless it is gone or
// a block of a lost edit is newer; a cut or a merge is never taken for a rollup, nor a
// rollup for one of them.
func TestRepairCoversDaysByRollups(t *testing.T) {
	day, next := partitiontest.TestDay, partitiontest.TestDay+model.DayMs
	cut := partitiontest.CutBlock(1, 9)
	known, newer := rollupBlock(day, 1, 5, 3), rollupBlock(day, 1, 7, 4)
	folded, deleted := rollupBlock(day, 2, 5, 3), rollupBlock(day, 1, 5, 6)
	state := func(blocks ...block.Info) *manifest.State {
		s := stateOf(10, append([]block.Info{cut}, blocks...)...)
		s.Coverage = map[manifest.CoverKey]manifest.Coverage{}
		for _, b := range blocks {
			for at := b.Partition; at < b.Span().Max; at += model.DayMs {
				key := manifest.CoverKey{Tier: block.Hour, Day: at}
				s.Coverage[key] = manifest.Coverage{CoverKey: key, Block: b.Name, Gen: b.MaxGen, Tombstone: 9}
			}
		}
		return s
	}
	empty := state()
	key := manifest.CoverKey{Tier: block.Hour, Day: day}
	empty.Coverage[key] = manifest.Coverage{CoverKey: key, Gen: 6}
	dropped := state(newer)
	dropped.Dropped[known.Name] = struct{}{}
	floor := state()
	floor.TierFloors = map[block.Tier]int64{block.Hour: next}
	for name, c := range map[string]struct {
		repairCase
		day, next string
		tombstone uint64 // of day
	}{
		"the known one":            {repairCase{base: state(known), files: []block.Info{cut, known}}, known.Name, "", 9},
		"a newer one":              {repairCase{base: state(known), files: []block.Info{cut, known, newer}}, newer.Name, "", 4},
		"one folded from it":       {repairCase{base: state(known), files: []block.Info{cut, known, folded}}, known.Name, folded.Name, 9},
		"it was folded":            {repairCase{base: state(known), files: []block.Info{cut, folded}}, folded.Name, folded.Name, 0},
		"it was damaged":           {repairCase{base: state(known), files: []block.Info{cut, known, newer}, broken: []string{known.Name}}, newer.Name, "", 4},
		"it is missing":            {repairCase{base: state(known), files: []block.Info{cut}}, known.Name, "", 9},
		"none is known":            {repairCase{base: state(), files: []block.Info{cut, known, deleted, folded}}, deleted.Name, folded.Name, 6},
		"none had rows":            {repairCase{base: empty, files: []block.Info{cut, known}}, "", "", 0},
		"none had rows, newer has": {repairCase{base: empty, files: []block.Info{cut, newer}}, newer.Name, "", 4},
		"one that was dropped":     {repairCase{base: dropped, files: []block.Info{cut, known, newer}}, newer.Name, "", 9},
		"below the floor":          {repairCase{base: floor, files: []block.Info{cut, folded}}, "", folded.Name, 0},
	} {
		p := c.plan()
		if p.Refused != "" {
			t.Errorf("%s: refused: %s", name, p.Refused)
			continue
		}
		for at, want := range map[int64]string{day: c.day, next: c.next} {
			is, ok := p.state.CoverageOf(block.Hour, at)
			if is.Block != want || at == day && is.Tombstone != c.tombstone {
				t.Errorf("%s: day %d: %v %+v, want %q", name, (at-day)/model.DayMs, ok, is, want)
			}
		}
		listed := map[string]bool{cut.Name: true}
		for _, e := range p.state.Coverage {
			listed[e.Block] = true
		}
		delete(listed, "")
		if got := slices.Sorted(maps.Keys(p.state.Blocks)); !slices.Equal(got, slices.Sorted(maps.Keys(listed))) {
			t.Errorf("%s: lists %q, want %v\n%s", name, got, listed, strings.Join(p.Lines, "\n"))
		}
	}
}

// What footers repeat is taken where the MANIFEST does not tell it.
func TestRepairTakesWhatFootersRepeat(t *testing.T) {
	source := manifest.NewState(7, 0)
	source.Floor = partitiontest.TestDay
	source.TierFloors = map[block.Tier]int64{block.Hour: 5}
	source.Tombstones = []manifest.Tombstone{partitiontest.Tombstone(1, 2), partitiontest.Tombstone(2, 3)}
	cut := partitiontest.CutBlock(1, 1)
	merged := partitiontest.MergedBlock(block.L2, partitiontest.TestDay, cut)
	in := &repairInput{
		copies:  []manifest.Copy{{Name: format.ManifestName, Err: format.Corrupt("test")}, {Name: format.TwinName, Err: format.Corrupt("test")}},
		salvage: &manifest.Salvaged{},
		holds:   func(uint64, uint64) bool { return false },
		files: []repairFile{
			{Info: partitiontest.CutBlock(2, 2), repeated: block.Repeated{Seed: 7}},
			{Info: merged, keys: manifest.KeyRange{First: "a", Last: "z"}, repeated: source.Repeated()},
		},
		checks:          map[uint64]seedCheck{7: {series: 3}},
		assumeNoDeletes: true,
	}
	p := planRepair(in)
	if p.state == nil {
		t.Fatalf("refused: %s", p.Refused)
	}
	s := p.state
	if s.Seed != 7 || s.Floor != source.Floor || s.TierFloor(block.Hour) != 5 || len(s.Tombstones) != 2 || s.Tombstones[1].ID != 2 {
		t.Errorf("seed %d, floors %d and %v, tombstones %+v", s.Seed, s.Floor, s.TierFloors, s.Tombstones)
	}
	in.checks[7] = seedCheck{series: 3, wrong: []string{merged.Name}}
	if p := planRepair(in); p.Refused == "" {
		t.Error("a seed that gives other identities is taken")
	}
}
