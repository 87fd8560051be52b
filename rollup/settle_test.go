package rollup

import (
	"maps"
	"math/rand"
	"slices"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
)

// The planner against histories of many shapes: no batch is missed at any time, all
// days are clean in the end, the blocks are few, and a byte is written a bounded
// number of times.
func TestPlannerOfRollupsSettles(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name  string
		every int64 // time between cuts
		days  int64
		late  func(r *rand.Rand) []int64 // ages in days of late samples of a cut
		more  func(s *simulation, r *rand.Rand)
		ratio float64 // most bytes written by bytes in the end
	}{
		{name: "in order", every: 2 * model.HourMs, days: 100, ratio: 3},
		{name: "dense cuts", every: 30 * model.MinuteMs, days: 20, ratio: 3},
		{name: "stragglers", every: 2 * model.HourMs, days: 80, ratio: 8, late: func(*rand.Rand) []int64 { return []int64{1, 2, 3} }},
		{name: "now and then very late", every: 2 * model.HourMs, days: 100, ratio: 8, late: func(r *rand.Rand) []int64 {
			if r.Intn(20) == 0 {
				return []int64{r.Int63n(100)}
			}
			return nil
		}},
		{name: "deletions", every: 2 * model.HourMs, days: 100, ratio: 10, more: func(s *simulation, r *rand.Rand) {
			if r.Intn(60) == 0 {
				from := day0 + r.Int63n(100)*model.DayMs
				s.delete(model.TimeRange{Min: from, Max: from + 1 + r.Int63n(4*model.DayMs)})
			}
		}},
		{name: "deletions after the samples have left", every: 2 * model.HourMs, days: 100, ratio: 12, more: func(s *simulation, r *rand.Rand) {
			s.retain(20)
			if r.Intn(100) == 0 {
				from := day0 + r.Int63n(100)*model.DayMs
				s.delete(model.TimeRange{Min: from, Max: from + 1 + r.Int63n(4*model.DayMs)})
			}
		}},
		{name: "a tier goes off", every: 2 * model.HourMs, days: 60, ratio: 4, late: func(*rand.Rand) []int64 { return []int64{2} },
			more: func(s *simulation, _ *rand.Rand) {
				if s.nowMs > day0+30*model.DayMs {
					s.tiers = []block.Tier{block.Hour}
				}
			}},
		{name: "days without rows", every: 2 * model.HourMs, days: 100, ratio: 3, more: func(s *simulation, _ *rand.Rand) {
			s.empty = func(day int64) bool { return day/model.DayMs%3 == 0 }
		}},
		{name: "forced now and then", every: 2 * model.HourMs, days: 60, ratio: 20, more: func(s *simulation, r *rand.Rand) {
			if r.Intn(60) == 0 {
				for s.merge(compaction.PlanFinal) {
				}
				for s.step(true) {
				}
			}
		}},
		{name: "blocks are quarantined until the next start", every: 2 * model.HourMs, days: 60, ratio: 20, more: func(s *simulation, r *rand.Rand) {
			if r.Intn(100) == 0 {
				clear(s.bad)
			} else if names := slices.Sorted(maps.Keys(s.state.Blocks)); r.Intn(50) == 0 {
				s.bad[names[r.Intn(len(names))]] = true
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewSource(1))
			s := newSimulation(t, block.Minute, block.Hour)
			for s.nowMs < day0+c.days*model.DayMs {
				s.nowMs += c.every
				today := block.Raw.PartitionStart(s.nowMs)
				content := map[int64]int64{today: mib + r.Int63n(mib)}
				if c.late != nil {
					for _, age := range c.late(r) {
						if day := today - age*model.DayMs; age > 0 && day >= day0 {
							content[day] = 1000 + r.Int63n(mib/100)
						}
					}
				}
				s.cut(content)
				for s.merge(compaction.PlanMerge) {
				}
				for s.step(false) {
				}
				if c.more != nil {
					c.more(s, r)
				}
			}
			clear(s.bad)
			s.retry = func(*manifest.Coverage) bool { return true }
			s.settle()
			n, bytes := s.blocks()
			var written int64
			for _, b := range s.written {
				written += b
			}
			ratio := float64(written) / float64(bytes)
			t.Logf("%d blocks, at most %d; written %.2f times: %v bytes in %v steps", n, s.most, ratio, s.written, s.steps)
			groups := int(c.days/smallGroup + c.days/largeGroup + 2)
			if most := len(s.tiers) * (smallGroup + smallGroup + groups); n > most || s.most > 2*most {
				t.Errorf("%d rollup blocks of %d days, at most %d, want at most %d", n, c.days, s.most, most)
			}
			if ratio > c.ratio {
				t.Errorf("rollups were written %.2f times, want at most %v", ratio, c.ratio)
			}
		})
	}
}

// Years that are rolled up for the first time have few blocks at any time.
func TestPlannerTakesABacklog(t *testing.T) {
	s := newSimulation(t)
	const days = 300
	for i := range int64(days) {
		s.nowMs += model.DayMs
		s.cut(map[int64]int64{day0 + i*model.DayMs: 1 << 20})
		for s.merge(compaction.PlanFinal) {
		}
	}
	s.tiers = []block.Tier{block.Minute, block.Hour}
	for n := 0; s.step(false); n++ {
		if n > 3*days {
			t.Fatal("no end")
		}
	}
	s.settle()
	n, _ := s.blocks()
	t.Logf("%d blocks, at most %d, steps %v", n, s.most, s.steps)
	if s.most > 2*(maxSingleDayBlocks+largeGroup)+2*days/largeGroup || n > 2*(days/largeGroup+2*smallGroup) {
		t.Errorf("%d rollup blocks in the end, %d at most", n, s.most)
	}
}
