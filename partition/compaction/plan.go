package compaction

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/blockset"
	"tsdb/partition/manifest"
)

// Thresholds of the planner. Each trades bytes written against blocks that a read
// has to open; the simulation in plan_test.go checks their sum.
const (
	// l0AgeMs is the age of the oldest of several L0s at which they are merged, so
	// that a day has few L1s no matter how often the head is cut.
	l0AgeMs = 5 * model.HourMs
	// l0Full is the number of L0s that are merged at any age, because a read has to
	// search the index of each.
	l0Full = 48
	// l0InputsMax bounds the inputs of one merge of L0s, and so its memory.
	l0InputsMax = 64
	// l0Stuck is the number of L0s newer than a quarantined one that are merged
	// among themselves, because they cannot become L1.
	l0Stuck = 16
	// quietMs is the time after a partition's end, and after its last L1, during
	// which its L1s are not merged. It is longer than l0AgeMs, so that a partition
	// that still receives samples does not count as finished: every further L1
	// would rewrite the L2.
	quietMs = l0AgeMs + model.HourMs
	// l2Share is a divisor: L1s are merged into the L2s they overlap when they have
	// at least 1/l2Share of the bytes of those.
	l2Share = 8
	// oldMs is the time for which a single L0, and the newest of few L1s, wait for
	// more of their level; veryOldMs is the longest wait if more keep coming.
	oldMs     = 24 * model.HourMs
	veryOldMs = 3 * oldMs
	// expiredShare is the share of samples that retention hides at which a block below
	// a floor is rewritten; with a smaller one it waits expiredMs, so that all that
	// expires meanwhile leaves with one rewrite.
	expiredShare = 0.1
	expiredMs    = 24 * model.HourMs
	// freeTenths is the free space a merge needs, in tenths of its inputs.
	freeTenths = 12
)

// Candidate is a listed block with its state for the planner.
type Candidate struct {
	manifest.Listed
	Quarantined bool // unreadable, or a merge of it failed
	Busy        bool // input of a running merge
}

// Candidates returns the raw blocks of a version for the planner. busy reports whether
// a block is an input of a running merge; nil means that none is.
func Candidates(v *blockset.Version, busy func(name string) bool) []Candidate {
	blocks := make([]Candidate, len(v.Raw()))
	for i, e := range v.Raw() {
		blocks[i] = Candidate{Listed: e.Listed, Quarantined: e.Err() != nil, Busy: busy != nil && busy(e.Name)}
	}
	return blocks
}

// PlanOptions are the inputs of the planner other than the blocks.
type PlanOptions struct {
	NowMs      int64                // wall time, Unix milliseconds
	FreeBytes  uint64               // free space for the outputs
	WALLow     uint64               // lowest generation the WAL keeps
	Tombstones []manifest.Tombstone // of the view
	// Concerns reports whether a tombstone that covers a block may match one of its
	// series; nil means that it may.
	Concerns func(t *manifest.Tombstone, block string) bool
	// Floor is the highest floor of samples: State.HighestFloor of Raw.
	Floor int64
	// Expired returns the share of the samples of a block, from 0 to 1, that a rewrite
	// would drop because retention hides them, and the highest floor that does so; nil
	// means none.
	Expired func(block string) (share float64, floor int64)
	// Deleted returns the share of the samples of a block, from 0 to 1, that
	// tombstones cover; nil means none.
	Deleted func(block string) float64
	// Waited reports whether a tombstone has waited so long that blocks are rewritten
	// for it, however little it deletes; nil means that none has.
	Waited func(t *manifest.Tombstone) bool
}

// Plan is one merge to execute. It is immutable.
type Plan struct {
	// Key is the key of the outputs. Its partition is NoPartition if the inputs are
	// L0s, which span partitions.
	block.Key
	// Inputs are ordered from the oldest to the newest: at an equal time of a
	// series the later one wins.
	Inputs []block.Info
	// MinGen and MaxGen are the generations of the outputs. MaxGen is above that of
	// the inputs where tombstones that the merge applies then no longer cover the
	// outputs.
	MinGen, MaxGen uint64
	Bytes          int64  // of the inputs
	Reason         string // for the log
}

