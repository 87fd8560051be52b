package repair

import (
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

// A repair without any record of the MANIFEST may not revive what was deleted: the
// footer of the newest merge repeats the deletions, if no cut came after it.
func TestRepairKnowsDeletionsFromFooters(t *testing.T) {
	later := manifest.NewState(9, 0)
	later.Tombstones = []manifest.Tombstone{partitiontest.Tombstone(5, 3)}
	l2 := partitiontest.MergedBlock(block.L2, partitiontest.TestDay, partitiontest.CutBlock(1, 4))
	for _, c := range []struct {
		name    string
		change  func(in *repairInput)
		refused bool
	}{
		{"the log has what came since", func(*repairInput) {}, false},
		{"the log is damaged", func(in *repairInput) { in.walDamaged = true }, true},
		{"the log begins later", func(in *repairInput) { in.walGens = []uint64{6} }, true},
		{"a cut is newer", func(in *repairInput) {
			in.files = append(in.files, repairFile{Info: partitiontest.CutBlock(5, 5), repeated: block.Repeated{Seed: 9}})
			in.walGens = []uint64{6}
		}, true},
		{"tombstones were left out", func(in *repairInput) { in.files[0].repeated.LeftOut = true }, true},
		{"one cannot be decoded", func(in *repairInput) { in.files[0].repeated.Tombstones[0] = []byte{1} }, true},
		{"only the footer of a cut has the seed", func(in *repairInput) {
			in.files[0].repeated = block.Repeated{}
			in.salvage.Seeds = []uint64{9}
		}, true},
	} {
		in := &repairInput{
			copies:  []manifest.Copy{{Name: format.ManifestName, Err: format.Corrupt("test")}, {Name: format.TwinName, Err: format.Corrupt("test")}},
			salvage: &manifest.Salvaged{Edits: map[uint64]*manifest.Edit{}},
			walEdit: 100, walGens: []uint64{5}, holds: func(lo, hi uint64) bool { return false },
			checks: map[uint64]seedCheck{9: {series: 3}},
			files:  []repairFile{{Info: l2, keys: manifest.KeyRange{First: "a", Last: "z"}, repeated: later.Repeated()}},
		}
		c.change(in)
		p := planRepair(in)
		if (p.Refused != "") != c.refused || c.refused && !strings.Contains(p.Refused, "deletions") {
			t.Errorf("%s: refused %q\n%s", c.name, p.Refused, strings.Join(p.Lines, "\n"))
		}
		if p.state != nil && len(p.state.Tombstones) != 1 {
			t.Errorf("%s: %+v", c.name, p.state)
		}
	}
}

// Raw blocks below the retention floor hold samples that stand in for buckets. They
// are kept although the rollup block that says so is lost.
func TestRepairKeepsSamplesThatStandIn(t *testing.T) {
	day := partitiontest.TestDay
	raw := partitiontest.MergedBlock(block.L2, day, partitiontest.CutBlock(1, 4))
	rollup := func(tier block.Tier, n int64) block.Info {
		b := rollupBlock(day+n*model.DayMs, 1, 4, 0)
		b.Tier = tier
		b.Name = block.FileName(b.Meta)
		return b
	}
	for _, c := range []struct {
		name   string
		floor  int64 // day
		minute int64 // floor of minutes, day
		files  []block.Info
		want   block.Tier // that stands in; Raw = none
	}{
		{"above the floor", 0, -9, nil, block.Raw},
		{"below the floor", 1, -9, nil, block.Minute},
		{"below that of minutes, too", 1, 1, nil, block.Raw},
		{"an hour of the day does not tell", 1, -9, []block.Info{rollup(block.Hour, 0)}, block.Minute},
		{"a minute block of the day lists the series", 1, -9, []block.Info{rollup(block.Minute, 0)}, block.Raw},
		{"the finest tier is one of 5 minutes", 1, -9, []block.Info{rollup(block.Minutes5, 3)}, block.Minutes5},
	} {
		base := stateOf(5, raw)
		base.Floor = day + c.floor*model.DayMs
		base.TierFloors[block.Minute] = day + c.minute*model.DayMs
		p := repairCase{base: base, files: append([]block.Info{raw}, c.files...)}.plan()
		if p.Refused != "" {
			t.Errorf("%s: refused: %s", c.name, p.Refused)
			continue
		}
		got := block.Raw
		for _, e := range p.state.SortedCoverage() {
			if e.StandIn {
				got = e.Tier
			}
		}
		if got != c.want {
			t.Errorf("%s: samples stand in for %v, want %v\n%s", c.name, got, c.want, strings.Join(p.Lines, "\n"))
		}
	}
}
