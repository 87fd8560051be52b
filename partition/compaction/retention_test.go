package compaction

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

func TestRetentionTarget(t *testing.T) {
	for _, c := range []struct{ now, retention, want int64 }{
		{partitiontest.TestDay + 5*model.HourMs, model.DayMs, partitiontest.TestDay - model.DayMs},
		{partitiontest.TestDay, model.DayMs, partitiontest.TestDay - model.DayMs},
		{partitiontest.TestDay - 1, model.DayMs, partitiontest.TestDay - 2*model.DayMs},
		{partitiontest.TestDay, 0, manifest.NoFloor},
		{partitiontest.TestDay, -5, manifest.NoFloor},
		{0, math.MaxInt64, manifest.NoFloor},
		{-1 << 63, 1, manifest.NoFloor},
	} {
		if got := RetentionTarget(c.now, c.retention); got != c.want {
			t.Errorf("now %d, retention %d: %d, want %d", c.now, c.retention, got, c.want)
		}
	}
}

func TestPlanRetention(t *testing.T) {
	s := manifest.NewState(1, 0)
	for _, b := range planSet(t, "L2:1-3@-3 L1:4-5@-3 L2:1-3@-2 L0:6-6@-3 L0:7-7@0") {
		s.Blocks[b.Name] = b.Listed
	}
	s.WALLow = 9
	gens := func(e manifest.Edit) string {
		var out []string
		for _, name := range e.Drop {
			b := s.Blocks[name]
			out = append(out, fmt.Sprintf("%v:%d-%d", b.Level, b.MinGen, b.MaxGen))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	day := func(n int64) int64 { return partitiontest.TestDay + n*model.DayMs }
	only := func(raw int64) RetentionOptions { return RetentionOptions{Raw: raw} }
	if e, ok := PlanRetention(s, only(day(-2))); !ok || *e.Floor != day(-2) || gens(e) != "L0:6-6 L1:4-5 L2:1-3" {
		t.Errorf("edit %+v: %s", e, gens(e))
	}
	s.Floor = day(-1)
	if e, ok := PlanRetention(s, only(day(-2))); !ok || e.Floor != nil || len(e.Drop) != 4 {
		t.Errorf("the floor goes back, or blocks below it stay: %+v", e)
	}
	if _, ok := PlanRetention(manifest.NewState(1, 0), only(manifest.NoFloor)); ok {
		t.Error("nothing to do, and yet an edit")
	}
}

// The floor of samples does not pass what the rollups do not have.
func TestRetentionWaitsForRollups(t *testing.T) {
	day := func(n int64) int64 { return partitiontest.TestDay + n*model.DayMs }
	type state = manifest.State
	cover := func(s *state, tier block.Tier, n int64, gen uint64, change ...func(c *manifest.Coverage)) {
		c := manifest.Coverage{CoverKey: manifest.CoverKey{Tier: tier, Day: day(n)}, Block: fmt.Sprintf("%v/%d", tier, n), Gen: gen}
		for _, f := range change {
			f(&c)
		}
		s.Coverage[c.CoverKey] = c
	}
	all := func(s *state) {
		for n := int64(-4); n < -1; n++ {
			cover(s, block.Minute, n, 5)
			cover(s, block.Hour, n, 5)
		}
	}
	delete1 := func(id uint64) func(s *state) {
		return func(s *state) {
			s.Tombstones = append(s.Tombstones, manifest.Tombstone{ID: id, Gen: 2, Range: model.TimeRange{Min: day(-3), Max: day(-2)}})
		}
	}
	everyday := "L2:1-3@-4 L2:1-3@-3 L2:1-3@-2 L2:1-3@-1"
	both := map[block.Tier]int64{block.Minute: manifest.NoFloor, block.Hour: manifest.NoFloor}
	none := func(*state) {}
	quarantined := func(word string) func(string) bool { // level and generation
		return func(name string) bool {
			level, gen, _ := strings.Cut(word, "-")
			if level == "0" {
				return strings.Contains(name, fmt.Sprintf("l0/%012s-", gen))
			}
			return strings.Contains(name, fmt.Sprintf("l%s-%012s-", level, gen))
		}
	}
	for _, c := range []struct {
		name   string
		blocks string
		change func(s *state)
		o      RetentionOptions
		want   int64 // floor
		drop   int
	}{
		{"no rollups", everyday, none, RetentionOptions{}, -1, 3},
		{"all covered", everyday, all, RetentionOptions{Tiers: both}, -1, 3},
		{"nothing covered", everyday, none, RetentionOptions{Tiers: both}, -4, 0},
		{"samples of a day could not be read", everyday, func(s *state) {
			all(s)
			cover(s, block.Hour, -3, 5, func(c *manifest.Coverage) { c.Lost = []model.TimeRange{{Min: day(-3), Max: day(-3) + 5}} })
		}, RetentionOptions{Tiers: both}, -1, 3},
		{"a day without samples", "L2:1-3@-4 L2:1-3@-2", all, RetentionOptions{Tiers: both}, -1, 2},
		{"a day of a tier is not covered", everyday, func(s *state) { all(s); delete(s.Coverage, manifest.CoverKey{Tier: block.Hour, Day: day(-3)}) }, RetentionOptions{Tiers: both}, -3, 1},
		{"the tier is off", everyday, func(s *state) { all(s); delete(s.Coverage, manifest.CoverKey{Tier: block.Hour, Day: day(-3)}) },
			RetentionOptions{Tiers: map[block.Tier]int64{block.Minute: manifest.NoFloor}}, -1, 3},
		{"the tier is off, and has a day that changed", everyday, func(s *state) { all(s); cover(s, block.Hour, -3, 2) },
			RetentionOptions{Tiers: map[block.Tier]int64{block.Minute: manifest.NoFloor}}, -3, 1},
		{"the tier is off, and what changed is below its floor", everyday, func(s *state) {
			all(s)
			cover(s, block.Hour, -3, 2)
			s.TierFloors = map[block.Tier]int64{block.Hour: day(-2)}
		}, RetentionOptions{Tiers: map[block.Tier]int64{block.Minute: manifest.NoFloor}}, -1, 3},
		{"all tiers are off, and one has a day that changed", everyday, func(s *state) { cover(s, block.Hour, -2, 2) }, RetentionOptions{}, -2, 2},
		{"the tier is kept shorter", everyday, func(s *state) { all(s); delete(s.Coverage, manifest.CoverKey{Tier: block.Minute, Day: day(-3)}) },
			RetentionOptions{Tiers: map[block.Tier]int64{block.Minute: day(-2), block.Hour: manifest.NoFloor}}, -1, 3},
		{"the first day that the tier keeps", everyday, func(s *state) { all(s); delete(s.Coverage, manifest.CoverKey{Tier: block.Minute, Day: day(-2)}) },
			RetentionOptions{Tiers: map[block.Tier]int64{block.Minute: day(-2), block.Hour: manifest.NoFloor}}, -2, 2},
		{"newer samples in an L2", everyday, func(s *state) { all(s); cover(s, block.Hour, -2, 2) }, RetentionOptions{Tiers: both}, -2, 2},
		{"newer samples in an L1", everyday + " L1:6-7@-3", all, RetentionOptions{Tiers: both}, -3, 1},
		{"samples in an L0", everyday + " L0:8-8@-3", all, RetentionOptions{Tiers: both}, -3, 1},
		{"samples in the head", everyday, all, RetentionOptions{Tiers: both, HeadMin: day(-2) + 5}, -2, 2},
		{"samples in the head that are not too old", everyday, all, RetentionOptions{Tiers: both, HeadMin: day(0)}, -1, 3},
		{"a deletion that is not applied", everyday, func(s *state) { all(s); delete1(7)(s) }, RetentionOptions{Tiers: both}, -3, 1},
		{"a deletion that concerns no series", everyday, func(s *state) { all(s); delete1(7)(s) },
			RetentionOptions{Tiers: both, Concerns: func(*manifest.Tombstone, string) bool { return false }}, -1, 3},
		{"a deletion that is applied", everyday, func(s *state) {
			all(s)
			delete1(7)(s)
			cover(s, block.Minute, -3, 5, func(c *manifest.Coverage) { c.Tombstone = 7 })
			cover(s, block.Hour, -3, 5, func(c *manifest.Coverage) { c.Tombstone = 7 })
		}, RetentionOptions{Tiers: both}, -1, 3},

		{"an L0 that is quarantined", everyday + " L0:8-8@-3 L0:9-9@-2", all, RetentionOptions{Tiers: both, Quarantined: quarantined("0-8")}, -1, 5},
		{"an L0 behind it", everyday + " L0:7-7@-2 L0:8-8@-1 L0:9-9@-3", all, RetentionOptions{Tiers: both, Quarantined: quarantined("0-8")}, -2, 3},
		{"an L1 behind one that is quarantined", everyday + " L1:6-6@-3 L1:7-7@-3", all, RetentionOptions{Tiers: both, Quarantined: quarantined("1-6")}, -1, 5},
		{"an L1 of another day", everyday + " L1:6-6@-3 L1:7-7@-2", all, RetentionOptions{Tiers: both, Quarantined: quarantined("1-6")}, -2, 3},
		{"samples in the head, those of another day stand in, the tier is off", everyday, func(s *state) {
			cover(s, block.Minute, -4, 5, func(c *manifest.Coverage) { c.Block, c.StandIn = "", true })
		}, RetentionOptions{HeadMin: day(-2)}, -2, 1},

		{"samples stand in", everyday, func(s *state) {
			all(s)
			cover(s, block.Minute, -3, 5, func(c *manifest.Coverage) { c.Block, c.StandIn = "", true })
		}, RetentionOptions{Tiers: both}, -1, 2},
		{"samples of some series stand in", everyday, all, RetentionOptions{Tiers: both,
			StandsIn: func(c *manifest.Coverage) bool { return c.Tier == block.Minute && c.Day != day(-4) }}, -1, 1},
		{"samples stood in", everyday, func(s *state) {
			all(s)
			cover(s, block.Minute, -3, 5, func(c *manifest.Coverage) { c.Block, c.StandIn = "", true })
			s.Floor = day(-1)
		}, RetentionOptions{Tiers: map[block.Tier]int64{block.Minute: day(-2), block.Hour: manifest.NoFloor}}, -1, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := manifest.NewState(1, 0)
			for _, b := range planSet(t, c.blocks) {
				s.Blocks[b.Name] = b.Listed
			}
			s.WALLow = 9
			c.change(s)
			c.o.Raw = day(-1)
			if c.o.HeadMin == 0 {
				c.o.HeadMin = math.MaxInt64
			}
			e, _ := PlanRetention(s, c.o)
			floor := max(s.Floor, day(-4))
			if e.Floor != nil {
				floor = *e.Floor
			}
			if floor != day(c.want) || len(e.Drop) != c.drop {
				t.Errorf("floor of day %d, want %d; dropped %q, want %d", (floor-day(0))/model.DayMs, c.want, e.Drop, c.drop)
			}
		})
	}
}

// Entries below the floor of their tier are removed, and blocks without any other.
func TestRetentionOfRollups(t *testing.T) {
	day := func(n int64) int64 { return partitiontest.TestDay + n*model.DayMs }
	s := manifest.NewState(1, 0)
	add := func(tier block.Tier, from int64, days uint32) {
		m := block.Meta{Key: block.Key{Tier: tier, Partition: day(from), Level: block.L2}, MinGen: 1, MaxGen: 2, Days: days, Sources: []string{"x"}}
		b := block.Info{Name: block.FileName(m), Meta: m, Size: 1, Series: 1, MinTime: day(from), MaxTime: day(from)}
		s.Blocks[b.Name] = manifest.Listed{Info: b}
		for n := range int64(days) {
			c := manifest.Coverage{CoverKey: manifest.CoverKey{Tier: tier, Day: day(from + n)}, Block: b.Name}
			s.Coverage[c.CoverKey] = c
		}
	}
	add(block.Minute, -8, 8)
	add(block.Hour, -10, 2)
	add(block.Hour, -8, 8)
	s.WALLow = 9
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	e, ok := PlanRetention(s, RetentionOptions{Raw: manifest.NoFloor, HeadMin: math.MaxInt64,
		Tiers: map[block.Tier]int64{block.Minute: day(-8), block.Hour: day(-6)}})
	if !ok || len(e.Uncover) != 4 || len(e.Drop) != 1 || e.Floor != nil || len(e.TierFloors) != 2 {
		t.Fatalf("edit %+v", e)
	}
	if err := manifest.CheckEdit(s, e); err != nil {
		t.Fatal(err)
	}
	s = s.Apply(e)
	if e, ok := PlanRetention(s, RetentionOptions{Raw: manifest.NoFloor, Tiers: map[block.Tier]int64{block.Minute: day(-9), block.Hour: day(-6)}}); ok {
		t.Errorf("nothing to do, and yet %+v", e)
	}
}
