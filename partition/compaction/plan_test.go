package compaction

import (
	"fmt"
	"maps"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/internal/partitiontest"
	"tsdb/partition/manifest"
)

// planSet builds blocks for a planner test from one word each: level, the
// generations, "@day" for L1 and L2, "=bytes", "+hours" since it was added,
// "keys:a-b", and the flags "q" for quarantined and "b" for busy.
func planSet(t *testing.T, words string) []Candidate {
	t.Helper()
	var state = manifest.NewState(1, 0)
	flags := map[string]string{}
	for _, w := range strings.Fields(words) {
		var level, lo, hi, day, size, hours int
		head, rest, _ := strings.Cut(w, ",")
		size = 100
		if n, _ := fmt.Sscanf(head, "L%d:%d-%d@%d", &level, &lo, &hi, &day); n < 3 {
			t.Fatalf("block %q", w)
		}
		m := block.Meta{Key: block.SpanningKey(block.Level(level)), MinGen: uint64(lo), MaxGen: uint64(hi)}
		start := partitiontest.TestDay + int64(day)*model.DayMs
		if level > 0 {
			m.Partition = start
		}
		b := manifest.Listed{Info: block.Info{Meta: m, MinTime: start, MaxTime: start + 5}, Keys: manifest.KeyRange{First: "a", Last: "z"}}
		flag := ""
		for _, opt := range strings.Split(rest, ",") {
			switch {
			case opt == "":
			case opt == "q" || opt == "b":
				flag += opt
			case strings.HasPrefix(opt, "="):
				fmt.Sscanf(opt, "=%d", &size)
			case strings.HasPrefix(opt, "+"):
				fmt.Sscanf(opt, "+%d", &hours)
			case strings.HasPrefix(opt, "keys:"):
				b.Keys.First, b.Keys.Last, _ = strings.Cut(opt[5:], "-")
			default:
				t.Fatalf("option %q", opt)
			}
		}
		b.Size, b.OldestMs = int64(size), planNow-int64(hours)*model.HourMs
		b.NewestMs = b.OldestMs
		b.Inputs = []string{w} // a name of its own
		b.Name = block.FileName(b.Meta)
		state.Blocks[b.Name] = b
		flags[b.Name] = flag
	}
	var blocks []Candidate
	for _, b := range state.Sorted() {
		blocks = append(blocks, Candidate{Listed: b, Quarantined: strings.Contains(flags[b.Name], "q"), Busy: strings.Contains(flags[b.Name], "b")})
	}
	return blocks
}

// planNow is noon of the day after testDay.
var planNow = partitiontest.TestDay + 36*model.HourMs

// planString gives a plan as level, day, generations and inputs.
func planString(p Plan, ok bool) string {
	if !ok {
		return "none"
	}
	var in []string
	for _, b := range p.Inputs {
		in = append(in, fmt.Sprintf("%v:%d-%d", b.Level, b.MinGen, b.MaxGen))
	}
	day := ""
	if p.Partition != block.NoPartition {
		day = fmt.Sprintf("@%d", (p.Partition-partitiontest.TestDay)/model.DayMs)
	}
	return fmt.Sprintf("%v:%d-%d%s <- %s", p.Level, p.MinGen, p.MaxGen, day, strings.Join(in, " "))
}

