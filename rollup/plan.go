package rollup

import (
	"fmt"
	"math/bits"
	"slices"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
)

// Thresholds of the planner. Each trades bytes written against samples that a
// query has to read, or blocks that it has to open; the simulation in
// simulation_test.go checks their sum.
const (
	// waitMs is how long the oldest L2 of a day waits for the L0s and L1s of the day
	// to be merged into it. It is the longest pause of merges between two L1s, so
	// that a day that still receives samples is rolled up once for each merge.
	waitMs = 24 * model.HourMs
	// idleMs is the time without a new block after which a group of days is folded.
	idleMs = 24 * model.HourMs
	// foldShare is a divisor: a block of largeGroup days is written again once
	// 1/foldShare of its days are in other blocks.
	foldShare = 8
	// maxSingleDayBlocks is the number of blocks of single days of a tier above which complete
	// groups are folded at once, before further days are rolled up. It bounds the
	// open blocks while the days of years are rolled up for the first time.
	maxSingleDayBlocks = 96
	// foldBytesMax bounds the inputs of a fold, and so its duration. A group that
	// has more stays as it is.
	foldBytesMax = 16 << 30
	// rollTenths and foldTenths are the free space that a step needs, in tenths of
	// its inputs.
	rollTenths, foldTenths = 10, 12
	// confirmMax bounds the entries that one edit confirms or removes.
	confirmMax = 512
)

// The days of a folded block are those of an aligned group of one of these sizes.
const (
	smallGroup = 8
	largeGroup = block.MaxDays
)

// PlanOptions are the inputs of the planner other than the state.
type PlanOptions struct {
	NowMs     int64        // wall time, Unix milliseconds
	FreeBytes uint64       // free space for the outputs
	Tiers     []block.Tier // configured, finest first
	// Expired is the floor that the samples shall have: days before it are rolled up
	// first, the oldest first, because retention waits for them. They may use
	// ExpiredBytes, all the free space, since it is they that free some. 0 = no days.
	Expired      int64
	ExpiredBytes uint64
	// Hidden returns the share of the rows of a rollup block, from 0 to 1, that retention
	// rules hide, and the highest floor that does so; nil means none.
	Hidden func(block string) (share float64, floor int64)
	// Force plans everything that can be done now: days that still receive samples
	// are rolled up, and all groups folded.
	Force bool
	// Quarantined reports whether a block is not read; nil means that none is.
	Quarantined func(block string) bool
	// Retry reports whether a day of which samples could not be read is to be read
	// again; nil means no.
	Retry func(c *manifest.Coverage) bool
	// Concerns reports whether a tombstone may match a series of a rollup block, and
	// InDay whether such a series has rows of a day; nil means that it may.
	Concerns func(t *manifest.Tombstone, block string) bool
	InDay    func(t *manifest.Tombstone, block string, day model.TimeRange) bool
}

// Plan returns the next step, if there is one: the oldest day that retention waits for,
// otherwise the newest that has to be rolled up, otherwise the newest group to be folded. Applying the edits of its steps one
// after another terminates: each leaves fewer days that differ from their raw
// blocks, or fewer blocks.
//
// A day is rolled up when it is over and no L0 or L1 with samples of it is left,
// but at the latest waitMs after its first L2; and again when it is dirty: an L2 of
// it may hold samples that its entry does not, or a deletion concerns it. A day
// whose samples have left is written again without the rows that a deletion covers.
func Plan(st *manifest.State, o PlanOptions) (Step, bool) {
	p := newPlanner(st, o)
	if step, ok := p.leave(); ok {
		return step, true
	}
	if step, ok := p.rollExpired(); ok {
		return step, true
	}
	if p.hasManySingleDays() {
		if step, ok := p.fold(true); ok {
			return step, true
		}
	}
	if step, ok := p.roll(); ok {
		return step, true
	}
	if step, ok := p.confirm(); ok {
		return step, true
	}
	if step, ok := p.erase(); ok {
		return step, true
	}
	if step, ok := p.expire(); ok {
		return step, true
	}
	return p.fold(o.Force)
}

// planner holds the facts of one planning round.
type planner struct {
	st   *manifest.State
	o    PlanOptions
	days []*day // that have raw blocks or entries, newest first
	l0   []model.TimeRange
	// newest is the highest ID of the recorded tombstones.
	newest    uint64
	deletions map[manifest.CoverKey]deletion // found so far
}

// day holds what the planner knows of one day.
type day struct {
	start   int64
	l2      []manifest.Listed   // oldest first
	l1      bool                // an L1 of the day is listed
	entries []manifest.Coverage // by tier
}

