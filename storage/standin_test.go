package storage

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/storage/doctor"
)

// Below the floor of samples those remain that stand in for minutes, as long as
// minutes are kept. Until then both tiers answer as the samples did.
func TestSamplesThatStandInStayAsLongAsTheTier(t *testing.T) {
	w := newTieredWorld(t)
	w.opts.RetentionMs = 3 * model.DayMs
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Minute: 6 * model.DayMs, block.Hour: 0}
	w.restart()
	days := model.TimeRange{Min: dayAt(2), Max: dayAt(0)} // series 0 has few samples in a minute, series 1 many
	for _, day := range []int64{dayAt(2), dayAt(1)} {
		w.write(0, every(day+7, 30_000, 200))
		w.write(1, every(day+7, 1000, 6000))
	}
	w.flush()
	w.compact()
	want := w.check(block.Minute, days)
	hours := w.check(block.Hour, days)
	if n := want.fromTier["0"]; n != 0 || want.fromTier["1"] == 0 {
		t.Fatalf("%d and %d rows of minutes", n, want.fromTier["1"])
	}
	rawSeries := func() string {
		v := w.view()
		defer v.Release()
		set, err := v.Select(w.ctx, model.DefaultTenant, days, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
		must(t, err)
		var all []string
		for i := range set.Len() {
			var s model.Samples
			must(t, set.At(i).Samples(w.ctx, days, &s))
			all = append(all, fmt.Sprint(set.At(i).Labels.Get("i"), ":", s.Len()))
		}
		slices.Sort(all)
		if len(set.Warnings()) > 0 {
			t.Fatal(set.Warnings())
		}
		return fmt.Sprint(all)
	}
	rawSamples := func() (n uint64) {
		for _, b := range w.db.manifest.State().RawBlocks() {
			n += b.Samples
		}
		return n
	}
	same := func(what string, tier block.Tier, want tieredRead) {
		t.Helper()
		v := w.view()
		defer v.Release()
		got := w.read(v, tier, days)
		for _, name := range []string{"0", "1"} {
			rows := got.rows[name]
			if rows == nil {
				t.Fatalf("%s: no rows of series %s", what, name)
			}
			if diff := diffBuckets(rows, want.rows[name]); diff != "" {
				t.Errorf("%s: %v of series %s: %s", what, tier, name, diff)
			}
		}
		if len(got.warnings) > 0 {
			t.Errorf("%s: %v", what, got.warnings)
		}
	}
	before := rawSamples()
	// changed returns the number of hours of the two days that count a change.
	changed := func(do func()) (n int) {
		sums := func() []uint64 {
			return w.db.Changes().Sums(nil, ChangeHour(days.Min), ChangeHour(days.Max-1), model.AllMetrics)
		}
		was := sums()
		do()
		for i, sum := range sums() {
			if sum != was[i] {
				n++
			}
		}
		return n
	}
	retain := func() { must(t, w.db.Retain(w.ctx)) }
	w.clock.Advance(3 * 24 * time.Hour)
	if n := changed(retain); n != 49 { // the first begins before the days do
		t.Errorf("%d hours have changed with the floor", n)
	}
	if floor := w.db.views.floor(); floor != dayAt(0) {
		t.Fatalf("floor %s, want %s", model.FormatTime(floor), model.FormatTime(dayAt(0)))
	}
	for _, what := range []string{"below the floor", "rewritten", "after a restart"} {
		switch what {
		case "rewritten":
			if n := changed(w.compact); n != 0 {
				t.Errorf("%d hours have changed with a rewrite", n)
			}
			if n := rawSamples(); n != 400 || before != 12_400 {
				t.Errorf("%d samples are left of %d", n, before)
			}
		case "after a restart":
			w.restart()
		}
		if got := rawSeries(); got != "[0:400]" {
			t.Errorf("%s: samples of %s", what, got)
		}
		same(what, block.Minute, want)
		same(what, block.Hour, hours)
	}

	w.clock.Advance(3 * 24 * time.Hour)
	if n := changed(retain); n != 49 { // the first begins before the days do
		t.Errorf("%d hours have changed with the floor of minutes", n)
	}
	if got := rawSeries(); got != "[]" || rawSamples() != 0 {
		t.Errorf("samples of %s, %d in blocks", got, rawSamples())
	}
	same("below the floor of minutes", block.Hour, hours)
	if st := w.db.manifest.State(); len(st.Coverage) != 2 {
		t.Errorf("entries %v", st.SortedCoverage())
	}
}

