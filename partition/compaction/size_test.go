package compaction

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

// sizeState is a state with an L2 of 100 bytes a day, and a rollup of 10 bytes a day for
// each tier.
func sizeState(days int64, tiers ...block.Tier) *manifest.State {
	s := manifest.NewState(1, 0)
	add := func(name string, b block.Info) {
		b.Name = name
		s.Blocks[name] = manifest.Listed{Info: b}
	}
	for n := range days {
		day := partitiontest.TestDay - n*model.DayMs
		raw := block.Info{Size: 100, MinTime: day, MaxTime: day + 5}
		raw.Meta.Key = block.Raw.KeyAt(day, block.L2)
		add(fmt.Sprintf("raw%d", n), raw)
		if n == 0 {
			continue
		}
		for _, t := range tiers {
			b := block.Info{Size: 10, MinTime: day, MaxTime: day + 5}
			b.Meta.Key, b.Meta.Days = t.KeyAt(day, block.L2), 1
			name := fmt.Sprintf("%v%d", t, n)
			add(name, b)
			k := manifest.CoverKey{Tier: t, Day: day}
			s.Coverage[k] = manifest.Coverage{CoverKey: k, Block: name}
		}
	}
	return s
}

func TestPlanSize(t *testing.T) {
	day := func(ago int64) int64 { return partitiontest.TestDay - ago*model.DayMs }
	both := []block.Tier{block.Hour, block.Minute}
	standIn := func(s *manifest.State) {
		for k, c := range s.Coverage {
			if k.Tier == block.Minute {
				delete(s.Blocks, c.Block)
				c.Block, c.StandIn = "", true
				s.Coverage[k] = c
			}
		}
	}
	for _, c := range []struct {
		name         string
		limit, other int64
		change       func(s *manifest.State)
		pinned       string
		raw, minute  int64 // first day that is kept, ago; 99 = no floor
		hour         int64
		left         int64
	}{
		{"it fits", 2000, 0, nil, "", 99, 99, 99, 1180},
		{"samples first", 1000, 0, nil, "", 7, 99, 99, 980},
		{"beside the log", 1000, 100, nil, "", 6, 99, 99, 980},
		{"all but two days of samples", 380, 0, nil, "", 1, 99, 99, 380},
		{"then minutes", 350, 0, nil, "", 1, 6, 99, 350},
		{"then hours", 290, 0, nil, "", 1, 1, 8, 290},
		{"no more than that", 50, 0, nil, "", 1, 1, 1, 220},
		{"a pinned file frees nothing", 1000, 0, nil, "raw9", 6, 99, 99, 980},
		{"all are pinned", 1000, 0, nil, "raw", 99, 1, 1, 1020},
		{"samples that stand in leave with minutes", 1000, 0, standIn, "", 8, 8, 99, 990},
	} {
		s := sizeState(10, both...)
		if c.change != nil {
			c.change(s)
		}
		p := PlanSize(s, SizeOptions{NowMs: partitiontest.TestDay + 5, Limit: c.limit, Other: c.other, Tiers: both,
			Pinned: func(name string) bool { return c.pinned != "" && strings.HasPrefix(name, c.pinned) }})
		for tier, ago := range map[block.Tier]int64{block.Raw: c.raw, block.Minute: c.minute, block.Hour: c.hour} {
			want := day(ago)
			got, ok := p.Floors[tier]
			if ago == 99 && ok || ago != 99 && got != want {
				t.Errorf("%s: floor of %v is %s, want %s", c.name, tier, manifest.FormatMs(got), manifest.FormatMs(want))
			}
		}
		if p.Left != c.left || p.Met() != (c.left <= c.limit) {
			t.Errorf("%s: %d bytes are left, met %v; want %d", c.name, p.Left, p.Met(), c.left)
		}
	}
}