func newPlanner(st *manifest.State, o PlanOptions) *planner {
	p := &planner{st: st, o: o, deletions: map[manifest.CoverKey]deletion{}}
	byStart := map[int64]*day{}
	at := func(start int64) *day {
		d := byStart[start]
		if d == nil {
			d = &day{start: start}
			byStart[start] = d
			p.days = append(p.days, d)
		}
		return d
	}
	for _, b := range st.Blocks {
		switch {
		case b.Tier != block.Raw:
		case b.Level == block.L0:
			p.l0 = append(p.l0, b.Info.TimeRange())
		case b.Level == block.L1:
			at(b.Partition).l1 = true
		default:
			d := at(b.Partition)
			d.l2 = append(d.l2, b)
		}
	}
	for _, c := range st.Coverage {
		d := at(c.Day)
		d.entries = append(d.entries, c)
	}
	slices.SortFunc(p.days, func(a, b *day) int { return -compareInt(a.start, b.start) })
	for _, d := range p.days {
		slices.SortFunc(d.l2, func(a, b manifest.Listed) int { return block.CompareInfo(a.Info, b.Info) })
		slices.SortFunc(d.entries, func(a, b manifest.Coverage) int { return a.Compare(b.CoverKey) })
	}
	for _, t := range st.Tombstones {
		p.newest = max(p.newest, t.ID)
	}
	return p
}

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (p *planner) quarantined(name string) bool {
	return p.o.Quarantined != nil && p.o.Quarantined(name)
}

func (p *planner) configured(t block.Tier) bool { return slices.Contains(p.o.Tiers, t) }

func (d *day) span() model.TimeRange { return block.Raw.PartitionRange(d.start) }

func (d *day) entry(t block.Tier) *manifest.Coverage {
	for i := range d.entries {
		if d.entries[i].Tier == t {
			return &d.entries[i]
		}
	}
	return nil
}

// dirty reports whether an L2 of the day may hold samples that the entry c of the day
// does not, or whether its buckets cannot be read.
func (p *planner) dirty(d *day, c *manifest.Coverage) bool {
	switch {
	case c.Block != "" && p.quarantined(c.Block):
		return true
	case len(c.Lost) > 0 && p.o.Retry != nil && p.o.Retry(c):
		return true
	}
	return slices.ContainsFunc(d.l2, func(b manifest.Listed) bool { return !c.Clean(b.Info) })
}

// deletion classifies the effect on an entry of the deletions that it has not applied.
type deletion uint8

const (
	notDeleted deletion = iota
	otherDays           // one concerns the block, but not the rows of the day
	deleted             // one concerns the rows of the day
)

// deletion returns what newer deletions mean to the entry c of the day.
func (p *planner) deletion(d *day, c *manifest.Coverage) deletion {
	if c.Block == "" || c.Tombstone >= p.newest {
		return notDeleted
	}
	if known, ok := p.deletions[c.CoverKey]; ok {
		return known
	}
	found := notDeleted
	for i := range p.st.Tombstones {
		t := &p.st.Tombstones[i]
		if t.ID <= c.Tombstone || !t.Range.Overlaps(d.span()) || p.o.Concerns != nil && !p.o.Concerns(t, c.Block) {
			continue
		}
		found = otherDays
		if p.o.InDay == nil || p.o.InDay(t, c.Block, d.span()) {
			found = deleted
			break
		}
	}
	p.deletions[c.CoverKey] = found
	return found
}

// hasSamples reports whether L2s have the samples of the day. Below the retention floor
// they have at most those that stand in for buckets.
func (p *planner) hasSamples(d *day) bool {
	return len(d.l2) > 0 && d.start >= p.st.Floor
}

// rollable reports whether rolling the day up would bring a tier of it closer to its
// samples.
func (p *planner) rollable(d *day, t block.Tier) bool {
	if !p.hasSamples(d) || d.start < p.st.TierFloor(t) {
		return false
	}
	c := d.entry(t)
	return c == nil || p.dirty(d, c) || p.deletion(d, c) == deleted
}

// due reports whether the day may be rolled up now.
func (p *planner) due(d *day) bool {
	if p.o.Force {
		return true
	}
	if d.span().Max > p.o.NowMs {
		return false
	}
	pending := d.l1 || slices.ContainsFunc(p.l0, d.span().Overlaps)
	if !pending {
		return true
	}
	oldest := d.l2[0].OldestMs
	for _, b := range d.l2 {
		oldest = min(oldest, b.OldestMs)
	}
	return model.SubTime(p.o.NowMs, oldest) >= waitMs
}

// roll returns the step that rolls up the newest day that is due.
func (p *planner) roll() (Step, bool) {
	for _, d := range p.days {
		if step, ok := p.rollDay(d, p.o.FreeBytes); ok {
			return step, true
		}
	}
	return Step{}, false
}

