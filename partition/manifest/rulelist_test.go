package manifest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
)

func equal(name, value string) []*labels.Matcher {
	return []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, name, value)}
}

type floors = map[block.Tier]int64

// testRules is a list of one rule, with two selectors, and the catch-all.
func testRules(id uint64, dev, rest floors) RuleList {
	return RuleList{ID: id, Rules: []Rule{
		{Selectors: [][]*labels.Matcher{equal("env", "dev"), {labels.MustNewMatcher(labels.MatchRegexp, "env", "test-.+"), labels.MustNewMatcher(labels.MatchNotEqual, "team", "a")}}, Floors: dev},
		{Floors: rest},
	}}
}

// ruleEdits applies edits with every field about retention rules to an empty MANIFEST.
func ruleEdits(t testing.TB, m *Manifest) *State {
	t.Helper()
	var s *State
	for _, e := range []Edit{
		{WallMs: 3, RuleLists: []RuleList{testRules(1, floors{block.Raw: testDay, block.Minute: testDay - model.DayMs}, nil)}},
		{WallMs: 4, RuleLists: []RuleList{testRules(1, floors{block.Raw: testDay + model.DayMs, block.Minute: testDay}, floors{block.Hour: testDay}),
			{ID: 2, Rules: []Rule{{Floors: floors{block.Raw: testDay}}}}}},
		{WallMs: 5, DropRules: []uint64{2}},
	} {
		var err error
		if s, err = m.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestRuleListsAreReplacedAndDropped(t *testing.T) {
	s := ruleEdits(t, createManifest(t, vfs.NewMem()))
	if len(s.RuleLists) != 1 || s.RuleLists[0].ID != 1 {
		t.Fatalf("%+v", s.RuleLists)
	}
	for _, c := range []struct {
		tier block.Tier
		want int64
	}{{block.Raw, testDay + model.DayMs}, {block.Minute, testDay}, {block.Hour, testDay}, {block.HalfHour, NoFloor}} {
		if got := s.HighestFloor(c.tier); got != c.want {
			t.Errorf("highest floor of %v: %d, want %d", c.tier, got, c.want)
		}
	}
	s = s.Apply(Edit{Floor: ptr(testDay + 5*model.DayMs)})
	if got := s.HighestFloor(block.Raw); got != testDay+5*model.DayMs {
		t.Errorf("the floor of all samples does not count: %d", got)
	}
}

func TestEditsOfRulesAreChecked(t *testing.T) {
	s := ruleEdits(t, createManifest(t, vfs.NewMem()))
	dev := floors{block.Raw: testDay + model.DayMs, block.Minute: testDay}
	rest := floors{block.Hour: testDay}
	lists := func(ls ...RuleList) Edit { return Edit{RuleLists: ls} }
	noRest := testRules(3, dev, rest)
	noRest.Rules = noRest.Rules[:1]
	var many []RuleList
	for i := range uint64(MaxRuleLists) {
		many = append(many, testRules(10+i, dev, rest))
	}
	tooMany := testRules(3, nil, nil)
	for range MaxRules {
		tooMany.Rules = append(tooMany.Rules[:1:1], tooMany.Rules...)
	}
	selectors := testRules(3, nil, nil)
	for range MaxSelectors {
		selectors.Rules[0].Selectors = append(selectors.Rules[0].Selectors, equal("a", "b"))
	}
	for _, c := range []struct {
		name, want string
		e          Edit
	}{
		{"as it is", "", lists(testRules(1, dev, rest))},
		{"a floor falls", "goes back", lists(testRules(1, floors{block.Raw: testDay, block.Minute: testDay}, rest))},
		{"a floor is missing", "goes back", lists(testRules(1, dev, nil))},
		{"other selectors", "selectors change", lists(RuleList{ID: 1, Rules: []Rule{{Floors: dev}}})},
		{"twice", "twice", lists(testRules(3, dev, rest), testRules(3, dev, rest))},
		{"dropped and changed", "twice", Edit{RuleLists: []RuleList{testRules(1, dev, rest)}, DropRules: []uint64{1}}},
		{"not there", "not there", Edit{DropRules: []uint64{2}}},
		{"dropped twice", "not there", Edit{DropRules: []uint64{1, 1}}},
		{"no rules", "0 rules", lists(RuleList{ID: 3})},
		{"no rule for the rest", "selectors", lists(noRest)},
		{"not a day", "not the start", lists(testRules(3, floors{block.Raw: testDay + 1}, nil))},
		{"not a tier", "tier 77", lists(testRules(3, floors{77: testDay}, nil))},
		{"too many lists", "65 lists", lists(many...)},
		{"too many rules", "258 rules", lists(tooMany)},
		{"too many selectors", "66 selectors", lists(selectors)},
	} {
		err := CheckEdit(s, c.e)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		} else if !errors.Is(err, ErrEdit) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A merge may leave nothing of a block of which rules may hide everything, and only of
// such a block.
func TestBlockBelowTheFloorOfARuleMayBeDropped(t *testing.T) {
	s := NewState(1, 0).Apply(cutEdit(cutBlock(1, 3)))
	var name string
	for n := range s.Blocks {
		name = n
	}
	if err := CheckEdit(s, Edit{Drop: []string{name}}); !errors.Is(err, ErrEdit) {
		t.Error(err)
	}
	s = s.Apply(Edit{RuleLists: []RuleList{testRules(1, floors{block.Raw: block.Raw.PartitionStart(s.Blocks[name].MinTime) + model.DayMs}, nil)}})
	if err := CheckEdit(s, Edit{Drop: []string{name}}); err != nil {
		t.Error(err)
	}
}

func TestManifestOfRulesHasItsOwnVersion(t *testing.T) {
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	s := ruleEdits(t, m)
	if v := fileVersion(t, fsys, "d/MANIFEST"); v != versionRules {
		t.Errorf("version %d with rules", v)
	}
	r := snapshotOf(s)
	decoded, err := decodeRecord(appendRecord(nil, &r))
	must(t, err)
	decoded.Number = s.Number
	if got := decoded.state(); !reflect.DeepEqual(got.Apply(Edit{Number: s.Number, WallMs: s.WallMs}).RuleLists[0].describe(), s.RuleLists[0].describe()) {
		t.Errorf("got\n%+v\nwant\n%+v", got, s)
	}
	mustApply(t, m, Edit{DropRules: []uint64{1}})
	must(t, m.Close())
	m, err = Open(fsys, "d", 0) // a snapshot
	must(t, err)
	must(t, m.Close())
	if v := fileVersion(t, fsys, "d/MANIFEST"); v != 1 {
		t.Errorf("version %d without rules", v)
	}
}

func TestManifestOfRulesDescribedIsGolden(t *testing.T) {
	fsys := vfs.NewMem()
	m := createManifest(t, fsys)
	ruleEdits(t, m)
	must(t, m.Close())
	var out bytes.Buffer
	must(t, Describe(&out, fsys, "d/MANIFEST"))
	golden := filepath.Join("testdata", "rules.txt")
	if *update {
		must(t, os.WriteFile(golden, out.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if out.String() != string(want) {
		t.Errorf("the format changed (-update rewrites the golden file):\n%s", out.String())
	}
}
