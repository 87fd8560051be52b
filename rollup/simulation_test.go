package rollup

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
)

// day0 is the first millisecond of the first day of simulations.
var day0 = block.Raw.PartitionStart(20_480*model.DayMs + 1)

// batch is a set of samples of one day that were written together.
type batch int

// batches are the bytes of each batch of each day in a block.
type batches map[int64]map[batch]int64

// simulation is a database without bytes: blocks with sizes only. The planner of
// merges and that of rollups drive it through CheckEdit. Every block knows which
// batches it holds, so that after each edit the simulation can check that a query
// that reads rollups and what is dirty misses no batch.
type simulation struct {
	t     testing.TB
	state *manifest.State
	nowMs int64
	gen   uint64
	next  batch

	raw    map[string]batches
	rolled map[string]batches
	tiers  []block.Tier
	bad    map[string]bool // quarantined

	written, steps map[Action]int64 // bytes written to rollup blocks, and number of steps
	most           int              // rollup blocks at any time
	empty          func(day int64) bool
	retry          func(c *manifest.Coverage) bool
	fleet          *fleet // sizes; nil = a quarter of the samples
}

func newSimulation(t testing.TB, tiers ...block.Tier) *simulation {
	return &simulation{
		t: t, state: manifest.NewState(1, 0), nowMs: day0, tiers: tiers,
		raw: map[string]batches{}, rolled: map[string]batches{}, bad: map[string]bool{},
		written: map[Action]int64{}, steps: map[Action]int64{},
	}
}

func (s *simulation) apply(e manifest.Edit) {
	s.t.Helper()
	e.Number, e.WallMs = s.state.Number+1, s.nowMs
	if err := manifest.CheckEdit(s.state, e); err != nil {
		s.t.Fatalf("at %s: %v", manifest.FormatMs(s.nowMs), err)
	}
	s.state = s.state.Apply(e)
	n := 0
	for _, b := range s.state.Blocks {
		if b.Tier != block.Raw {
			n++
		}
	}
	s.most = max(s.most, n)
}

// info describes a block that holds batches.
func info(m block.Meta, content batches) block.Info {
	b := block.Info{Meta: m, Name: block.FileName(m), MinTime: math.MaxInt64, MaxTime: math.MinInt64, FooterLen: 90, CRC: 1, Series: 1}
	for day, bs := range content {
		for _, n := range bs {
			b.Size += n
		}
		b.Samples += uint64(len(bs))
		b.MinTime, b.MaxTime = min(b.MinTime, day), max(b.MaxTime, day+1)
	}
	return b
}

// cut writes a batch of the given bytes for each day.
func (s *simulation) cut(bytes map[int64]int64) {
	s.gen++
	content := batches{}
	for _, day := range slices.Sorted(maps.Keys(bytes)) {
		s.next++
		content[day] = map[batch]int64{s.next: bytes[day]}
	}
	b := info(block.Meta{Key: block.SpanningKey(block.L0), MinGen: s.gen, MaxGen: s.gen}, content)
	s.raw[b.Name] = content
	low := s.gen + 1
	s.apply(manifest.Edit{Add: []block.Info{b}, WALLow: &low})
}

// merge does one merge of raw blocks.
func (s *simulation) merge(plan func([]compaction.Candidate, compaction.PlanOptions) (compaction.Plan, bool)) bool {
	var blocks []compaction.Candidate
	for _, b := range s.state.Sorted() {
		if b.Tier == block.Raw {
			blocks = append(blocks, compaction.Candidate{Listed: b, Quarantined: s.bad[b.Name]})
		}
	}
	p, ok := plan(blocks, compaction.PlanOptions{NowMs: s.nowMs, FreeBytes: math.MaxUint64, WALLow: s.state.WALLow, Tombstones: s.state.Tombstones})
	if !ok {
		return false
	}
	sum := batches{}
	for _, in := range p.Inputs {
		for day, bs := range s.raw[in.Name] {
			if sum[day] == nil {
				sum[day] = map[batch]int64{}
			}
			maps.Copy(sum[day], bs)
		}
	}
	e := manifest.Edit{Drop: p.Names(), Keys: map[string]manifest.KeyRange{}}
	meta := block.Meta{Key: block.SpanningKey(p.Level), MinGen: p.MinGen, MaxGen: p.MaxGen, Inputs: p.Names()}
	add := func(content batches) {
		b := info(meta, content)
		s.raw[b.Name] = content
		e.Add = append(e.Add, b)
		if p.Level != block.L0 {
			e.Keys[b.Name] = manifest.KeyRange{First: "a", Last: "z"}
		}
	}
	if p.Level == block.L0 {
		add(sum)
	} else {
		for day := range sum {
			meta.Partition = day
			add(batches{day: sum[day]})
		}
	}
	s.apply(e)
	for _, name := range p.Names() {
		delete(s.raw, name)
	}
	return true
}

