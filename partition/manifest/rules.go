package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// MaxDepth is the maximum number of blocks of one partition that can hold the
// same series: its L1s and one of its L2s.
const MaxDepth = 8

// ErrEdit is returned by CheckEdit and Apply for an edit that breaks a rule,
// because of a mistake or because it was made from an outdated state. Nothing was
// done.
var ErrEdit = errors.New("edit breaks a rule")

func badEdit(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrEdit, fmt.Sprintf(format, args...))
}

// CheckEdit returns an ErrEdit if the edit may not be applied to s. A dropped
// block must be listed, and must be an input of an added block unless none of its
// samples can be read any more. An added block must be consistent with its
// inputs; one that was imported is an L0, or an L2 of a day of which nothing else is
// known (see ImportGeneration). Afterwards the blocks must be in the order on which reads and merges
// rely:
//
//   - the generations of L0s are disjoint and above those of all other blocks;
//   - the generations of the L1s of a partition are disjoint;
//   - an L1 is newer than every L2 of its partition with which it may share a
//     series;
//   - the L2s of a partition share no series;
//   - no series of a partition is in more than MaxDepth of its L1s and L2s.
//
// These are about raw blocks. A rollup block is listed exactly while a Coverage
// names it. Entries may claim only what their sources, all L2s of the day, hold.
//
// A merge that skips a block between its inputs breaks one of them.
func CheckEdit(s *State, e Edit) error {
	_, err := applyChecked(s, e)
	return err
}

// applyChecked returns the state after an edit, or the error of CheckEdit.
func applyChecked(s *State, e Edit) (*State, error) {
	next := s.Apply(e)
	for _, check := range []func(s, next *State, e *Edit) error{checkAdds, checkDrops, checkFields, checkRollups, checkRuleLists} {
		if err := check(s, next, &e); err != nil {
			return nil, err
		}
	}
	return next, next.Check()
}

// checkAdds checks each added block by itself and against its inputs.
func checkAdds(s, next *State, e *Edit) error {
	seen := map[string]bool{}
	for _, b := range e.Add {
		_, listed := s.Blocks[b.Name]
		switch err := (&Listed{Info: b, Keys: e.Keys[b.Name]}).Validate(); {
		case err != nil:
			return badEdit("add: %v", err)
		case listed || seen[b.Name]:
			return badEdit("add %q, which is listed", b.Name)
		case b.MaxGen >= next.WALLow:
			return badEdit("add %q, whose generations the WAL keeps (from %d)", b.Name, next.WALLow)
		}
		seen[b.Name] = true
		if b.Tier == block.Raw {
			if err := checkInputs(s, e, b); err != nil {
				return err
			}
		}
	}
	for name := range e.Keys {
		if !seen[name] {
			return badEdit("keys of %q, which is not added", name)
		}
	}
	return nil
}

func checkInputs(s *State, e *Edit, b block.Info) error {
	if b.Imported() {
		return s.checkImport(Listed{Info: b, Keys: e.Keys[b.Name]})
	}
	if len(b.Inputs) == 0 {
		if b.Level != block.L0 {
			return badEdit("add %q: %v without inputs", b.Name, b.Level)
		}
		return nil
	}
	var inputs []block.Info
	for _, name := range b.Inputs {
		in, ok := s.Blocks[name]
		switch {
		case !ok:
			return badEdit("add %q: input %q is not listed", b.Name, name)
		case !slices.Contains(e.Drop, name):
			return badEdit("add %q: input %q stays", b.Name, name)
		case in.Tier != block.Raw, in.Level > b.Level:
			return badEdit("add %q: input %q is %v", b.Name, name, in.Level)
		case in.Level != block.L0 && !in.SamePartition(b.Key):
			return badEdit("add %q: input %q is of another partition", b.Name, name)
		case (in.Level == block.L0) != (s.Blocks[b.Inputs[0]].Level == block.L0):
			return badEdit("add %q: inputs with and without a partition", b.Name)
		}
		inputs = append(inputs, in.Info)
	}
	lo, hi := Generations(inputs)
	if b.MinGen != lo || b.MaxGen < hi || b.MaxGen != hi && b.Level != block.L2 {
		return badEdit("add %q: generations %d to %d from %d to %d", b.Name, b.MinGen, b.MaxGen, lo, hi)
	}
	return nil
}

// Generations returns the lowest and the highest generation of blocks, which must
// not be empty.
func Generations(blocks []block.Info) (lo, hi uint64) {
	lo, hi = blocks[0].MinGen, blocks[0].MaxGen
	for _, b := range blocks {
		lo, hi = min(lo, b.MinGen), max(hi, b.MaxGen)
	}
	return lo, hi
}

// checkDrops checks that the dropped blocks were merged into added ones or hold
// no samples to keep.
func checkDrops(s, next *State, e *Edit) error {
	merged := map[string]bool{}
	for _, b := range e.Add {
		for _, name := range b.Inputs {
			merged[name] = true
		}
	}
	seen := map[string]bool{}
	for _, name := range e.Drop {
		b, ok := s.Blocks[name]
		switch {
		case !ok:
			return badEdit("drop %q, which is not listed", name)
		case seen[name]:
			return badEdit("drop %q twice", name)
		case b.Tier != block.Raw: // checkCoverage
		case !merged[name] && next.keeps(b.Info) && !deletable(s, b.Info):
			return badEdit("drop %q, which nothing was made from", name)
		}
		seen[name] = true
	}
	return nil
}

