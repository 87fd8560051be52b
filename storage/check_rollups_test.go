package storage

import (
	"math"
	"strings"
	"testing"

	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/manifest"
	"tsdb/storage/doctor"
)

// newFileWorld is newTieredWorld with the log in files, for the tools that work on a
// closed directory.
func newFileWorld(t *testing.T) *tieredWorld {
	w := &tieredWorld{t: t, ctx: t.Context(), mem: vfs.NewMem(), clock: vfs.NewManualClock(tieredNow)}
	w.opts = Options{Clock: w.clock, Seed: 1, ReserveBytes: 4096, WALSegmentBytes: 64 << 10}
	doctortest.CheckAtEnd(t, func() vfs.FS { return w.mem }, "data", func() bool { return w.damaged })
	w.open()
	t.Cleanup(func() { closeUncut(w.db) })
	return w
}

// fill writes samples of two days for a few series, with a deletion that is applied to
// some blocks only, and rolls the days up.
func (w *tieredWorld) fill() {
	w.t.Helper()
	for ago := 3; ago > 1; ago-- {
		for i := range 4 {
			w.write(i, every(dayAt(ago)+int64(i)*777_777, 15_000, 500))
		}
	}
	w.compact()
	w.remove(1, model.TimeRange{Min: dayAt(3), Max: dayAt(3) + 2*model.HourMs})
	w.remove(2, model.AllTime)
	w.write(9, one(tieredNow.UnixMilli(), 1)) // so that there is a cut, which records the deletions
	w.flush()
	for ago := 3; ago > 1; ago-- {
		w.roll(dayAt(ago), rollForm{standIn: func(tier block.Tier, i string) bool { return tier == block.Minute && i == "3" }}, block.Minute, block.Hour)
	}
}

// rewrite replaces the rows of the hour tier of a day by changed ones.
func (w *tieredWorld) rewrite(day int64, change func([]*rolled) []*rolled) {
	w.t.Helper()
	v := w.view()
	defer v.Release()
	st := v.st.blocks.State()
	c, ok := st.CoverageOf(block.Hour, day)
	if !ok {
		w.t.Fatal("the day is not covered")
	}
	src := v.st.blocks.Find(c.Block)
	var series []*rolled
	it := src.Block().Iterate()
	for it.Next() {
		entry, err := it.Series()
		must(w.t, err)
		s := &rolled{SeriesEntry: entry}
		_, err = it.Buckets(model.AllTime, model.AllBucketColumns, &s.buckets, nil)
		must(w.t, err)
		series = append(series, s)
	}
	must(w.t, it.Err())
	var e manifest.Edit
	meta := src.Meta
	meta.Ordinal = 0
	c.Block = w.create(&e, meta, change(series))
	e.Cover = []manifest.Coverage{c}
	w.publish(st, e)
}

func (w *tieredWorld) examine() *doctor.CheckReport {
	w.t.Helper()
	r, err := doctor.Check(w.ctx, w.mem, "data")
	must(w.t, err)
	return r
}

// Resets that were left out are compared with nothing, the other columns are.
func TestCheckLooksForNoResetsThatWereLeftOut(t *testing.T) {
	w := newFileWorld(t)
	w.damaged = true // so no check at the end
	w.fill()
	omit := func(all []*rolled) []*rolled {
		b := &all[0].buckets
		for i := range b.Flags {
			b.Flags[i] |= model.BucketNoResets
			b.Lost[i], b.Resets[i], b.Changes[i] = 0, 0, 0
		}
		return all
	}
	w.rewrite(dayAt(2), omit)
	if r := w.examine(); len(r.Damage) != 0 || r.RollupDaysCompared != 4 {
		t.Fatalf("%+v", r)
	}
	w.rewrite(dayAt(2), func(all []*rolled) []*rolled {
		all[0].buckets.Sum[0]++
		return all
	})
	if r := w.examine(); len(r.Damage) != 1 || !strings.Contains(r.Damage[0].What, "another sum") {
		t.Errorf("%+v", r)
	}
}