// inDay makes a third of the deletions concern a day.
func inDay(t *manifest.Tombstone, _ string, day model.TimeRange) bool {
	return (uint64(day.Min/model.DayMs)+t.ID)%3 == 0
}

// delete records a deletion.
func (s *simulation) delete(tr model.TimeRange) {
	id := uint64(1)
	for _, t := range s.state.Tombstones {
		id = max(id, t.ID+1)
	}
	for _, c := range s.state.Coverage {
		id = max(id, c.Tombstone+1)
	}
	s.apply(manifest.Edit{AddTombstones: []manifest.Tombstone{{ID: id, Gen: s.gen + 1, Range: tr,
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "b")}}}})
}

// retain moves the floor of the samples to the given days before now, as far as every
// day before is rolled up.
func (s *simulation) retain(days int64) {
	floor := block.Raw.PartitionStart(s.nowMs - days*model.DayMs)
	e := manifest.Edit{Floor: &floor}
	for _, b := range s.state.Sorted() {
		switch {
		case b.Tier != block.Raw || b.MinTime >= floor:
		case b.Level != block.L2:
			return
		default:
			for _, t := range s.tiers {
				if _, ok := s.state.CoverageOf(t, b.Partition); !ok {
					return
				}
			}
			e.Drop = append(e.Drop, b.Name)
		}
	}
	if floor > s.state.Floor {
		s.apply(e)
	}
}

// step does the next step of the rollups, if there is one.
func (s *simulation) step(force bool) bool {
	s.t.Helper()
	step, ok := Plan(s.state, PlanOptions{NowMs: s.nowMs, FreeBytes: math.MaxUint64, Tiers: s.tiers, Force: force,
		Quarantined: func(name string) bool { return s.bad[name] }, Retry: s.retry, InDay: inDay})
	if !ok {
		return false
	}
	s.steps[step.Action]++
	r := step.Result()
	r.Keys = map[string]manifest.KeyRange{}
	switch step.Action {
	case Roll:
		s.roll(step, r)
	case Fold, Erase:
		s.fold(step, r)
	}
	s.apply(r.Edit(s.state))
	for _, b := range r.Add {
		s.written[step.Action] += b.Size
	}
	s.check()
	return true
}

func (s *simulation) newest() (id uint64) {
	for _, t := range s.state.Tombstones {
		id = max(id, t.ID)
	}
	return id
}

func (s *simulation) roll(step Step, r *Result) {
	day := step.Days[0]
	for _, tier := range step.Tiers {
		c := manifest.Coverage{CoverKey: manifest.CoverKey{Tier: tier, Day: day}, Tombstone: s.newest(), Gen: s.state.SettledGen(day)}
		content := map[batch]int64{}
		m := block.Meta{Key: tier.KeyAt(day, block.L2), Days: 1, Tombstone: c.Tombstone, MinGen: math.MaxUint64}
		for _, b := range s.state.Sorted() {
			if b.Tier != block.Raw || b.Level != block.L2 || b.Partition != day {
				continue
			}
			c.Sources = append(c.Sources, b.Name)
			m.MinGen, m.MaxGen = min(m.MinGen, b.MinGen), max(m.MaxGen, b.MaxGen)
			if s.bad[b.Name] {
				c.Lost = []model.TimeRange{b.Info.TimeRange()}
				continue
			}
			maps.Copy(content, s.raw[b.Name][day])
		}
		for _, name := range c.Sources {
			c.Gen = min(c.Gen, s.state.Blocks[name].MaxGen)
		}
		c.StandIn = s.fleet != nil && s.fleet.tierBytes[tier] == 0
		if m.Sources = c.Sources; len(content) > 0 && !c.StandIn && (s.empty == nil || !s.empty(day)) {
			c.Block = s.addBlock(r, m, batches{day: content})
		}
		r.Cover = append(r.Cover, c)
	}
}

