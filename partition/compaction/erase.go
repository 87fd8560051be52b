package compaction

import (
	"fmt"
	"slices"

	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// deletedShare is the share of deleted samples at which a block is rewritten; with a
// smaller one it waits until PlanOptions.Waited.
const deletedShare = 0.1

// PlanErase returns the next merge on the way to blocks that no tombstone concerns.
// Applying its plans one after another terminates, as for PlanFinal.
func PlanErase(blocks []Candidate, o PlanOptions) (Plan, bool) {
	p := newPlanner(blocks, o)
	return p.reclaim(func(*manifest.Tombstone, *Candidate) bool { return true })
}

// reclaimDue reports whether a block is to be rewritten for a tombstone that concerns
// it.
func (p *planner) reclaimDue(t *manifest.Tombstone, b *Candidate) bool {
	return p.o.Waited != nil && p.o.Waited(t) || p.o.Deleted != nil && p.o.Deleted(b.Name) >= deletedShare
}

// reclaim returns the next merge that frees what tombstones have deleted from a block,
// if due says so of both. An L2 can be rewritten only when no older L0 or L1 is left that
// would have to be newer than it.
func (p *planner) reclaim(due func(t *manifest.Tombstone, b *Candidate) bool) (Plan, bool) {
	wanted := func(b *Candidate) (newest uint64) {
		for i := range p.o.Tombstones {
			if t := &p.o.Tombstones[i]; !b.Quarantined && t.Gen > newest && t.Gen < p.o.WALLow && p.concerns(t, b.Info) && due(t, b) {
				newest = t.Gen
			}
		}
		return newest
	}
	inL0 := uint64(0)
	for _, b := range p.l0 {
		inL0 = max(inL0, wanted(b))
	}
	for i := range p.partitions {
		part := &p.partitions[i]
		newest := uint64(0)
		for _, b := range slices.Concat(part.l1, part.l2) {
			newest = max(newest, wanted(b))
		}
		if newest == 0 || part.busy() {
			continue
		}
		if newest > p.settled(p.l0) {
			inL0 = max(inL0, newest)
			continue
		}
		if plan, ok := p.toL2(part, true); ok {
			return plan, true
		}
		if plan, ok := p.erase(part); ok {
			return plan, true
		}
	}
	if l0 := p.l0Prefix(); inL0 > 0 && len(l0) > 0 && l0[0].MinGen <= inL0 {
		return p.mergeL0()
	}
	return Plan{}, false
}

// erase rewrites the L2s of a partition that tombstones concern.
func (p *planner) erase(part *planPartition) (Plan, bool) {
	if part.busy() || len(part.l1) > 0 {
		return Plan{}, false
	}
	settled := p.settled(p.l0)
	var l2 []*Candidate
	for _, b := range part.l2 {
		for i := range p.o.Tombstones {
			if t := &p.o.Tombstones[i]; !b.Quarantined && t.Gen <= settled && p.concerns(t, b.Info) {
				l2 = append(l2, b)
				break
			}
		}
	}
	plan, ok := p.plan(part.key, l2, fmt.Sprintf("deletions in %d L2s", len(l2)))
	p.lift(&plan, p.l0...)
	return plan, ok
}

func (p *planner) concerns(t *manifest.Tombstone, b block.Info) bool {
	return t.Covers(b) && (p.o.Concerns == nil || p.o.Concerns(t, b.Name))
}

// lift raises the newest generation of the outputs to that of the newest tombstone
// the merge applies, which then no longer covers them. rest are the blocks that
// stay and may hold samples of the same series: they must remain newer than the
// outputs.
func (p *planner) lift(plan *Plan, rest ...*Candidate) {
	settled := p.settled(rest)
	to := plan.MaxGen
	for i := range p.o.Tombstones {
		t := &p.o.Tombstones[i]
		if t.Gen > settled {
			continue
		}
		for _, b := range plan.Inputs {
			if t.Covers(b) {
				to = max(to, t.Gen)
			}
		}
	}
	plan.MaxGen = to
}

// settled returns the generation up to which all data is in blocks other than
// rest.
func (p *planner) settled(rest []*Candidate) uint64 {
	low := p.o.WALLow
	for _, b := range rest {
		low = min(low, b.MinGen)
	}
	return max(low, 1) - 1
}
