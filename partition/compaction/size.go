package compaction

import (
	"maps"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// sizeKeptDays is the number of newest days, today among them, that a bound of bytes
// never removes.
const sizeKeptDays = 2

// SizeOptions are the inputs of PlanSize other than the state.
type SizeOptions struct {
	NowMs int64 // wall time, Unix milliseconds
	Limit int64 // bytes that the data may take
	Other int64 // bytes other than those of listed blocks: the log, files of snapshots
	// Tiers are the rollups that are made, in any order. What tiers that are off have stays.
	Tiers []block.Tier
	// Pinned reports whether the file of a block stays on disk when the block leaves;
	// nil means that none does.
	Pinned func(block string) bool
	// Standing returns the share of the samples of the day, from 0 to 1, that stand in for
	// buckets of a coverage; nil means that Coverage.StandIn says it.
	Standing func(c *manifest.Coverage) float64
}

// SizePlan is what a bound of bytes asks of the floors.
type SizePlan struct {
	Used  int64 // bytes now
	Left  int64 // bytes once Floors are reached and blocks below them are gone
	Limit int64
	// Floors are targets above the present floors, by tier, Raw included. Reaching them
	// takes until the samples are rolled up.
	Floors map[block.Tier]int64
}

// Met reports whether the bound is met once the floors are reached.
func (p *SizePlan) Met() bool { return p.Left <= p.Limit }

// PlanSize returns the floors at which the data take at most the limit: days of samples
// leave first, the oldest first, then days of rollups, those of the finest first. The
// newest two days stay, and files that are pinned free nothing.
//
// It is a function of the state, so that it asks for no more while floors wait for
// rollups. Samples that stand in for a rollup leave with the days of that rollup.
func PlanSize(s *manifest.State, o SizeOptions) SizePlan {
	p := sizePlanner{s: s, o: o, all: map[int64]int64{}, floors: maps.Clone(s.TierFloors)}
	p.floors[block.Raw] = s.Floor
	plan := SizePlan{Used: o.Other, Limit: o.Limit, Floors: map[block.Tier]int64{}}
	for _, b := range s.Blocks {
		plan.Used += b.Size
		if b.Tier == block.Raw && b.Level != block.L0 && !p.pinned(b.Name) {
			p.all[b.Partition] += b.Size
		}
	}
	p.raw = maps.Clone(p.all)
	plan.Left = plan.Used
	until := block.Raw.PartitionStart(o.NowMs) - (sizeKeptDays-1)*model.DayMs
	for _, tier := range append([]block.Tier{block.Raw}, slices.Sorted(slices.Values(o.Tiers))...) { // the finest first
		for _, day := range p.days(tier) {
			if plan.Left <= o.Limit {
				return plan
			}
			if day >= until {
				break
			}
			p.floors[tier] = block.Raw.PartitionRange(day).Max
			samples, rows := p.freed(tier, day)
			if samples+rows == 0 { // no floor is raised for nothing
				continue
			}
			plan.Floors[tier] = p.floors[tier]
			if plan.Left -= samples + rows; samples > 0 {
				plan.Floors[block.Raw] = max(plan.Floors[block.Raw], p.floors[tier])
			}
		}
	}
	return plan
}

// sizePlanner holds the facts of one PlanSize.
type sizePlanner struct {
	s      *manifest.State
	o      SizeOptions
	all    map[int64]int64 // bytes of samples that are not pinned, by day
	raw    map[int64]int64 // of them, those that are left
	floors map[block.Tier]int64
}

func (p *sizePlanner) pinned(name string) bool { return p.o.Pinned != nil && p.o.Pinned(name) }

// floor returns the floor of a tier that the plan has reached.
func (p *sizePlanner) floor(tier block.Tier) int64 {
	if floor, ok := p.floors[tier]; ok {
		return floor
	}
	return manifest.NoFloor
}

// days returns the days of a tier above its floor, the oldest first.
func (p *sizePlanner) days(tier block.Tier) []int64 {
	var days []int64
	if tier == block.Raw {
		days = slices.Sorted(maps.Keys(p.raw))
	} else {
		for k := range p.s.Coverage {
			if k.Tier == tier {
				days = append(days, k.Day)
			}
		}
		slices.Sort(days)
	}
	return slices.DeleteFunc(days, func(day int64) bool { return day < p.floor(tier) })
}

// freed returns the bytes of samples, and of rows of the tier, that leave when its floor
// passes a day.
func (p *sizePlanner) freed(tier block.Tier, day int64) (samples, rows int64) {
	if day < p.floor(block.Raw) {
		if left := int64(float64(p.all[day]) * p.standing(day)); left < p.raw[day] {
			samples, p.raw[day] = p.raw[day]-left, left
		}
	}
	if tier == block.Raw {
		return samples, 0
	}
	c, _ := p.s.CoverageOf(tier, day)
	b, ok := p.s.Blocks[c.Block]
	if !ok || p.pinned(b.Name) {
		return samples, 0
	}
	for k, o := range p.s.Coverage {
		if k.Tier == tier && o.Block == c.Block && k.Day >= p.floor(tier) {
			return samples, 0 // other days need the block
		}
	}
	return samples, b.Size
}

// standing returns the share of the samples of a day that stand in for buckets of tiers
// that are kept.
func (p *sizePlanner) standing(day int64) float64 {
	share := 0.0
	for _, tier := range block.Rollups {
		c, covered := p.s.CoverageOf(tier, day)
		switch {
		case !covered || day < p.floor(tier):
		case c.StandIn:
			return 1
		case p.o.Standing != nil:
			share = max(share, p.o.Standing(&c))
		}
	}
	return share
}