func (s *simulation) fold(step Step, r *Result) {
	tier := step.Tiers[0]
	m := block.Meta{Key: tier.KeyAt(step.Days[0], block.L2), MinGen: math.MaxUint64,
		Days: uint32((step.Days[len(step.Days)-1]-step.Days[0])/model.DayMs) + 1}
	content := batches{}
	for _, day := range step.Days {
		c, _ := s.state.CoverageOf(tier, day)
		b := s.state.Blocks[c.Block]
		if step.Action == Erase {
			c.Tombstone = s.newest()
		}
		content[day] = s.rolled[b.Name][day]
		if !slices.Contains(m.Sources, b.Name) {
			m.Sources = append(m.Sources, b.Name)
			m.MinGen, m.MaxGen, m.Tombstone = min(m.MinGen, b.MinGen), max(m.MaxGen, b.MaxGen), max(m.Tombstone, b.Tombstone, c.Tombstone)
		}
		r.Cover = append(r.Cover, c)
	}
	name := s.addBlock(r, m, content)
	for i := range r.Cover {
		r.Cover[i].Block = name
	}
}

// addBlock adds a rollup block of a quarter of the bytes of its samples.
func (s *simulation) addBlock(r *Result, m block.Meta, content batches) string {
	for {
		b := info(m, content)
		if _, taken := s.rolled[b.Name]; taken {
			m.Ordinal++
			continue
		}
		if b.Size = b.Size/4 + 1; s.fleet != nil {
			b.Size = s.fleet.tierBytes[m.Tier] * int64(len(content))
		}
		s.rolled[b.Name] = content
		r.Add, r.Keys[b.Name] = append(r.Add, b), manifest.KeyRange{First: "a", Last: "z"}
		return b.Name
	}
}

// check fails the test if a batch of a day with an entry is neither in the rollup nor
// in a raw block that the entry does not find clean.
func (s *simulation) check() {
	s.t.Helper()
	byDay := map[int64][]block.Info{}
	for _, b := range s.state.Blocks {
		for day := range s.raw[b.Name] {
			byDay[day] = append(byDay[day], b.Info)
		}
	}
	for key, c := range s.state.Coverage {
		rolled := s.rolled[c.Block][c.Day]
		if len(c.Lost) > 0 || c.StandIn || s.empty != nil && s.empty(c.Day) {
			continue
		}
		for _, b := range byDay[c.Day] {
			if !c.Clean(b) {
				continue
			}
			for k := range s.raw[b.Name][c.Day] {
				if _, ok := rolled[k]; !ok {
					s.t.Fatalf("%v: batch %d of %s is clean but not in %q", key, k, b.Name, c.Block)
				}
			}
		}
	}
}

// settle lets time pass without samples until nothing is left to do, and checks that
// every day is then covered and clean.
func (s *simulation) settle() {
	s.t.Helper()
	for range 12 {
		s.nowMs += model.DayMs
		for s.merge(compaction.PlanMerge) {
		}
		for n := 0; s.step(false); n++ {
			if n > 10_000 {
				s.t.Fatal("the planner does not come to an end")
			}
		}
	}
	for _, b := range s.state.Blocks {
		if b.Tier != block.Raw {
			continue
		}
		for _, tier := range s.tiers {
			c, ok := s.state.CoverageOf(tier, b.Partition)
			if b.Level != block.L2 || !ok || !c.Clean(b.Info) || len(c.Lost) > 0 {
				s.t.Errorf("%v: %s is not rolled up", tier, b.Name)
			}
		}
	}
	for _, c := range s.state.Coverage {
		for _, t := range s.state.Tombstones {
			if t.ID > c.Tombstone && t.Range.Overlaps(c.Range()) && c.Block != "" {
				s.t.Errorf("%v has not applied tombstone %d", c.CoverKey, t.ID)
			}
		}
	}
}

// blocks returns the number of rollup blocks and their bytes.
func (s *simulation) blocks() (n int, bytes int64) {
	for _, b := range s.state.Blocks {
		if b.Tier != block.Raw {
			n, bytes = n+1, bytes+b.Size
		}
	}
	return n, bytes
}