func TestPlanMerge(t *testing.T) {
	roomy := PlanOptions{NowMs: planNow, FreeBytes: math.MaxUint64, WALLow: 100}
	for _, c := range []struct{ name, blocks, want string }{
		{"nothing", "", "none"},
		{"few L0s wait", "L0:1-1 L0:2-2 L0:3-3", "none"},
		{"an old L0 does not", "L0:1-1,+25 L0:2-2", "L1:1-2 <- L0:1-1 L0:2-2"},
		{"many young L0s wait", "L0:1-1 L0:2-2 L0:3-3 L0:4-4 L0:5-5 L0:6-6 L0:8-8 L0:9-9", "none"},
		{"many L0s become L1", "L0:1-1,+5 L0:2-2 L0:3-3 L0:4-4 L0:5-5 L0:6-6 L0:8-8 L0:9-9",
			"L1:1-9 <- L0:1-1 L0:2-2 L0:3-3 L0:4-4 L0:5-5 L0:6-6 L0:8-8 L0:9-9"},
		{"one such merge at a time", "L0:1-1,b L0:2-2 L0:3-3 L0:4-4 L0:5-5 L0:6-6 L0:8-8 L0:9-9 L0:10-10,+50", "none"},
		{"an L0 behind a quarantined one stays", "L0:1-1,q,+50 L0:2-2,+50 L0:3-3 L0:4-4 L0:5-5 L0:6-6 L0:8-8 L0:9-9", "none"},
		{"only what is before it goes", "L0:1-1,+50 L0:2-2,+50 L0:3-3,q L0:4-4", "L1:1-2 <- L0:1-1 L0:2-2"},
		{"many behind a quarantined one are merged among themselves, the large first one left out",
			"L0:1-1,q L0:2-9,=9000 L0:10-10 L0:11-11 L0:12-12 L0:13-13 L0:14-14 L0:15-15 L0:16-16 L0:17-17 " +
				"L0:18-18 L0:19-19 L0:20-20 L0:21-21 L0:22-22 L0:23-23 L0:24-24 L0:25-25",
			"L0:10-25 <- L0:10-10 L0:11-11 L0:12-12 L0:13-13 L0:14-14 L0:15-15 L0:16-16 L0:17-17 L0:18-18 L0:19-19 L0:20-20 L0:21-21 L0:22-22 L0:23-23 L0:24-24 L0:25-25"},

		{"L1s of a finished, quiet day become L2", "L1:1-3@0,+7 L1:4-6@0,+6", "L2:1-6@0 <- L1:1-3 L1:4-6"},
		{"those of an open day wait", "L1:1-3@1,+9 L1:4-6@1,+9", "none"},
		{"those just added wait", "L1:1-3@0,+9 L1:4-6@0,+5", "none"},
		{"little does not rewrite much", "L2:1-3@0,=801,+9 L1:4-6@0,+6", "none"},
		{"an eighth does", "L2:1-3@0,=800,+9 L1:4-6@0,+6", "L2:1-6@0 <- L2:1-3 L1:4-6"},
		{"age alone waits while more comes", "L2:1-3@0,=99999,+90 L1:4-6@0,+71 L1:7-9@0,+23", "none"},
		{"though not for ever", "L2:1-3@0,=99999,+90 L1:4-6@0,+72 L1:7-9@0", "L2:1-9@0 <- L2:1-3 L1:4-6 L1:7-9"},
		{"age does", "L2:1-3@0,=99999,+90 L1:4-6@0,+24 L1:7-9@0,+24", "L2:1-9@0 <- L2:1-3 L1:4-6 L1:7-9"},
		{"the oldest day first", "L1:4-6@0,+24 L1:4-6@-1,+24", "L2:4-6@-1 <- L1:4-6"},
		{"a busy day is passed over", "L1:4-6@0,+24 L1:4-6@-1,+24,b", "L2:4-6@0 <- L1:4-6"},
		{"only the L2s whose keys are overlapped", "L2:1-3@0,keys:a-c L2:1-2@0,keys:d-f L2:1-1@0,keys:g-k L1:4-6@0,+24,keys:e-h",
			"L2:1-6@0 <- L2:1-2 L2:1-1 L1:4-6"},
		{"not if one of those is quarantined", "L2:1-3@0,keys:a-c L2:1-2@0,keys:d-f,q L1:4-6@0,+24,keys:e-h", "none"},
		{"but if another is", "L2:1-3@0,keys:a-c,q L2:1-2@0,keys:d-f L1:4-6@0,+24,keys:e-h", "L2:1-6@0 <- L2:1-2 L1:4-6"},
		{"only the L1s before a quarantined one", "L1:1-3@0,+24 L1:4-6@0,+24,q L1:7-8@0,+24", "L2:1-3@0 <- L1:1-3"},
		{"not the ones behind it", "L1:1-3@0,+24,q L1:4-6@0,+24 L1:7-8@0,+24", "none"},
		{"a full open day merges L1s where it costs least",
			"L1:1-1@1,=500 L1:2-2@1 L1:3-3@1 L1:4-4@1 L1:5-5@1,=900 L1:6-6@1,=300 L1:7-7@1,=10 L1:8-8@1,=500",
			"L1:2-4@1 <- L1:2-2 L1:3-3 L1:4-4"},
		{"at least two", "L1:1-1@1,=9000 L1:2-2@1,=4000 L1:3-3@1,=2000 L1:4-4@1,=1000 L1:5-5@1,=500 L1:6-6@1,=200 L1:7-7@1 L1:8-8@1,=9",
			"L1:7-8@1 <- L1:7-7 L1:8-8"},
		{"room in a day comes before the L0s that need it",
			"L1:1-1@1 L1:2-2@1 L1:3-3@1 L1:4-4@1 L1:5-5@1 L1:6-6@1 L1:7-7@1 L1:8-8@1 " +
				"L0:11-11@1,+5 L0:12-12 L0:13-13 L0:14-14 L0:15-15 L0:16-16 L0:17-17 L0:18-18 L0:19-19 L0:20-20",
			"L1:1-8@1 <- L1:1-1 L1:2-2 L1:3-3 L1:4-4 L1:5-5 L1:6-6 L1:7-7 L1:8-8"},
		{"while that is made they wait",
			"L1:1-1@1,b L1:2-2@1 L1:3-3@1 L1:4-4@1 L1:5-5@1 L1:6-6@1 L1:7-7@1 L1:8-8@1 " +
				"L0:11-11@1,+5 L0:12-12 L0:13-13 L0:14-14 L0:15-15 L0:16-16 L0:17-17 L0:18-18 L0:19-19 L0:20-20",
			"none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			blocks := planSet(t, c.blocks)
			if got := planString(PlanMerge(blocks, roomy)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			tight := roomy
			tight.FreeBytes = 0
			if got := planString(PlanMerge(blocks, tight)); got != "none" {
				t.Errorf("without free space: %s", got)
			}
		})
	}
	blocks := planSet(t, "L0:1-1,+5 L0:2-2 L0:3-3 L0:4-4 L0:5-5")
	tight := roomy
	tight.FreeBytes = 250
	if got := planString(PlanMerge(blocks, tight)); got != "L1:1-2 <- L0:1-1 L0:2-2" {
		t.Errorf("with little free space: %s", got)
	}
}

