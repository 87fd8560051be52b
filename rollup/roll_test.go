package rollup

import (
	"context"
	"errors"
	"slices"
	"testing"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
)

// One pass over the L2s of a day makes the buckets of its samples, without those that
// recorded deletions cover; where they take less space the samples stand in.
func TestRollMakesTheBucketsOfTheSamples(t *testing.T) {
	s := openStore(t)
	s.fill(0, 5, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	s.fill(1, 3, 0, 2, 4, 8)
	s.nowMs += 3 * model.DayMs
	must(t, s.merged(compaction.PlanFinal))
	if n := len(s.blocksOf(block.Raw, block.L2)); n < 4 {
		t.Fatalf("%d L2s", n)
	}
	must(t, s.delete(1, model.TimeRange{Min: day0 + model.HourMs + 7, Max: day0 + 2*model.HourMs}))
	s.roll(false, "roll 1m 1h 1", "roll 1m 1h 0")
	must(t, s.check(true))
	if c, _ := s.m.State().CoverageOf(block.Minute, day0); c.Tombstone != 1 || c.Gen != 2 || len(c.Sources) < 3 || c.StandIn || c.Lost != nil {
		t.Errorf("%+v", c)
	}
	// What is late makes its day dirty, and only that.
	s.fill(0, 1, 1)
	s.nowMs += 2 * model.DayMs
	must(t, s.merged(compaction.PlanFinal))
	s.roll(false, "roll 1m 1h 0")
	must(t, s.check(true))
}

// The resets of a series are left out of the minutes of days on which it falls often, and
// stay left out when these are folded. Those of other days and of hours are there.
func TestResetsOfSeriesThatFallOftenAreLeftOut(t *testing.T) {
	s := openStore(t)
	for day := range int64(3) {
		s.fill(day, 2, 0, 5)
	}
	s.nowMs += 5 * model.DayMs
	must(t, s.merged(compaction.PlanFinal))
	look := func() {
		t.Helper()
		must(t, s.check(true))
		v := s.set.Acquire()
		defer v.Release()
		for _, c := range v.State().SortedCoverage() {
			b := v.Find(c.Block).Block()
			for ord := range uint32(2) {
				at, err := b.Series(ord)
				must(t, err)
				rows, _, err := rowsOf(b, ord, c.Range())
				must(t, err)
				left := c.Tier == block.Minute && at.ID == series(5).ID && c.Day/model.DayMs%2 == 0
				for i, flags := range rows.Flags {
					if flags&model.BucketNoResets != 0 != left || rows.Changes[i] > 0 == left {
						t.Fatalf("%v of %d, series %v, row %d: flags %#x, %d changes", c.Tier, c.Day, at.Labels, i, flags, rows.Changes[i])
					}
				}
			}
		}
	}
	s.roll(false)
	look()
	s.roll(true, "fold 1m 0 1 2", "fold 1h 0 1 2")
	look()
}

// Without a tier that keeps them no resets are left out.
func TestResetsAreLeftOutOnRequest(t *testing.T) {
	s := openStore(t)
	s.o.OmitResets = false
	s.fill(0, 2, 5)
	s.fill(1, 2, 5)
	s.nowMs += 3 * model.DayMs
	must(t, s.merged(compaction.PlanFinal))
	s.roll(false)
	must(t, s.check(true))
}

// Samples stand in for buckets of a minute where that takes less space: for some series,
// or, without a block, for all.
func TestSamplesStandIn(t *testing.T) {
	disk := vfs.NewFault(vfs.NewMem())
	disk.Count(vfs.Ops(vfs.OpCreate))
	s := newStore(t, disk)
	must(t, s.open())
	defer func() { must(t, s.close()) }()
	s.fill(0, 5, 1, 3, 6)    // few samples in a bucket
	s.fill(1, 5, 0, 1, 3, 5) // few in some
	s.nowMs += 3 * model.DayMs
	must(t, s.merged(compaction.PlanFinal))
	s.roll(false)
	must(t, s.check(true))
	st := s.m.State()
	if c, _ := st.CoverageOf(block.Minute, day0); !c.StandIn || c.Block != "" {
		t.Errorf("%+v", c)
	}
	if c, _ := st.CoverageOf(block.Hour, day0); c.StandIn || c.Block == "" {
		t.Errorf("%+v", c)
	}
	c, _ := st.CoverageOf(block.Minute, day0+model.DayMs)
	if c.StandIn || c.Block == "" {
		t.Fatalf("%+v", c)
	}
	v := s.set.Acquire()
	defer v.Release()
	stood := 0
	for ord := range uint32(4) {
		rows, standIn, err := rowsOf(v.Find(c.Block).Block(), ord, c.Range())
		if must(t, err); len(standIn) > 0 {
			stood++
		}
		if len(standIn) > 0 == (rows.Len() > 0) || len(standIn) > 0 && standIn[0] != c.Range() {
			t.Errorf("series %d: %d rows, samples stand in for %v", ord, rows.Len(), standIn)
		}
	}
	if stood != 2 {
		t.Errorf("samples of %d series stand in", stood)
	}
	// No block is begun where all stand in.
	before := disk.N()
	r, err := Run(context.Background(), v, Step{Action: Roll, Tiers: []block.Tier{block.Minute}, Days: []int64{day0}}, s.o)
	if must(t, err); len(r.Add) > 0 || !r.Cover[0].StandIn || disk.N() != before {
		t.Errorf("%+v, %d files created", r, disk.N()-before)
	}
}

// A day of which nothing is left has an entry without a block.
func TestRollOfADayWithoutSamples(t *testing.T) {
	s := openStore(t)
	s.fill(0, 1, 0, 3)
	s.nowMs += 3 * model.DayMs
	must(t, s.merged(compaction.PlanFinal))
	for m := range 3 {
		must(t, s.delete(m, model.TimeRange{Min: day0, Max: day0 + model.DayMs}))
	}
	s.roll(false, "roll 1m 1h 0")
	must(t, s.check(true))
	if c, ok := s.m.State().CoverageOf(block.Hour, day0); !ok || c.Block != "" || c.StandIn {
		t.Errorf("%+v", c)
	}
}

// Folded blocks have the rows of the days whose entries named their sources, and of no
// other.
func TestFold(t *testing.T) {
	s := openStore(t)
	for day := range int64(10) {
		s.fill(day, 1+day%3, 0, 1, 2, 3, 4, 7+int(day)%3)
	}
	s.nowMs = day0 + 11*model.DayMs
	must(t, s.merged(compaction.PlanFinal))
	s.roll(true, "roll 1m 1h 9", "roll 1m 1h 8", "roll 1m 1h 7", "roll 1m 1h 6", "roll 1m 1h 5", "roll 1m 1h 4", "roll 1m 1h 3", "roll 1m 1h 2",
		"roll 1m 1h 1", "roll 1m 1h 0", "fold 1m 0 1 2 3 4 5 6 7 8 9", "fold 1h 0 1 2 3 4 5 6 7 8 9")
	must(t, s.check(true))
	if n := len(s.blocksOf(block.Minute, block.L2)); n != 1 {
		t.Errorf("%d blocks of minutes", n)
	}
	// The rows of a day that is rolled up again are hidden in the folded block.
	s.fill(4, 2, 1, 8)
	must(t, s.merged(compaction.PlanFinal))
	s.roll(false, "roll 1m 1h 4")
	must(t, s.check(true))
	s.roll(true, "fold 1m 0 1 2 3 4 5 6 7 8 9", "fold 1h 0 1 2 3 4 5 6 7 8 9")
	must(t, s.check(true))
	must(t, s.sweep())
	if n := len(s.blocksOf(block.Minute, block.L2)) + len(s.blocksOf(block.Hour, block.L2)) + len(s.blocksOf(block.Raw, block.L2)); n != len(s.keys()) {
		t.Errorf("%d listed blocks, files %v", n, s.keys())
	}
}

// Deletions in days whose samples have left take whole buckets; where one cuts a bucket
// the rest of it is lost.
func TestErase(t *testing.T) {
	s := openStore(t)
	for day := range int64(3) {
		s.fill(day, 3, 0, 3, 4)
	}
	s.nowMs = day0 + 5*model.DayMs
	must(t, s.merged(compaction.PlanFinal))
	s.roll(true)
	must(t, s.retire(2))
	cut := day0 + model.DayMs + model.HourMs - 1 + 90_000
	must(t, s.delete(0, model.TimeRange{Min: day0 + model.HourMs, Max: cut})) // series 0 and 3
	s.roll(false, "erase 1m 0 1 2", "erase 1h 0 1 2")
	st := s.m.State()
	v := s.set.Acquire()
	defer v.Release()
	for _, tier := range s.tiers {
		for day := range int64(3) {
			c, ok := st.CoverageOf(tier, day0+day*model.DayMs)
			if !ok || c.Tombstone != 1 && day < 2 {
				t.Fatalf("%+v", c)
			}
			e := v.Find(c.Block)
			for ord := range uint32(e.Series) {
				at, err := e.Block().Series(ord)
				must(t, err)
				rows, _, err := rowsOf(e.Block(), ord, c.Range())
				must(t, err)
				for i, end := range rows.End {
					bucket := model.TimeRange{Min: end - tier.Ms() + 1, Max: end + 1}
					if at.ID != series(4).ID && bucket.Overlaps(model.TimeRange{Min: day0 + model.HourMs, Max: cut}) {
						t.Errorf("%v: row %d of day %d, series %v, is left", tier, i, day, at.Labels)
					}
				}
				if rows.Len() == 0 && at.ID == series(4).ID {
					t.Errorf("%v: series 4 has no rows in day %d", tier, day)
				}
			}
			want := []model.TimeRange(nil)
			if day == 1 {
				end := bucketEnd(cut-1, tier)
				want = []model.TimeRange{{Min: end - tier.Ms() + 1, Max: end + 1}}
			}
			if day == 0 && tier == block.Hour {
				continue // an hour begins 1 ms after the deletion does
			}
			if day != 0 && !slices.Equal(c.Lost, want) {
				t.Errorf("%v: lost of day %d are %v, want %v", tier, day, c.Lost, want)
			}
		}
	}
	if spent := manifest.SpentTombstones(st, v.Concerns(context.Background())); len(spent) != 1 {
		t.Errorf("spent tombstones %v", spent)
	}
}

func bucketEnd(t int64, tier block.Tier) int64 { return (t + tier.Ms() - 1) / tier.Ms() * tier.Ms() }

// A deletion that was applied stays noted in the entry when the day is rolled up again,
// also after it was forgotten: IDs of new deletions are above those of all entries.
func TestRollAgainKeepsTheDeletionOfTheEntry(t *testing.T) {
	s := openStore(t)
	s.nowMs = day0 + 5*model.DayMs
	s.fill(0, 1, 0, 1)
	must(t, s.merged(compaction.PlanFinal))
	must(t, s.delete(0, model.TimeRange{Min: day0, Max: day0 + 5000}))
	must(t, s.merged(compaction.PlanFinal))
	s.roll(true)
	spent := manifest.SpentTombstones(s.m.State(), nil)
	must(t, s.publish(manifest.Edit{DropTombstones: spent}))
	s.fill(0, 1, 4)
	must(t, s.merged(compaction.PlanFinal))
	s.roll(true)
	must(t, s.check(true))
	c, _ := s.m.State().CoverageOf(block.Hour, day0)
	if len(spent) != 1 || len(s.m.State().Tombstones) != 0 || c.Tombstone != spent[0] {
		t.Errorf("forgotten %v; the entry has tombstone %d", spent, c.Tombstone)
	}
}

// What cannot be read is noted in the entries; the rest of the day is rolled up.
func TestRollNotesWhatIsLost(t *testing.T) {
	t.Run("a chunk", func(t *testing.T) {
		s := openStore(t)
		s.fill(0, 5, 0, 4)
		s.nowMs += 3 * model.DayMs
		must(t, s.merged(compaction.PlanFinal))
		s.damageAt(s.blocksOf(block.Raw, block.L2)[0], block.HeaderLen+100)
		s.roll(false, "roll 1m 1h 0")
		c, _ := s.m.State().CoverageOf(block.Minute, day0)
		if len(c.Lost) == 0 || c.Block == "" {
			t.Errorf("%+v", c)
		}
	})
	t.Run("a block", func(t *testing.T) {
		s := openStore(t)
		s.fill(0, 5, 0, 1, 2, 3, 4, 5)
		s.nowMs += 3 * model.DayMs
		must(t, s.merged(compaction.PlanFinal))
		l2 := s.blocksOf(block.Raw, block.L2)
		must(t, s.close())
		must(t, s.fs.Remove("d/"+l2[0]))
		must(t, s.open())
		s.roll(false, "roll 1m 1h 0")
		c, _ := s.m.State().CoverageOf(block.Minute, day0)
		if len(c.Lost) != 1 || c.Block == "" || !slices.Equal(c.Sources, l2) {
			t.Errorf("%+v", c)
		}
		// It is tried again when the planner is told to.
		v := s.set.Acquire()
		defer v.Release()
		step, ok := Plan(v.State(), PlanOptions{NowMs: s.nowMs, FreeBytes: 1 << 40, Tiers: s.tiers, Retry: func(*manifest.Coverage) bool { return true }})
		if got := stepString(step, ok); got != "roll 1m 1h 0" {
			t.Errorf("planned %s", got)
		}
	})
	t.Run("every block", func(t *testing.T) {
		s := openStore(t)
		s.fill(0, 5, 0)
		s.nowMs += 3 * model.DayMs
		must(t, s.merged(compaction.PlanFinal))
		l2 := s.blocksOf(block.Raw, block.L2)
		must(t, s.close())
		must(t, s.fs.Remove("d/"+l2[0]))
		must(t, s.open())
		s.roll(false, "roll 1m 1h 0")
		if c, _ := s.m.State().CoverageOf(block.Minute, day0); len(c.Lost) != 1 || c.Block != "" {
			t.Errorf("%+v", c)
		}
	})
	t.Run("a panic", func(t *testing.T) {
		s := openStore(t)
		s.fill(0, 5, 0, 1, 2, 3, 4, 5)
		s.nowMs += 3 * model.DayMs
		must(t, s.merged(compaction.PlanFinal))
		n := 0
		s.o.Yield = func(context.Context) error {
			if n++; n == 5 {
				panic("in the middle")
			}
			return nil
		}
		s.roll(false, "quarantine", "roll 1m 1h 0")
		if c, _ := s.m.State().CoverageOf(block.Minute, day0); len(c.Lost) != 1 || c.Block == "" {
			t.Errorf("%+v", c)
		}
	})
}

// A rollup block that cannot be read is made again from the samples.
func TestDamagedRollupIsMadeAgain(t *testing.T) {
	s := openStore(t)
	for day := range int64(3) {
		s.fill(day, 5, 0, 4)
	}
	s.nowMs = day0 + 5*model.DayMs
	must(t, s.merged(compaction.PlanFinal))
	for range 3 {
		_, err := s.step(false)
		must(t, err)
	}
	bad := s.blocksOf(block.Minute, block.L2)[1]
	s.damageAt(bad, block.HeaderLen+100)
	s.roll(true, "quarantine", "roll 1m 1", "fold 1m 0 1 2", "fold 1h 0 1 2")
	must(t, s.check(true))
	if slices.Contains(s.blocksOf(block.Minute, block.L2), bad) {
		t.Error("the damaged block is still listed")
	}
}

// Names and bytes follow from the state; a step that fails leaves no file.
func TestStepsAreRepeatable(t *testing.T) {
	var first map[string]string
	for run := range 2 {
		s := openStore(t)
		for day := range int64(3) {
			s.fill(day, 2, 0, 1, 2, 3, 4)
		}
		s.nowMs = day0 + 5*model.DayMs
		must(t, s.merged(compaction.PlanFinal))
		if run == 1 {
			stop := errors.New("stop")
			for n := range 30 {
				left := n
				s.o.Yield = func(context.Context) error {
					if left--; left < 0 {
						return stop
					}
					return nil
				}
				before := s.keys()
				if _, err := s.step(true); err == nil {
					continue
				} else if !errors.Is(err, stop) {
					t.Fatal(err)
				}
				if after := s.keys(); !slices.Equal(before, after) {
					t.Errorf("files %v, before %v", after, before)
				}
				must(t, s.sweep()) // the names are free again
			}
			s.o.Yield = nil
		}
		s.roll(true)
		must(t, s.sweep())
		files := map[string]string{}
		for _, name := range s.keys() {
			files[name] = s.content(name)
		}
		if first == nil {
			first = files
		}
		if len(first) != len(files) {
			t.Errorf("%d files, want %d", len(files), len(first))
		}
		for name, content := range files {
			if first[name] != content {
				t.Errorf("%s differs", name)
			}
		}
	}
}

func (s *store) content(name string) string {
	f, err := s.fs.Open("d/" + name)
	must(s.t, err)
	size, err := f.Size()
	must(s.t, err)
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	must(s.t, errors.Join(err, f.Close()))
	return string(b)
}

// An entry lists a bounded number of lost ranges, which together contain all.
func TestLostRangesAreBounded(t *testing.T) {
	var lost block.DeletedRanges
	for i := range int64(manifest.MaxLost) {
		lost = lost.Add(model.TimeRange{Min: 10 * i, Max: 10*i + 5})
	}
	if got := boundLost(lost); !slices.Equal(got, []model.TimeRange(lost)) {
		t.Errorf("%d ranges of %d", len(got), len(lost))
	}
	lost = lost.Add(model.TimeRange{Min: -10, Max: -5})
	if got := boundLost(lost); len(got) != 1 || got[0].Min != -10 || got[0].Max != 10*(manifest.MaxLost-1)+5 {
		t.Errorf("%d ranges, from %v", len(got), got[0])
	}
}
