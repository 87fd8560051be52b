package repair

import (
	"fmt"
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

// The rules of a repaired MANIFEST are those of the newest state in a record or a footer,
// never more: a list that was dropped in between hides nothing again.
func TestRepairTakesTheRulesOfTheNewestFooter(t *testing.T) {
	day := func(n int64) int64 { return partitiontest.TestDay + n*model.DayMs }
	list := partitiontest.RuleList
	footer := func(edit uint64, lists ...manifest.RuleList) block.Repeated {
		s := manifest.NewState(1, 0)
		s.Number, s.RuleLists = edit, lists
		return s.Repeated()
	}
	more := func(r block.Repeated) block.Repeated { r.RulesLeftOut = true; return r }
	damaged := func(r block.Repeated) block.Repeated { r.RuleLists[0] = r.RuleLists[0][:3]; return r }
	other := footer(90, list(1, day(9)))
	other.Seed = 2
	cut := partitiontest.CutBlock(1, 1)
	for _, c := range []struct {
		name    string
		base    []manifest.RuleList // of edit 10; nil = no record is intact
		later   []*manifest.Edit
		footers []block.Repeated
		want    string // IDs and days of floors
		number  uint64 // of the repaired state
	}{
		{"one footer", nil, nil, []block.Repeated{footer(20, list(3, day(1)))}, "3:1", 101},
		{"two footers", nil, nil, []block.Repeated{footer(20, list(3, day(1))), footer(30, list(3, day(2)))}, "3:2", 101},
		{"two footers, the newer first", nil, nil, []block.Repeated{footer(30, list(3, day(2))), footer(20, list(3, day(1)))}, "3:2", 101},
		{"a list was dropped", nil, nil, []block.Repeated{footer(20, list(3, day(1)), list(4, day(1))), footer(30, list(4, day(2)))}, "4:2", 101},
		{"all lists were dropped", nil, nil, []block.Repeated{footer(20, list(3, day(1))), footer(30)}, "", 101},
		{"a cut repeats no state", nil, nil, []block.Repeated{footer(20, list(3, day(1))), {Seed: 1}}, "3:1", 101},
		{"a block of another database", nil, nil, []block.Repeated{footer(20, list(3, day(1))), other}, "3:1", 101},
		{"the footer names the last edit", nil, nil, []block.Repeated{footer(200, list(3, day(1)))}, "3:1", 201},
		{"the records are newer", []manifest.RuleList{list(3, day(2))}, nil, []block.Repeated{footer(9, list(3, day(1)), list(4, day(1)))}, "3:2", 101},
		{"the footer is newer", []manifest.RuleList{list(3, day(2)), list(5, day(2))}, nil, []block.Repeated{footer(11, list(3, day(3)), list(4, day(1)))}, "3:3 4:1", 101},
		{"a later edit raises a floor", []manifest.RuleList{list(3, day(1))}, []*manifest.Edit{{Number: 50, RuleLists: []manifest.RuleList{list(3, day(4))}}},
			[]block.Repeated{footer(40, list(3, day(3)), list(4, day(1)))}, "3:4 4:1", 101},
		{"a later edit drops a list", []manifest.RuleList{list(3, day(1))}, []*manifest.Edit{{Number: 50, DropRules: []uint64{3}}},
			[]block.Repeated{footer(40, list(3, day(3)), list(4, day(1)))}, "4:1", 101},
		{"an edit before the footer", []manifest.RuleList{list(3, day(1))}, []*manifest.Edit{{Number: 30, RuleLists: []manifest.RuleList{list(7, day(1))}}},
			[]block.Repeated{footer(40, list(3, day(3)))}, "3:3", 101},
		{"the footer has not all, the records have", []manifest.RuleList{list(3, day(1))}, nil, []block.Repeated{more(footer(40, list(4, day(3))))}, "3:1", 101},
		{"the footer has not all", nil, nil, []block.Repeated{more(footer(40, list(4, day(3))))}, "4:3", 101},
		{"one list cannot be read, the records can", []manifest.RuleList{list(3, day(1))}, nil, []block.Repeated{damaged(footer(40, list(4, day(3))))}, "3:1", 101},
	} {
		in := &repairInput{
			copies:  []manifest.Copy{{Name: format.ManifestName, Err: format.Corrupt("test")}, {Name: format.TwinName, Err: format.Corrupt("test")}},
			salvage: &manifest.Salvaged{Edits: map[uint64]*manifest.Edit{}},
			walEdit: 100, assumeNoDeletes: true, holds: func(uint64, uint64) bool { return false },
			checks: map[uint64]seedCheck{1: {series: 3}, 2: {series: 3, wrong: []string{"x"}}},
		}
		if c.base != nil {
			s := stateOf(2, cut)
			s.RuleLists = c.base
			in.salvage.Chains = []*manifest.State{s}
		}
		for _, e := range c.later {
			in.salvage.Edits[e.Number] = e
		}
		in.files = append(in.files, repairFile{Info: cut, repeated: block.Repeated{Seed: 1}})
		for i, r := range c.footers {
			in.files = append(in.files, repairFile{Info: block.Info{Name: fmt.Sprint("raw/", i)}, repeated: r, err: format.Corrupt("test")})
		}
		p := planRepair(in)
		if p.state == nil {
			t.Errorf("%s: refused: %s", c.name, p.Refused)
			continue
		}
		var got []string
		for _, l := range p.state.RuleLists {
			got = append(got, fmt.Sprintf("%d:%d", l.ID, (l.Rules[0].Floor(block.Raw)-partitiontest.TestDay)/model.DayMs))
		}
		if is := strings.Join(got, " "); is != c.want || p.state.Number != c.number {
			t.Errorf("%s: rules %q at edit %d, want %q at %d\n%s", c.name, is, p.state.Number, c.want, c.number, strings.Join(p.Lines, "\n"))
		}
	}
}