func TestPlanFinal(t *testing.T) {
	dead := func(gens ...uint64) (ts []manifest.Tombstone) {
		for i, g := range gens {
			tomb := partitiontest.Tombstone(uint64(i), g)
			ts = append(ts, tomb)
		}
		return ts
	}
	for _, c := range []struct {
		name, blocks string
		tombstones   []manifest.Tombstone
		want         string
	}{
		{"nothing", "", nil, "none"},
		{"a final day stays", "L2:1-3@0 L2:1-3@1", nil, "none"},
		{"a single L0", "L0:5-5 L2:1-3@0", nil, "L1:5-5 <- L0:5-5"},
		{"L0s of new days only", "L0:5-5@1 L0:6-6@2 L2:1-3@0", nil, "L2:5-6 <- L0:5-5 L0:6-6"},
		{"out of reach of deletions", "L0:5-5@0 L0:6-6@2", dead(4, 6, 99, 100), "L2:5-99 <- L0:5-5 L0:6-6"},
		{"not if one of them cannot be read", "L0:5-5@1 L0:6-6@2,q L2:1-3@0", nil, "L1:5-5 <- L0:5-5"},
		{"then the L1s, an open day's too", "L1:4-5@1 L2:1-3@1,=999999", nil, "L2:1-5@1 <- L2:1-3 L1:4-5"},
		{"quarantined blocks end it", "L0:9-9,q L0:10-10 L1:4-5@1,q L1:6-7@1", nil, "none"},
		{"a full day makes room first",
			"L1:1-1@0 L1:2-2@0 L1:3-3@0 L1:4-4@0 L1:5-5@0 L1:6-6@0 L1:7-7@0 L1:8-8@0 L0:9-9", nil,
			"L1:1-8@0 <- L1:1-1 L1:2-2 L1:3-3 L1:4-4 L1:5-5 L1:6-6 L1:7-7 L1:8-8"},
		{"deletions are carried out", "L2:1-3@0 L2:1-3@1", dead(4, 6, 99, 100), "L2:1-99@0 <- L2:1-3"},
		{"up to the oldest L0 that stays", "L2:1-3@0 L0:7-7@0,q", dead(4, 6, 9), "L2:1-6@0 <- L2:1-3"},
		{"those of the running generation wait", "L2:1-3@0", dead(100), "none"},
		{"they lift what is merged anyway", "L2:1-3@0 L1:4-4@0", dead(3, 8), "L2:1-8@0 <- L2:1-3 L1:4-4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := PlanOptions{NowMs: planNow, FreeBytes: math.MaxUint64, WALLow: 100, Tombstones: c.tombstones}
			if got := planString(PlanFinal(planSet(t, c.blocks), o)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestMergeNeedsASpareFifthOfItsInputs(t *testing.T) {
	if !fits(1000, 1200) || fits(1000, 1199) || fits(math.MaxInt64, math.MaxInt64) || !fits(0, 0) {
		t.Error("free space is not 1.2 times the inputs")
	}
}

// simulation is a database without bytes: blocks with sizes only, driven
// through CheckEdit by the planner's decisions.
type simulation struct {
	t       *testing.T
	state   *manifest.State
	nowMs   int64
	gen     uint64
	written int64 // bytes of all blocks ever written
	content map[string]map[int64]int64
	byKind  map[string]int64 // bytes written by reason
	deepest int
	mostL0  int
}

// The weight of a sample on each level, in hundredths of its size on L2: L0 has
// the fast codecs.
var levelWeight = [...]int64{block.L0: 130, block.L1: 110, block.L2: 100}

func newSimulation(t *testing.T) *simulation {
	return &simulation{t: t, state: manifest.NewState(1, 0), nowMs: partitiontest.TestDay, content: map[string]map[int64]int64{}, byKind: map[string]int64{}}
}

func (s *simulation) apply(e manifest.Edit) {
	s.t.Helper()
	e.Number, e.WallMs = s.state.Number+1, s.nowMs
	if err := manifest.CheckEdit(s.state, e); err != nil {
		s.t.Fatalf("at %s: %v", manifest.FormatMs(s.nowMs), err)
	}
	s.state = s.state.Apply(e)
	for _, p := range manifest.RunsOf(s.state.Sorted()).Partitions {
		s.deepest = max(s.deepest, p.Depth())
	}
}

// block makes a block that holds samples by day.
func (s *simulation) block(m block.Meta, content map[int64]int64) block.Info {
	b := block.Info{Meta: m, Name: block.FileName(m), MinTime: math.MaxInt64, MaxTime: math.MinInt64}
	for day, n := range content {
		b.Samples += uint64(n)
		b.MinTime, b.MaxTime = min(b.MinTime, day), max(b.MaxTime, day+1)
	}
	b.Series = 1
	b.Size = max(int64(b.Samples)*levelWeight[m.Level]/100, 1)
	s.written += b.Size
	s.content[b.Name] = content
	return b
}

func (s *simulation) cut(content map[int64]int64) {
	s.gen++
	b := s.block(block.Meta{Key: block.SpanningKey(block.L0), MinGen: s.gen, MaxGen: s.gen}, content)
	s.apply(partitiontest.CutEdit(b))
	l0 := len(manifest.RunsOf(s.state.Sorted()).L0)
	s.mostL0 = max(s.mostL0, l0)
}

func (s *simulation) merge(plan func([]Candidate, PlanOptions) (Plan, bool)) bool {
	var blocks []Candidate
	for _, b := range s.state.Sorted() {
		blocks = append(blocks, Candidate{Listed: b})
	}
	p, ok := plan(blocks, PlanOptions{NowMs: s.nowMs, FreeBytes: math.MaxUint64, WALLow: s.state.WALLow})
	if !ok {
		return false
	}
	for _, b := range s.publishMerge(p, nil) {
		s.byKind[fmt.Sprintf("%v from %v", p.Level, p.Inputs[0].Level)] += b.Size
	}
	return true
}

// publishMerge puts the outputs of a merge in the place of its inputs. With r
// the keys of the outputs are split at random.
func (s *simulation) publishMerge(p Plan, r *rand.Rand) []block.Info {
	s.t.Helper()
	sums := map[int64]int64{}
	keys := map[int64]manifest.KeyRange{}
	for _, in := range p.Inputs {
		for day, n := range s.content[in.Name] {
			sums[day] += n
		}
	}
	for _, in := range p.Inputs {
		k := s.state.Blocks[in.Name].Keys
		for day := range s.content[in.Name] {
			if k.IsZero() {
				k = manifest.KeyRange{First: "a", Last: "z"}
				if r != nil && r.Intn(2) == 0 {
					k = manifest.KeyRange{First: string('a' + rune(r.Intn(13))), Last: string('m' + rune(r.Intn(13)))}
				}
			}
			if known, ok := keys[day]; ok {
				k = k.Union(known)
			}
			keys[day] = k
		}
	}
	e := manifest.Edit{Drop: p.Names(), Keys: map[string]manifest.KeyRange{}}
	meta := block.Meta{Key: block.SpanningKey(p.Level), MinGen: p.MinGen, MaxGen: p.MaxGen, Inputs: p.Names()}
	if p.Level == block.L0 {
		e.Add = append(e.Add, s.block(meta, sums))
	} else {
		for _, day := range slices.Sorted(maps.Keys(sums)) {
			meta.Partition, meta.Ordinal = day, 0
			k := keys[day]
			if mid := k.First + "m"; p.Level == block.L2 && r != nil && r.Intn(2) == 0 && sums[day] > 1 && mid < k.Last {
				b := s.block(meta, map[int64]int64{day: sums[day] / 2})
				e.Add, e.Keys[b.Name] = append(e.Add, b), manifest.KeyRange{First: k.First, Last: mid}
				meta.Ordinal, k.First, sums[day] = 1, mid+"a", sums[day]-sums[day]/2
			}
			b := s.block(meta, map[int64]int64{day: sums[day]})
			e.Add, e.Keys[b.Name] = append(e.Add, b), k
		}
	}
	s.apply(e)
	return e.Add
}

// amplification returns bytes written by bytes of the final form.
func (s *simulation) amplification() float64 {
	s.t.Helper()
	for s.merge(PlanFinal) {
	}
	var final int64
	for _, b := range s.state.Blocks {
		if b.Level != block.L2 {
			s.t.Errorf("%s is left", b.Name)
		}
		final += b.Size
	}
	for _, kind := range slices.Sorted(maps.Keys(s.byKind)) {
		s.t.Logf("%s: %.2f", kind, float64(s.byKind[kind])/float64(final))
	}
	return float64(s.written) / float64(final)
}

// The planner against cuts of many shapes: all of it stays in order, no
// partition gets deeper than reads allow, and no byte is written more than five
// times on its way to the final form.
func TestPlannerWritesAByteAtMostFiveTimes(t *testing.T) {
	for _, c := range []struct {
		name    string
		every   int64                        // time between cuts
		days    int64                        // length of the run
		samples func(r *rand.Rand) int64     // in a cut
		late    func(r *rand.Rand) []float64 // parts of a cut that belong to yesterday and the days before
	}{
		{"a cut each half hour", 30 * model.MinuteMs, 10, func(*rand.Rand) int64 { return 1_000_000 }, nil},
		{"a cut each two hours", 120 * model.MinuteMs, 20, func(*rand.Rand) int64 { return 1_000_000 }, nil},
		{"a cut every five minutes", 5 * model.MinuteMs, 4, func(*rand.Rand) int64 { return 1_000_000 }, nil},
		{"a cut every minute", model.MinuteMs, 3, func(*rand.Rand) int64 { return 1_000_000 }, nil},
		{"cuts of very different size", 17 * model.MinuteMs, 8, func(r *rand.Rand) int64 { return 1000 + r.Int63n(1<<uint(8+r.Intn(14))) }, nil},
		{"a little is late", 30 * model.MinuteMs, 14, func(*rand.Rand) int64 { return 1_000_000 },
			func(*rand.Rand) []float64 { return []float64{0.01, 0.001, 0.001} }},
		{"now and then a lot is late", 30 * model.MinuteMs, 14, func(*rand.Rand) int64 { return 1_000_000 },
			func(r *rand.Rand) []float64 {
				if r.Intn(48) == 0 {
					return []float64{0, 0.4, 0.2}
				}
				return nil
			}},
		{"a part is late by hours", 10 * model.MinuteMs, 8, func(*rand.Rand) int64 { return 1_000_000 },
			func(*rand.Rand) []float64 { return []float64{0.05} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewSource(1))
			s := newSimulation(t)
			for s.nowMs < partitiontest.TestDay+c.days*model.DayMs {
				s.nowMs += c.every
				n := c.samples(r)
				content := map[int64]int64{}
				today := block.Raw.PartitionStart(s.nowMs)
				if c.late != nil {
					for i, part := range c.late(r) {
						if k := int64(float64(n) * part); k > 0 {
							content[today-int64(i+1)*model.DayMs] += k
						}
					}
				}
				content[today] += n
				s.cut(content)
				for s.merge(PlanMerge) {
				}
			}
			s.nowMs += 2 * model.DayMs
			for s.merge(PlanMerge) {
			}
			a := s.amplification()
			t.Logf("written %.2f times, %d deep, %d L0s at most", a, s.deepest, s.mostL0)
			if a > 5 || s.deepest > manifest.MaxDepth || s.mostL0 > l0Full {
				t.Errorf("written %.2f times, %d deep, %d L0s at most", a, s.deepest, s.mostL0)
			}
		})
	}
}

// A history loaded in no order of time, faster than time passes: every cut has
// samples of each of thirty days.
func TestPlannerTakesABackfill(t *testing.T) {
	s := newSimulation(t)
	for range 400 {
		s.nowMs += 3 * model.MinuteMs
		content := map[int64]int64{}
		for day := range int64(30) {
			content[partitiontest.TestDay-day*model.DayMs] = 30_000
		}
		s.cut(content)
		for s.merge(PlanMerge) {
		}
	}
	a := s.amplification()
	t.Logf("written %.2f times, %d deep, %d L0s at most", a, s.deepest, s.mostL0)
	if a > 5 {
		t.Errorf("written %.2f times", a)
	}
}

// A random generator of edits, right and wrong ones: CheckEdit lets through
// exactly those that keep each block in its place. The oracle compares every
// pair of blocks instead of sorted runs.
func TestCheckEditKeepsTheOrder(t *testing.T) {
	const seeds = 60
	taken, refused := 0, 0
	for seed := range int64(seeds) {
		r := rand.New(rand.NewSource(seed))
		s := manifest.NewState(1, 0)
		gen := uint64(0)
		for range 120 {
			e := randomEdit(r, s, &gen)
			err := manifest.CheckEdit(s, e)
			next := s.Apply(e)
			wrong := misplaced(next)
			switch {
			case err == nil && wrong != "":
				t.Fatalf("seed %d: taken, but %s: %+v", seed, wrong, e)
			case err != nil && wrong == "" && strings.Contains(err.Error(), "overlap"):
				t.Fatalf("seed %d: refused without reason: %v", seed, err)
			}
			if err != nil {
				refused++
				continue
			}
			taken++
			s = next
		}
	}
	if taken < 1000 || refused < 1000 {
		t.Errorf("%d edits taken, %d refused: too few of one kind", taken, refused)
	}
}

// randomEdit makes a cut, or a merge of a random choice of blocks.
func randomEdit(r *rand.Rand, s *manifest.State, gen *uint64) manifest.Edit {
	keys := func() manifest.KeyRange {
		a, b := 'a'+rune(r.Intn(10)), 'a'+rune(r.Intn(10))
		return manifest.KeyRange{First: string(min(a, b)), Last: string(max(a, b))}
	}
	blocks := s.Sorted()
	if len(blocks) < 3 || r.Intn(3) == 0 {
		*gen++
		return partitiontest.CutEdit(partitiontest.CutBlock(*gen, *gen))
	}
	at, n := r.Intn(len(blocks)), 1+r.Intn(4)
	level := blocks[at].Level
	if r.Intn(3) > 0 && level < block.L2 {
		level++
	}
	day := blocks[at].Partition
	if day == block.NoPartition && level > block.L0 {
		day = partitiontest.TestDay
	}
	e := manifest.Edit{Keys: map[string]manifest.KeyRange{}}
	m := block.Meta{Key: block.Key{Partition: day, Level: level}}
	k := manifest.KeyRange{First: "~", Last: ""}
	for _, b := range blocks[at:] {
		if len(m.Inputs) == n {
			break
		}
		if r.Intn(8) == 0 {
			continue // leave one out
		}
		if b.Partition != blocks[at].Partition || b.Level > level {
			continue
		}
		m.Inputs = append(m.Inputs, b.Name)
		if b.Level == block.L0 {
			b.Keys = keys()
		}
		k = manifest.KeyRange{First: min(k.First, b.Keys.First), Last: max(k.Last, b.Keys.Last)}
	}
	if len(m.Inputs) == 0 {
		return manifest.Edit{Drop: []string{blocks[at].Name}}
	}
	var in []block.Info
	for _, name := range m.Inputs {
		in = append(in, s.Blocks[name].Info)
	}
	e.Drop = slices.Clone(m.Inputs)
	if r.Intn(10) == 0 {
		e.Drop = e.Drop[1:]
	}
	out := partitiontest.MergedBlock(level, day, in...)
	e.Add, e.Keys[out.Name] = []block.Info{out}, k
	return e
}

// misplaced says which two blocks break the order.
func misplaced(s *manifest.State) string {
	blocks := s.Sorted()
	depth := 0
	for i, a := range blocks {
		if a.Level == block.L1 {
			depth++
		}
		for j, b := range blocks {
			if i == j || a.Partition != b.Partition && a.Level != block.L0 && b.Level != block.L0 {
				continue
			}
			meet := a.MinGen <= b.MaxGen && b.MinGen <= a.MaxGen
			share := a.Keys.IsZero() || b.Keys.IsZero() || a.Keys.First <= b.Keys.Last && b.Keys.First <= a.Keys.Last
			switch {
			case a.Level == b.Level && a.Level < block.L2 && meet,
				a.Level == block.L0 && b.Level > block.L0 && a.MinGen <= b.MaxGen,
				a.Level == block.L1 && b.Level == block.L2 && share && a.MinGen <= b.MaxGen,
				a.Level == block.L2 && b.Level == block.L2 && share:
				return a.Name + " and " + b.Name
			}
		}
	}
	if slices.ContainsFunc(blocks, func(b manifest.Listed) bool { return b.Level == block.L2 }) {
		depth++
	}
	if depth > manifest.MaxDepth {
		return "too deep"
	}
	return ""
}

// The planner on histories with everything in them: late data of any day, keys
// that split the L2s, blocks that turn out to be unreadable, merges under way
// while others are planned, deletions. Every plan leaves the blocks in their
// order, none touches a block it may not, and the final form is reached.
func TestPlansKeepTheOrder(t *testing.T) {
	merges := map[string]int{}
	for seed := range int64(24) {
		r := rand.New(rand.NewSource(seed))
		s := newSimulation(t)
		bad, tombstone := map[string]bool{}, uint64(0)
		var running []Plan
		next := func(plan func([]Candidate, PlanOptions) (Plan, bool)) bool {
			var blocks []Candidate
			for _, b := range s.state.Sorted() {
				busy := slices.ContainsFunc(running, func(p Plan) bool { return slices.Contains(p.Names(), b.Name) })
				blocks = append(blocks, Candidate{Listed: b, Quarantined: bad[b.Name], Busy: busy})
			}
			p, ok := plan(blocks, PlanOptions{NowMs: s.nowMs, FreeBytes: math.MaxUint64, WALLow: s.state.WALLow, Tombstones: s.state.Tombstones})
			if !ok {
				return false
			}
			for _, in := range p.Inputs {
				if bad[in.Name] || slices.ContainsFunc(running, func(q Plan) bool { return slices.Contains(q.Names(), in.Name) }) {
					t.Fatalf("seed %d: %s takes %s", seed, p.Reason, in.Name)
				}
			}
			running = append(running, p)
			merges[fmt.Sprintf("%v from %v", p.Level, p.Inputs[len(p.Inputs)-1].Level)]++
			return true
		}
		finish := func(i int) {
			s.publishMerge(running[i], r)
			running = slices.Delete(running, i, i+1)
		}
		step := 4 * model.HourMs >> (seed % 4 * 2)
		for range 150 * (1 + seed%4) {
			s.nowMs += r.Int63n(step)
			switch r.Intn(8) {
			case 0, 1, 2, 3:
				content := map[int64]int64{}
				for range 1 + r.Intn(4) {
					content[block.Raw.PartitionStart(s.nowMs-r.Int63n(4)*model.DayMs*r.Int63n(2))] += 1 + r.Int63n(1<<uint(r.Intn(20)))
				}
				s.cut(content)
			case 4:
				if seed%2 == 0 && r.Intn(6) == 0 && len(s.state.Blocks) > 0 {
					blocks := s.state.Sorted()
					name := blocks[r.Intn(len(blocks))].Name
					if !slices.ContainsFunc(running, func(p Plan) bool { return slices.Contains(p.Names(), name) }) {
						bad[name] = true
					}
				}
			case 5:
				tombstone++
				tomb := partitiontest.Tombstone(tombstone, s.gen+1)
				tomb.Range.Min = partitiontest.TestDay + int64(r.Intn(20))*model.DayMs
				tomb.Range.Max = tomb.Range.Min + 1 + int64(r.Intn(int(3*model.DayMs)))
				s.gen++
				s.apply(manifest.Edit{AddTombstones: []manifest.Tombstone{tomb}, WALLow: partitiontest.Ptr(s.gen + 1)})
			default:
				if len(running) > 0 && r.Intn(2) == 0 {
					finish(r.Intn(len(running)))
				} else if plan := PlanMerge; len(running) < 3 {
					if r.Intn(20) == 0 {
						plan = PlanFinal
					}
					next(plan)
				}
			}
		}
		for len(running) > 0 {
			finish(0)
		}
		for n := 0; next(PlanFinal); n++ {
			finish(0)
			if n > 500 {
				t.Fatalf("seed %d: the final form is never reached", seed)
			}
		}
		if spent := manifest.SpentTombstones(s.state, nil); len(bad) == 0 && len(spent) != len(s.state.Tombstones) {
			t.Errorf("seed %d: of %d tombstones %d are spent", seed, len(s.state.Tombstones), len(spent))
		}
	}
	t.Log(merges)
	for _, kind := range []string{"L0 from L0", "L1 from L0", "L1 from L1", "L2 from L1", "L2 from L2", "L2 from L0"} {
		if merges[kind] == 0 {
			t.Errorf("no merge of %s", kind)
		}
	}
}

// A block below the retention floor is rewritten when enough of it has expired, or
// some of it a day later.
func TestPlanRewritesWhatHasExpiredInPart(t *testing.T) {
	for _, c := range []struct {
		name   string
		blocks string
		share  float64
		floor  int64 // day
		want   string
	}{
		{"nothing expired", "L2:1-3@-2", 0, -1, "none"},
		{"little", "L2:1-3@-2", 0.05, -1, "none"},
		{"little, a day ago", "L2:1-3@-2", 0.05, 0, "5% of samples expired in an L2"},
		{"enough", "L2:1-3@-2", 0.1, -1, "10% of samples expired in an L2"},
		{"above the floor", "L2:1-3@-2", 1, -2, "none"},
		{"quarantined", "L2:1-3@-2,q", 1, -1, "none"},
		{"busy", "L2:1-3@-2,b", 1, -1, "none"},
		{"an L1 is to be merged first", "L2:1-3@-2 L1:4-5@-2", 1, -1, "none"},
	} {
		for what, plan := range map[string]func([]Candidate, PlanOptions) (Plan, bool){"PlanMerge": PlanMerge, "PlanFinal": PlanFinal} {
			if strings.Contains(c.blocks, "L1") && what == "PlanFinal" {
				continue
			}
			p, ok := plan(planSet(t, c.blocks), PlanOptions{NowMs: planNow, FreeBytes: math.MaxUint64, WALLow: 9,
				Floor: partitiontest.TestDay + c.floor*model.DayMs, Expired: func(string) (float64, int64) { return c.share, partitiontest.TestDay + c.floor*model.DayMs }})
			got := "none"
			if ok {
				got = p.Reason
			}
			if got != c.want || ok && (len(p.Inputs) != 1 || p.MaxGen != p.Inputs[0].MaxGen) {
				t.Errorf("%s: %s: %q %+v, want %q", c.name, what, got, p, c.want)
			}
		}
	}
}
