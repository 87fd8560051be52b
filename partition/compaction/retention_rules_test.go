package compaction

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

// The floor of a rule waits for the rollups of its own series, and never falls.
func TestFloorsOfRules(t *testing.T) {
	day := func(n int64) int64 { return partitiontest.TestDay + n*model.DayMs }
	dev := [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "env", "dev")}}
	rules := func(raw int64) []manifest.Rule {
		return []manifest.Rule{{Selectors: dev, Floors: map[block.Tier]int64{block.Raw: raw}}, {}}
	}
	everyday := "L2:1-3@-4 L2:1-3@-3 L2:1-3@-2 L2:1-3@-1"
	nothing := func(l *manifest.RuleList, rule int, tr model.TimeRange) int64 { return math.MaxInt64 }
	head := func(n int64) func(*manifest.RuleList, int, model.TimeRange) int64 {
		return func(_ *manifest.RuleList, rule int, tr model.TimeRange) int64 {
			if rule == 0 && tr.Contains(day(n)+5) {
				return day(n) + 5
			}
			return math.MaxInt64
		}
	}
	has := func(which bool) func(*manifest.RuleList, int, string, model.TimeRange, uint64) bool {
		return func(_ *manifest.RuleList, rule int, _ string, _ model.TimeRange, gen uint64) bool {
			return which && rule == 0 && gen == 0
		}
	}
	for _, c := range []struct {
		name    string
		blocks  string
		reached int64 // floor of the rule that is recorded; 99 = none
		target  int64
		change  func(o *RetentionOptions)
		want    int64 // floor that is recorded then; 99 = none
	}{
		{"the target is reached", everyday, 99, -1, nil, -1},
		{"the floor rises", everyday, -3, -1, nil, -1},
		{"the rule keeps its series longer now", everyday, -1, -3, nil, -1},
		{"the head has samples of its series", everyday, 99, -1, func(o *RetentionOptions) { o.HeadMin, o.OldestInHead = day(-2), head(-2) }, -2},
		{"above what is recorded", everyday, -3, -1, func(o *RetentionOptions) { o.HeadMin, o.OldestInHead = day(-2), head(-2) }, -2},
		{"the head has samples of other series", everyday, 99, -1, func(o *RetentionOptions) { o.HeadMin, o.OldestInHead = day(-2), nothing }, -1},
		{"no tier keeps its series", everyday, 99, -1, func(o *RetentionOptions) {
			o.HeadMin, o.OldestInHead, o.Rules[0].Floors[block.Hour] = day(-2), head(-2), day(-1)
		}, -1},
		{"a tier keeps its series a day longer", everyday, 99, -1, func(o *RetentionOptions) {
			o.HeadMin, o.OldestInHead, o.Rules[0].Floors[block.Hour] = day(-2), head(-2), day(-2)
		}, -2},
		{"an L0 has samples of its series", everyday + " L0:8-8@-3", 99, -1, nil, -3},
		{"an L0 has samples of other series", everyday + " L0:8-8@-3", 99, -1, func(o *RetentionOptions) { o.RuleHas = has(false) }, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := manifest.NewState(1, 0)
			for _, b := range planSet(t, c.blocks) {
				s.Blocks[b.Name] = b.Listed
				if k := (manifest.CoverKey{Tier: block.Hour, Day: b.Partition}); b.Level == block.L2 {
					s.Coverage[k] = manifest.Coverage{CoverKey: k, Block: "hours", Gen: 5}
				}
			}
			s.WALLow = 9
			if c.reached != 99 {
				s.RuleLists = []manifest.RuleList{{ID: 4, Rules: rules(day(c.reached))}}
			}
			o := RetentionOptions{Raw: manifest.NoFloor, Tiers: map[block.Tier]int64{block.Hour: manifest.NoFloor}, HeadMin: math.MaxInt64, Rules: rules(day(c.target)), RuleHas: has(true)}
			if c.change != nil {
				c.change(&o)
			}
			e, _ := PlanRetention(s, o)
			got := int64(99)
			for _, l := range append(s.RuleLists, e.RuleLists...) {
				got = (l.Rules[0].Floor(block.Raw) - day(0)) / model.DayMs
			}
			if got != c.want {
				t.Errorf("the floor is day %d, want %d: %+v", got, c.want, e)
			}
			if c.reached == c.want && len(e.RuleLists) > 0 {
				t.Errorf("a list is recorded that does not change: %+v", e.RuleLists)
			}
		})
	}
}
