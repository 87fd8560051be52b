package rollup

import (
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// group holds the days of one aligned group of a tier, and their blocks.
type group struct {
	tier  block.Tier
	index int64 // number of the group
	size  int64 // of the group, in days
	days  []*day
	// blocks are those of the days with rows, each once, from the oldest day on.
	blocks []manifest.Listed
}

// groupOf returns the number of the aligned group of size days that a day is in.
func groupOf(start, size int64) int64 {
	n := (start - 1) / model.DayMs
	if (start-1)%model.DayMs < 0 {
		n--
	}
	if n < 0 {
		return (n - size + 1) / size
	}
	return n / size
}

// hasManySingleDays reports whether a tier has too many blocks of single days.
func (p *planner) hasManySingleDays() bool {
	n := map[block.Tier]int{}
	for _, b := range p.st.Blocks {
		if b.Tier != block.Raw && b.Days <= 1 {
			n[b.Tier]++
		}
	}
	for _, t := range p.o.Tiers {
		if n[t] > maxSingleDayBlocks {
			return true
		}
	}
	return false
}

// groups returns the groups of a tier, the newest first. Days whose block is
// quarantined are in none.
func (p *planner) groups(t block.Tier, size int64) []*group {
	var all []*group
	for _, d := range p.days {
		n := groupOf(d.start, size)
		if len(all) == 0 || all[len(all)-1].index != n {
			all = append(all, &group{tier: t, index: n, size: size})
		}
		g := all[len(all)-1]
		g.days = append(g.days, d)
	}
	for _, g := range all {
		slices.Reverse(g.days)
		seen := map[string]bool{}
		for _, d := range g.days {
			c := d.entry(t)
			if c == nil || c.Block == "" || seen[c.Block] || p.quarantined(c.Block) {
				continue
			}
			seen[c.Block] = true
			g.blocks = append(g.blocks, p.st.Blocks[c.Block])
		}
	}
	return all
}

// settled reports whether no day of the group waits to be rolled up, and the group is
// over.
func (p *planner) settled(g *group) bool {
	if p.o.Force {
		return true
	}
	if model.SubTime(p.o.NowMs, g.size*(g.index+1)*model.DayMs) < 0 {
		return false
	}
	return !slices.ContainsFunc(g.days, func(d *day) bool {
		return p.rollable(d, g.tier) || d.l1 && d.entry(g.tier) == nil
	})
}

// idle reports whether the blocks of the group have been there for a while.
func (p *planner) idle(blocks []manifest.Listed) bool {
	return !slices.ContainsFunc(blocks, func(b manifest.Listed) bool {
		return model.SubTime(p.o.NowMs, b.NewestMs) < idleMs
	})
}

// fold returns the step that folds the newest group that is due. Unless urgent a group
// has to be idle.
func (p *planner) fold(urgent bool) (Step, bool) {
	for _, t := range p.o.Tiers {
		for _, size := range []int64{largeGroup, smallGroup} {
			for _, g := range p.groups(t, size) {
				blocks := g.blocks
				if size == smallGroup {
					blocks = slices.DeleteFunc(slices.Clone(blocks), isLarge)
				}
				if len(blocks) < 2 || size == largeGroup && !p.replaced(g) || !p.settled(g) || !urgent && !p.idle(blocks) {
					continue
				}
				if step, ok := p.foldStep(g, blocks); ok {
					return step, true
				}
			}
		}
	}
	return Step{}, false
}

// isLarge reports whether a block was folded from more than a small group.
func isLarge(b manifest.Listed) bool { return b.Days > smallGroup }

// replaced reports whether a large group is worth folding: it has no large block yet,
// or enough of the days of one are in other blocks.
func (p *planner) replaced(g *group) bool {
	if p.o.Force || !slices.ContainsFunc(g.blocks, isLarge) {
		return true
	}
	large, other := 0, 0
	for _, d := range g.days {
		switch c := d.entry(g.tier); {
		case c == nil || c.Block == "":
		case isLarge(p.st.Blocks[c.Block]):
			large++
		default:
			other++
		}
	}
	return other*foldShare >= large
}

func (p *planner) foldStep(g *group, blocks []manifest.Listed) (Step, bool) {
	s := Step{Action: Fold, Tiers: []block.Tier{g.tier}, Bytes: sizeOf(blocks)}
	for _, d := range g.days {
		c := d.entry(g.tier)
		if c != nil && slices.ContainsFunc(blocks, func(b manifest.Listed) bool { return b.Name == c.Block }) {
			s.Days = append(s.Days, d.start)
		}
	}
	s.Reason = model.FormatCount(len(blocks), "block") + " of " + model.FormatCount(len(s.Days), "day")
	return s, s.Bytes <= foldBytesMax && fits(s.Bytes, foldTenths, p.o.FreeBytes)
}
