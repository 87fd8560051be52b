package rollup

import (
	"math"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// A rollup block is written again once for each rule: when all its days are below the
// floor, at once or a day later, or when a third of its rows is hidden.
func TestPlanRewritesRollupsOfRules(t *testing.T) {
	for _, c := range []struct {
		name  string
		share float64
		floor int64 // days after the first of the block
		force bool
		want  bool
	}{
		{"nothing is hidden", 0, 9, true, false},
		{"little of some days", 0.2, 4, false, false},
		{"a third of some days", 0.34, 4, false, true},
		{"a tenth of all days", 0.1, 8, false, true},
		{"little of all days", 0.05, 8, false, false},
		{"little, a day later", 0.05, 9, false, true},
		{"by force", 0.05, 4, true, true},
	} {
		b := block.Info{Size: 100, MinTime: day0, MaxTime: day0 + 8*model.DayMs - 1}
		b.Meta.Key, b.Meta.Days = block.Hour.KeyAt(day0, block.L2), 8
		b.Name = block.FileName(b.Meta)
		st := manifest.NewState(1, 0)
		st.Blocks[b.Name] = manifest.Listed{Info: b}
		for n := range int64(8) {
			k := manifest.CoverKey{Tier: block.Hour, Day: day0 + n*model.DayMs}
			st.Coverage[k] = manifest.Coverage{CoverKey: k, Block: b.Name}
		}
		floor := day0 + c.floor*model.DayMs
		st.RuleLists = []manifest.RuleList{{ID: 1, Rules: []manifest.Rule{{Floors: map[block.Tier]int64{block.Hour: floor}}}}}
		step, ok := Plan(st, PlanOptions{NowMs: day0 + 20*model.DayMs, FreeBytes: math.MaxUint64, Tiers: []block.Tier{block.Hour}, Force: c.force,
			Hidden: func(string) (float64, int64) { return c.share, floor }})
		if got := ok && step.Action == Erase && len(step.Days) == 8; got != c.want {
			t.Errorf("%s: %v %+v", c.name, ok, step)
		}
	}
}