func TestCheckComparesRollupsWithSamples(t *testing.T) {
	w := newFileWorld(t)
	w.damaged = true // so no check at the end
	w.fill()
	if r := w.examine(); len(r.Damage) != 0 || r.RollupDays != 4 || r.RollupDaysCompared != 4 {
		t.Fatalf("of correct rollups: %+v", r)
	}
	w.fold(block.Hour, model.AllTime)
	if r := w.examine(); len(r.Damage) != 0 || r.RollupDaysCompared != 4 {
		t.Fatalf("of folded rollups: %+v", r)
	}
	// A damaged chunk is not reported again as rows that are missing.
	c, _ := w.db.manifest.State().CoverageOf(block.Hour, dayAt(2))
	flipByte(t, w.mem, "data/"+c.Block, 100)
	r := w.examine()
	for _, d := range r.Damage {
		if d.File != c.Block || d.Offset == 0 {
			t.Errorf("of a damaged chunk: %+v", r.Damage)
		}
	}
	if len(r.Damage) == 0 {
		t.Error("a damaged chunk is not reported")
	}
	flipByte(t, w.mem, "data/"+c.Block, 100)
	day := dayAt(2)
	w.roll(day, rollForm{}, block.Hour)
	first := func(change func(b *model.Buckets)) func([]*rolled) []*rolled {
		return func(all []*rolled) []*rolled {
			change(&all[0].buckets)
			return all
		}
	}
	flip := func(f *float64) { *f = math.Float64frombits(math.Float64bits(*f) ^ 1) }
	for _, c := range []struct {
		want   string
		change func([]*rolled) []*rolled
	}{
		{"another sum than its samples give", first(func(b *model.Buckets) { flip(&b.Sum[0]) })},
		{"another maximum", first(func(b *model.Buckets) { b.Max[1] = math.Nextafter(b.Max[1], 1e9) })},
		{"another last value", first(func(b *model.Buckets) { flip(&b.V2[1]) })},
		{"another number of resets", first(func(b *model.Buckets) { b.Resets[1]++ })},
		{"another flags", first(func(b *model.Buckets) { b.Flags[1] |= model.BucketStart })},
		{"has no bucket that ends at", first(func(b *model.Buckets) {
			var rest model.Buckets
			rest.AppendRange(b, 0, b.Len()-1)
			*b = rest
		})},
		{"and no samples in it", first(func(b *model.Buckets) {
			more := b.Slice(b.Len()-1, b.Len())
			rest := *b
			*b = model.Buckets{}
			b.AppendRange(&rest, 0, rest.Len())
			b.AppendRange(&more, 0, 1)
			for _, times := range [][]int64{b.End, b.First, b.T1, b.T2, b.T3} {
				times[b.Len()-1] += model.HourMs
			}
		})},
		{`series {__name__="m", i="0"} has 500 samples and no row`, func(all []*rolled) []*rolled { return all[1:] }},
	} {
		w.roll(day, rollForm{}, block.Hour)
		w.rewrite(day, c.change)
		r := w.examine()
		if len(r.Damage) != 1 || !strings.Contains(r.Damage[0].What, c.want) || !strings.Contains(r.Damage[0].What, "1h of 2026-03-08") || !strings.HasPrefix(r.Damage[0].File, "1h/") {
			t.Errorf("%s: %+v", c.want, r.Damage)
		}
	}
}

// A damaged rollup is dropped by a repair as far as its samples are there, and only
// then.
func TestRepairUncoversDamagedRollups(t *testing.T) {
	w := newFileWorld(t)
	w.damaged = true // so no check at the end
	w.fill()
	w.fold(block.Hour, model.AllTime)
	st := w.db.manifest.State()
	hours, _ := st.CoverageOf(block.Hour, dayAt(2))
	minutes, _ := st.CoverageOf(block.Minute, dayAt(3))
	// The samples of the first day leave.
	var e manifest.Edit
	floor := dayAt(2)
	e.Floor = &floor
	for _, b := range st.RawBlocks() {
		if b.Partition == dayAt(3) {
			e.Drop = append(e.Drop, b.Name)
		}
	}
	w.publish(st, e)
	closeUncut(w.db)
	repair := func(apply bool) *doctor.RepairReport {
		t.Helper()
		r, err := doctor.Repair(w.ctx, w.mem, "data", doctor.RepairOptions{Apply: apply, Clock: w.clock})
		must(t, err)
		return r
	}
	if r := repair(true); r.Needed {
		t.Fatalf("without damage: %+v", r)
	}
	flipByte(t, w.mem, "data/"+hours.Block, 100)
	flipByte(t, w.mem, "data/"+minutes.Block, 100)
	for _, apply := range []bool{false, true} {
		r := repair(apply)
		text := strings.Join(r.Lines, "\n")
		if !r.Needed || !strings.Contains(text, hours.Block+": damaged at ") ||
			!strings.Contains(text, hours.Block+": the next start rolls 1 day up again") ||
			!strings.Contains(text, hours.Block+": 1 day cannot be rolled up again") ||
			!strings.Contains(text, minutes.Block+": 1 day cannot be rolled up again") {
			t.Fatalf("apply %v: %s", apply, text)
		}
	}
	w.open()
	st = w.db.manifest.State()
	if _, ok := st.CoverageOf(block.Hour, dayAt(2)); ok {
		t.Error("the damaged day is still covered")
	}
	if c, ok := st.CoverageOf(block.Hour, dayAt(3)); !ok || c.Block != hours.Block {
		t.Errorf("the day without samples: %+v, %v", c, ok)
	}
	if _, ok := st.CoverageOf(block.Minute, dayAt(2)); !ok {
		t.Error("an intact day is not covered any more")
	}
}