// Names returns the names of the inputs.
func (p *Plan) Names() []string {
	names := make([]string, len(p.Inputs))
	for i, b := range p.Inputs {
		names[i] = b.Name
	}
	return names
}

// PlanMerge returns the most urgent merge that is worth doing, if there is one: L1s
// of a partition that is full, then L0s, then the L1s of the oldest partition that
// should become L2, then an L2 that has expired in part, then blocks of which a tenth
// is deleted or that a tombstone of a day ago concerns. At most one merge of L0s and one of each partition run at a
// time. A merge never spans a quarantined block, and is skipped if there is not
// enough free space.
//
// Blocks are in the order of State.Sorted.
func PlanMerge(blocks []Candidate, o PlanOptions) (Plan, bool) {
	p := newPlanner(blocks, o)
	for i := range p.partitions {
		if part := &p.partitions[i]; part.depth() >= manifest.MaxDepth {
			if plan, ok := p.relieve(part); ok {
				return plan, true
			}
		}
	}
	if p.l0Due(p.l0Prefix()) {
		if plan, ok := p.mergeL0(); ok {
			return plan, true
		}
	}
	if plan, ok := p.relieveL0(); ok {
		return plan, true
	}
	for i := range p.partitions {
		if plan, ok := p.toL2(&p.partitions[i], false); ok {
			return plan, true
		}
	}
	for i := range p.partitions {
		if plan, ok := p.expire(&p.partitions[i]); ok {
			return plan, true
		}
	}
	return p.reclaim(p.reclaimDue)
}

// PlanFinal returns the next merge on the way to the final form: no L0, no L1 and
// no L2 that a tombstone still concerns. Applying its plans one after another
// terminates: each leaves fewer L0s and L1s, or fewer L2s that tombstones concern.
func PlanFinal(blocks []Candidate, o PlanOptions) (Plan, bool) {
	p := newPlanner(blocks, o)
	if len(p.l0Prefix()) > 0 {
		if plan, ok := p.finishL0(); ok {
			return plan, true
		}
		if plan, ok := p.mergeL0(); ok {
			return plan, true
		}
	}
	for i := range p.partitions {
		if plan, ok := p.toL2(&p.partitions[i], true); ok {
			return plan, true
		}
	}
	for i := range p.partitions {
		if plan, ok := p.erase(&p.partitions[i]); ok {
			return plan, true
		}
		if plan, ok := p.expire(&p.partitions[i]); ok {
			return plan, true
		}
	}
	return Plan{}, false
}

// planner holds the blocks of one planning round.
type planner struct {
	o          PlanOptions
	l0         []*Candidate // oldest first
	partitions []planPartition
}

// planPartition are the blocks of one partition.
type planPartition struct {
	key block.Key    // of the partition, at level L2
	l1  []*Candidate // oldest first
	l2  []*Candidate // by keys
}

func (p *planPartition) depth() int { return len(p.l1) + min(len(p.l2), 1) }

func (p *planPartition) busy() bool { return anyBusy(p.l1) || anyBusy(p.l2) }

func newPlanner(blocks []Candidate, o PlanOptions) *planner {
	byName := make(map[string]*Candidate, len(blocks))
	listed := make([]manifest.Listed, len(blocks))
	for i := range blocks {
		byName[blocks[i].Name], listed[i] = &blocks[i], blocks[i].Listed
	}
	find := func(bs []manifest.Listed) []*Candidate {
		found := make([]*Candidate, len(bs))
		for i, b := range bs {
			found[i] = byName[b.Name]
		}
		return found
	}
	r := manifest.RunsOf(listed)
	p := &planner{o: o, l0: find(r.L0)}
	for _, part := range r.Partitions {
		p.partitions = append(p.partitions, planPartition{key: part.Key, l1: find(part.L1), l2: find(part.L2)})
	}
	return p
}

// l0Due reports whether L0s should be merged.
func (p *planner) l0Due(l0 []*Candidate) bool {
	if len(l0) == 0 {
		return false
	}
	age := model.SubTime(p.o.NowMs, l0[0].OldestMs)
	return len(l0) >= l0Full || len(l0) > 1 && age >= l0AgeMs || age >= oldMs
}