// deletable reports whether a merge may have dropped all samples of a block: a
// tombstone covers it, a retention rule may hide it, or its first or last timestamp is
// not valid.
func deletable(s *State, b block.Info) bool {
	return b.MinTime < s.HighestFloor(block.Raw) || !model.ValidTime(b.MinTime) || !model.ValidTime(b.MaxTime) || slices.ContainsFunc(s.Tombstones, func(t Tombstone) bool { return t.Covers(b) })
}

// checkFields checks the parts of an edit other than blocks.
func checkFields(s, next *State, e *Edit) error {
	if err := (&record{Edit: *e}).validate(); err != nil {
		return badEdit("%v", err)
	}
	switch {
	case next.WALLow < s.WALLow:
		return badEdit("WAL low end goes back from %d to %d", s.WALLow, next.WALLow)
	case next.Floor < s.Floor:
		return badEdit("retention floor goes back from %d to %d", s.Floor, next.Floor)
	case next.Floor != NoFloor && block.Raw.PartitionStart(next.Floor) != next.Floor:
		return badEdit("retention floor %d is not the start of a partition", next.Floor)
	}
	known := map[uint64]*Tombstone{}
	for i := range s.Tombstones {
		known[s.Tombstones[i].ID] = &s.Tombstones[i]
	}
	for _, id := range e.DropTombstones {
		t := known[id]
		switch {
		case t == nil:
			return badEdit("drop tombstone %d, which is not there", id)
		case t.Gen >= next.WALLow:
			return badEdit("drop tombstone %d of generation %d, which the WAL keeps", id, t.Gen)
		}
		delete(known, id)
	}
	for i := range e.AddTombstones {
		t := &e.AddTombstones[i]
		if known[t.ID] != nil {
			return badEdit("add tombstone %d, which is there", t.ID)
		}
		if t.Range.Empty() {
			return badEdit("add tombstone %d: empty range %v", t.ID, t.Range)
		}
		known[t.ID] = t
	}
	return nil
}

// Check returns an error if the blocks and the coverage are not in the order that
// CheckEdit enforces.
func (s *State) Check() error {
	if err := checkOrder(s); err != nil {
		return err
	}
	return checkCoverage(s)
}

// checkOrder checks the order of all raw blocks.
func checkOrder(s *State) error {
	runs := RunsOf(s.Sorted())
	for i := 1; i < len(runs.L0); i++ {
		if runs.L0[i].MinGen <= runs.L0[i-1].MaxGen {
			return badEdit("%q and %q overlap", runs.L0[i-1].Name, runs.L0[i].Name)
		}
	}
	for _, p := range runs.Partitions {
		for _, blocks := range [][]Listed{p.L1, p.L2} {
			for _, b := range blocks {
				if len(runs.L0) > 0 && b.MaxGen >= runs.L0[0].MinGen {
					return badEdit("%q is not older than %q", b.Name, runs.L0[0].Name)
				}
			}
		}
		if err := p.check(); err != nil {
			return err
		}
	}
	return nil
}

func (p *PartitionRuns) check() error {
	if d := p.Depth(); d > MaxDepth {
		return badEdit("partition %s is %d blocks deep", p.Key.Dir(), d)
	}
	for i := 1; i < len(p.L1); i++ {
		if p.L1[i].MinGen <= p.L1[i-1].MaxGen {
			return badEdit("%q and %q overlap", p.L1[i-1].Name, p.L1[i].Name)
		}
	}
	for _, l1 := range p.L1 {
		for _, l2 := range p.L2 {
			if l1.MinGen <= l2.MaxGen && !l1.Keys.Disjoint(l2.Keys) {
				return badEdit("%q is not newer than %q", l1.Name, l2.Name)
			}
		}
	}
	for i := 1; i < len(p.L2); i++ {
		if p.L2[i-1].Keys.collides(p.L2[i].Keys) {
			return badEdit("%q and %q share series", p.L2[i-1].Name, p.L2[i].Name)
		}
	}
	return nil
}

// Runs groups blocks by the blocks they may be merged with.
type Runs struct {
	L0         []Listed         // oldest first
	Partitions []*PartitionRuns // by key
}

// PartitionRuns are the blocks of one partition.
type PartitionRuns struct {
	Key block.Key // of the partition, at level L2
	L1  []Listed  // oldest first
	L2  []Listed  // by keys
}

// Depth returns the maximum number of blocks of the partition that can hold the
// same series.
func (p *PartitionRuns) Depth() int { return len(p.L1) + min(len(p.L2), 1) }

// RunsOf groups the raw blocks, which must be sorted from the oldest to the newest.
func RunsOf(blocks []Listed) Runs {
	var r Runs
	byKey := map[block.Key]*PartitionRuns{}
	for _, b := range blocks {
		if b.Tier != block.Raw {
			continue
		}
		if b.Level == block.L0 {
			r.L0 = append(r.L0, b)
			continue
		}
		key := b.At(block.L2)
		p := byKey[key]
		if p == nil {
			p = &PartitionRuns{Key: key}
			byKey[key] = p
			r.Partitions = append(r.Partitions, p)
		}
		if b.Level == block.L1 {
			p.L1 = append(p.L1, b)
		} else {
			p.L2 = append(p.L2, b)
		}
	}
	slices.SortFunc(r.Partitions, func(a, b *PartitionRuns) int { return a.Key.Compare(b.Key) })
	for _, p := range r.Partitions {
		slices.SortFunc(p.L2, func(a, b Listed) int {
			if c := a.Keys.compare(b.Keys); c != 0 {
				return c
			}
			return strings.Compare(a.Name, b.Name)
		})
	}
	return r
}