// rollExpired returns the step that rolls up the oldest day that retention waits for.
func (p *planner) rollExpired() (Step, bool) {
	if p.o.Expired == 0 {
		return Step{}, false
	}
	for _, d := range slices.Backward(p.days) {
		if d.start >= p.o.Expired {
			break
		}
		if step, ok := p.rollDay(d, p.o.ExpiredBytes); ok {
			step.Reason += " that retention waits for"
			return step, true
		}
	}
	return Step{}, false
}

// rollDay returns the step that rolls up a day, if that is due and fits.
func (p *planner) rollDay(d *day, free uint64) (Step, bool) {
	var tiers []block.Tier
	first := true
	for _, t := range p.tiersOf(d) {
		if p.rollable(d, t) {
			tiers = append(tiers, t)
			first = first && d.entry(t) == nil
		}
	}
	bytes := sizeOf(d.l2)
	if len(tiers) == 0 || !p.due(d) || !fits(bytes, rollTenths, free) {
		return Step{}, false
	}
	reason := fmt.Sprintf("%d L2s of a day", len(d.l2))
	if !first {
		reason += " that has changed"
	}
	return Step{Action: Roll, Tiers: tiers, Days: []int64{d.start}, Bytes: bytes, Reason: reason}, true
}

// tiersOf returns the tiers that the day is rolled up to, finest first: those that are
// configured, and where samples of some series have expired those that are off and have an
// entry. It cannot be removed, because nothing else may have the rows of these series, and
// as it is it would answer for the others once their samples have expired too.
func (p *planner) tiersOf(d *day) []block.Tier {
	if p.allSamples(d) {
		return p.o.Tiers
	}
	tiers := slices.Clone(p.o.Tiers)
	for i := range d.entries {
		if t := d.entries[i].Tier; !p.configured(t) {
			tiers = append(tiers, t)
		}
	}
	slices.Sort(tiers)
	return tiers
}

// leave returns the step that removes entries that nothing keeps up to date: those of
// tiers that are not configured any more, of days that still have all their samples.
func (p *planner) leave() (Step, bool) {
	s := Step{Action: Confirm, Reason: "days of tiers that are off have changed"}
	for _, d := range p.days {
		for i := range d.entries {
			c := &d.entries[i]
			if !p.configured(c.Tier) && p.allSamples(d) && len(s.Uncover) < confirmMax && (p.dirty(d, c) || p.deletion(d, c) == deleted) {
				s.Uncover = append(s.Uncover, c.CoverKey)
			}
		}
	}
	return s, len(s.Uncover) > 0
}

// confirm returns the step that notes the newest deletion in entries that no newer
// deletion concerns, so that it can be forgotten.
func (p *planner) confirm() (Step, bool) {
	s := Step{Action: Confirm, Reason: "deletions that do not concern a day"}
	for _, d := range p.days {
		for i := range d.entries {
			c := d.entries[i]
			if len(s.Cover) < confirmMax && p.deletion(d, &c) == otherDays {
				c.Tombstone = p.newest
				s.Cover = append(s.Cover, c)
			}
		}
	}
	return s, len(s.Cover) > 0
}

// erase returns the step that writes a block again of which deletions concern days
// whose samples have left.
func (p *planner) erase() (Step, bool) {
	for _, d := range p.days {
		for i := range d.entries {
			c := &d.entries[i]
			if p.hasSamples(d) && (p.configured(c.Tier) || p.allSamples(d)) || p.deletion(d, c) != deleted || p.quarantined(c.Block) {
				continue
			}
			b := p.st.Blocks[c.Block]
			if !fits(b.Size, foldTenths, p.o.FreeBytes) {
				continue
			}
			return Step{Action: Erase, Tiers: []block.Tier{c.Tier}, Days: p.daysOf(c.Tier, c.Block), Bytes: b.Size, Off: !p.configured(c.Tier),
				Reason: "deletions in days without samples"}, true
		}
	}
	return Step{}, false
}

// daysOf returns the days whose rows in a block are visible, rising.
func (p *planner) daysOf(t block.Tier, name string) []int64 {
	var starts []int64
	for _, d := range p.days {
		if c := d.entry(t); c != nil && c.Block == name {
			starts = append(starts, d.start)
		}
	}
	slices.Reverse(starts)
	return starts
}

// fits reports whether there is free space for a step with inputs of the given size.
func fits(bytes int64, tenths, free uint64) bool {
	hi, lo := bits.Mul64(uint64(bytes), tenths)
	return hi == 0 && lo/10 <= free
}

func sizeOf(blocks []manifest.Listed) (bytes int64) {
	for _, b := range blocks {
		bytes += b.Size
	}
	return bytes
}