// l1Due reports whether L1s should be merged with L2s.
func (p *planner) l1Due(part *planPartition, l1, l2 []*Candidate) bool {
	oldest, newest := l1[0].OldestMs, l1[0].NewestMs
	for _, b := range l1 {
		oldest, newest = min(oldest, b.OldestMs), max(newest, b.NewestMs)
	}
	since := func(t int64) int64 { return model.SubTime(p.o.NowMs, t) }
	switch {
	case since(newest) >= oldMs || since(oldest) >= veryOldMs:
		return true
	case since(max(newest, part.key.Range().Max)) < quietMs:
		return false
	}
	return sizeOf(l1) >= (sizeOf(l2)+l2Share-1)/l2Share
}

// l0Prefix returns the L0s older than the first quarantined one: no newer L0 may
// become L1 before that one. It is empty while L0s are being merged.
func (p *planner) l0Prefix() []*Candidate {
	if anyBusy(p.l0) {
		return nil
	}
	return readablePrefix(p.l0)
}

// mergeL0 merges the oldest L0s into one L1 for each of their partitions, none of
// which may be full. It merges fewer if there is not enough free space.
func (p *planner) mergeL0() (Plan, bool) {
	inputs := p.l0Prefix()
	for n := min(len(inputs), l0InputsMax); n > 0; n /= 2 {
		inputs = inputs[:n]
		for i := range p.partitions {
			part := &p.partitions[i]
			if part.depth() >= manifest.MaxDepth && reaches(inputs, part.key) {
				return p.relieve(part)
			}
		}
		if plan, ok := p.plan(block.SpanningKey(block.L1), inputs, fmt.Sprintf("%d L0s", n)); ok {
			return plan, true
		}
	}
	return Plan{}, false
}

// finishL0 merges all L0s directly to L2, if they need not be merged with any other
// block.
func (p *planner) finishL0() (Plan, bool) {
	inputs := p.l0Prefix()
	if len(inputs) < len(p.l0) || len(inputs) > l0InputsMax {
		return Plan{}, false
	}
	for i := range p.partitions {
		if reaches(inputs, p.partitions[i].key) {
			return Plan{}, false
		}
	}
	plan, ok := p.plan(block.SpanningKey(block.L2), inputs, fmt.Sprintf("%d L0s to their final form", len(inputs)))
	p.lift(&plan)
	return plan, ok
}

// reaches reports whether blocks may hold samples of a partition.
func reaches(blocks []*Candidate, partition block.Key) bool {
	r := partition.Range()
	for _, b := range blocks {
		if r.Overlaps(b.Info.TimeRange()) {
			return true
		}
	}
	return false
}

// relieve makes room for another L1 in a full partition. It merges its L1s to L2 if
// that is due, and otherwise the newest among themselves.
func (p *planner) relieve(part *planPartition) (Plan, bool) {
	if plan, ok := p.toL2(part, false); ok {
		return plan, true
	}
	if part.busy() {
		return Plan{}, false
	}
	run := tier(readableSuffix(part.l1))
	return p.plan(part.key.At(block.L1), run, fmt.Sprintf("%d L1s of a full partition", len(run)))
}

// relieveL0 merges L0s among themselves if they cannot become L1: they are newer
// than a quarantined one, or a partition stays full.
func (p *planner) relieveL0() (Plan, bool) {
	run := readableSuffix(p.l0)
	if anyBusy(p.l0) || len(run) < l0Stuck || len(run) == len(p.l0) && len(run) < 2*l0Full {
		return Plan{}, false
	}
	run = tier(run)
	run = run[:min(len(run), l0InputsMax)]
	return p.plan(block.SpanningKey(block.L0), run, fmt.Sprintf("%d L0s that cannot become L1", len(run)))
}