// Without the rollups that are to be made, samples stay beyond their retention.
func TestRetentionWaitsForTheRollupsOfADay(t *testing.T) {
	w := newTieredWorld(t)
	w.opts.RetentionMs = 2 * model.DayMs
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 0}
	w.restart()
	w.write(0, every(dayAt(1)+7, 1000, 60))
	floor := func() int64 {
		t.Helper()
		must(t, w.db.Retain(w.ctx))
		return w.db.views.floor()
	}
	w.clock.Advance(4 * 24 * time.Hour)
	if got := floor(); got > dayAt(1) {
		t.Errorf("floor %s above samples in the head", model.FormatTime(got))
	}
	w.flush()
	if got := floor(); got > dayAt(1) {
		t.Errorf("floor %s above samples in an L0", model.FormatTime(got))
	}
	w.compact() // rolls up and retires
	if got := floor(); got != dayAt(-2) {
		t.Errorf("floor %s, want %s", model.FormatTime(got), model.FormatTime(dayAt(-2)))
	}
	v := w.view()
	defer v.Release()
	if got := w.read(v, block.Hour, wholeDays(2)); got.rows["0"].Len() != 1 {
		t.Errorf("rows of an hour: %+v", got.rows)
	}
}

// With both copies of the MANIFEST gone, the repair takes seed, floors and deletions
// from the footers of blocks. Days whose samples have left keep their buckets and the
// samples that stand in; the others are rolled up again.
func TestRepairWithoutAManifestKeepsRollups(t *testing.T) {
	w := newTieredWorld(t)
	closeUncut(w.db)
	w.opts.logStore = nil
	w.opts.RetentionMs = 3 * model.DayMs
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Minute: 30 * model.DayMs, block.Hour: 0}
	w.mem = vfs.NewMem()
	w.open()
	for ago := 2; ago >= -3; ago-- {
		w.write(0, every(dayAt(ago)+7, 30_000, 200))
		w.write(1, every(dayAt(ago)+7, 1000, 6000))
		if ago <= 0 {
			w.clock.Advance(24 * time.Hour)
		}
		if ago == 0 {
			w.compact()
		}
	}
	w.remove(1, model.TimeRange{Min: dayAt(-3), Max: dayAt(-3) + 5000})
	w.compact()
	w.compact() // with the floors in footers
	view := func() (tieredRead, tieredRead, string) {
		v := w.view()
		defer v.Release()
		return w.read(v, block.Minute, wholeDays(3)), w.read(v, block.Hour, wholeDays(3)), fmt.Sprint(v.RawFloor(), v.st.blocks.State().Seed)
	}
	minutes, hours, state := view()
	if w.db.views.floor() != dayAt(-1) {
		t.Fatalf("floor %s", model.FormatTime(w.db.views.floor()))
	}
	must(t, w.db.Close(w.ctx))
	must(t, w.mem.Remove("data/"+format.ManifestName))
	must(t, w.mem.Remove("data/"+format.TwinName))
	report, err := doctor.Repair(w.ctx, w.mem, "data", doctor.RepairOptions{Clock: w.clock, Apply: true})
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(report.Lines, "\n"))
	}
	w.open()
	for _, what := range []string{"repaired", "rolled up again"} {
		m, h, s := view()
		if s != state {
			t.Errorf("%s: floor and seed are %s, want %s", what, s, state)
		}
		for _, name := range []string{"0", "1"} {
			if diff := diffBuckets(m.rows[name], minutes.rows[name]); diff != "" {
				t.Errorf("%s: minutes of series %s: %s\n%s", what, name, diff, strings.Join(report.Lines, "\n"))
			}
			if diff := diffBuckets(h.rows[name], hours.rows[name]); diff != "" {
				t.Errorf("%s: hours of series %s: %s\n%s", what, name, diff, strings.Join(report.Lines, "\n"))
			}
		}
		if len(m.warnings)+len(h.warnings) > 0 {
			t.Error(m.warnings, h.warnings)
		}
		w.compact()
	}
}