// Strategy: days come with random sizes, rollups follow or lag, files are pinned now and
// then; every day the plan raises floors, and blocks below them leave. Invariants: the
// newest two days stay; no floor is asked for while the data fit; rollups lose nothing
// while samples could leave; the remaining bytes are those that the plan stated, and within
// the limit if it stated that.
func TestPlanSizeOverAYear(t *testing.T) {
	for seed := range int64(20) {
		r := rand.New(rand.NewSource(seed))
		s := manifest.NewState(1, 0)
		tiers := []block.Tier{block.Minute, block.Hour}
		pinned := map[string]bool{}
		limit := int64(3000 + r.Intn(9000))
		unmet := 0
		for n := range int64(365) {
			day := partitiontest.TestDay + n*model.DayMs
			raw := block.Info{Name: fmt.Sprintf("raw%d", n), Size: 50 + r.Int63n(500), MinTime: day, MaxTime: day + 5}
			raw.Meta.Key = block.Raw.KeyAt(day, block.L2)
			s.Blocks[raw.Name] = manifest.Listed{Info: raw}
			for i, tier := range tiers {
				k := manifest.CoverKey{Tier: tier, Day: day}
				c := manifest.Coverage{CoverKey: k}
				if seed%3 == 0 && tier == block.Minute {
					c.StandIn = true
				} else {
					b := block.Info{Name: fmt.Sprintf("%v%d", tier, n), Size: raw.Size / int64(5+20*i), MinTime: day, MaxTime: day + 5}
					b.Meta.Key, b.Meta.Days = tier.KeyAt(day, block.L2), 1
					s.Blocks[b.Name], c.Block = manifest.Listed{Info: b}, b.Name
				}
				s.Coverage[k] = c
			}
			if pinned[raw.Name] = r.Intn(10) == 0; r.Intn(20) == 0 {
				clear(pinned)
			}
			o := SizeOptions{NowMs: day + model.HourMs, Limit: limit, Tiers: tiers, Pinned: func(name string) bool { return pinned[name] }}
			p := PlanSize(s, o)
			if p.Used <= limit && len(p.Floors) > 0 {
				t.Fatalf("seed %d: floors are raised though the data fit", seed)
			}
			for tier, floor := range p.Floors {
				if floor > day-model.DayMs {
					t.Fatalf("seed %d: the floor of %v takes one of the newest two days", seed, tier)
				}
			}
			for _, b := range s.Blocks {
				standsIn := s.Coverage[manifest.CoverKey{Tier: block.Minute, Day: b.Partition}].StandIn && b.Partition >= p.Floors[block.Minute]
				if p.Floors[block.Minute] != 0 && b.Tier == block.Raw && b.Partition >= max(s.Floor, p.Floors[block.Raw]) && b.Partition < day-model.DayMs && !pinned[b.Name] && !standsIn {
					t.Fatalf("seed %d: minutes leave before %s", seed, b.Name)
				}
			}
			if !p.Met() {
				unmet++
			}
			ro := RetentionOptions{Raw: p.Floors[block.Raw], Tiers: map[block.Tier]int64{}, HeadMin: day}
			if ro.Raw == 0 {
				ro.Raw = s.Floor
			}
			for _, tier := range tiers {
				if ro.Tiers[tier] = s.TierFloor(tier); p.Floors[tier] != 0 {
					ro.Tiers[tier] = p.Floors[tier]
				}
			}
			for name, b := range s.Blocks { // everything is rolled up
				b.MaxGen = 0
				s.Blocks[name] = b
			}
			e, _ := PlanRetention(s, ro)
			left, kept := int64(0), int64(0)
			s = s.Apply(e)
			for _, b := range s.Blocks {
				left += b.Size
			}
			for _, name := range e.Drop {
				if pinned[name] {
					kept += 600 // at most: it stays on disk
				}
			}
			if left > p.Left || left+kept < p.Left {
				t.Fatalf("seed %d: day %d: %d bytes are left, the plan said %d", seed, n, left, p.Left)
			}
		}
		if unmet > 200 {
			t.Errorf("seed %d: the bound of %d was not met on %d days", seed, limit, unmet)
		}
	}
}