// toL2 merges the L1s of a partition, from the oldest to the last before a
// quarantined one, with the L2s whose keys they overlap. Unless forced it waits
// until they are old, or until no more are expected and they are a large enough
// share of the bytes to be rewritten.
func (p *planner) toL2(part *planPartition, force bool) (Plan, bool) {
	l1 := readablePrefix(part.l1)
	if len(l1) == 0 || part.busy() {
		return Plan{}, false
	}
	keys := l1[0].Keys
	for _, b := range l1[1:] {
		keys = keys.Union(b.Keys)
	}
	var l2 []*Candidate
	for _, b := range part.l2 {
		switch {
		case b.Keys.Disjoint(keys):
		case b.Quarantined:
			return Plan{}, false
		default:
			l2 = append(l2, b)
		}
	}
	if !force && !p.l1Due(part, l1, l2) {
		return Plan{}, false
	}
	plan, ok := p.plan(part.key, append(l2, l1...), fmt.Sprintf("%d L1s into %d L2s", len(l1), len(l2)))
	p.lift(&plan, slices.Concat(p.l0, part.l1[len(l1):])...)
	return plan, ok
}

// expire rewrites an L2 of which retention hides the samples of some series: below the
// floor those that do not stand in for buckets, above it those of rules with a higher
// floor. A block is rewritten once for each distinct age at which some expire.
func (p *planner) expire(part *planPartition) (Plan, bool) {
	if p.o.Expired == nil || part.key.Range().Max > p.o.Floor || part.busy() || len(part.l1) > 0 {
		return Plan{}, false
	}
	for _, b := range part.l2 {
		if b.Quarantined {
			continue
		}
		share, floor := p.o.Expired(b.Name)
		if share >= expiredShare || share > 0 && model.SubTime(floor, part.key.Range().Max) >= expiredMs {
			if plan, ok := p.plan(part.key, []*Candidate{b}, fmt.Sprintf("%.0f%% of samples expired in an L2", 100*share)); ok {
				return plan, true
			}
		}
	}
	return Plan{}, false
}

// plan returns a plan to merge inputs, if there are any and the outputs fit.
func (p *planner) plan(key block.Key, inputs []*Candidate, reason string) (Plan, bool) {
	if len(inputs) == 0 {
		return Plan{}, false
	}
	plan := Plan{Key: key, Bytes: sizeOf(inputs), Reason: reason}
	for _, b := range inputs {
		plan.Inputs = append(plan.Inputs, b.Info)
	}
	plan.MinGen, plan.MaxGen = manifest.Generations(plan.Inputs)
	return plan, fits(plan.Bytes, p.o.FreeBytes)
}

// fits reports whether there is free space for a merge of inputs of the given size.
func fits(bytes int64, free uint64) bool {
	hi, lo := bits.Mul64(uint64(bytes), freeTenths)
	return hi == 0 && lo/10 <= free
}

// tier returns the run of adjacent blocks, which are sorted oldest first, whose
// merge writes the fewest bytes per block saved. Small blocks are thus merged with
// small ones, and no large one is rewritten for them. The run has at least two
// blocks, or none.
func tier(blocks []*Candidate) []*Candidate {
	var best []*Candidate
	bestCost := math.Inf(1)
	for i := range blocks {
		bytes := blocks[i].Size
		for j := i + 1; j < len(blocks); j++ {
			bytes += blocks[j].Size
			if cost := float64(bytes) / float64(j-i); cost <= bestCost {
				best, bestCost = blocks[i:j+1], cost
			}
		}
	}
	return best
}

func readablePrefix(blocks []*Candidate) []*Candidate {
	for i, b := range blocks {
		if b.Quarantined {
			return blocks[:i]
		}
	}
	return blocks
}

func readableSuffix(blocks []*Candidate) []*Candidate {
	for i := len(blocks) - 1; i >= 0; i-- {
		if blocks[i].Quarantined {
			return blocks[i+1:]
		}
	}
	return blocks
}

func anyBusy(blocks []*Candidate) bool {
	for _, b := range blocks {
		if b.Busy {
			return true
		}
	}
	return false
}

func sizeOf(blocks []*Candidate) (bytes int64) {
	for _, b := range blocks {
		bytes += b.Size
	}
	return bytes
}
