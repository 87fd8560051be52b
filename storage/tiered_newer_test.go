package storage

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/compaction"
	"tsdb/partition/manifest"
)

// newRolledWorld returns a world of three series with a sample a minute on the last
// three days before today, all of which are rolled up to an hour.
func newRolledWorld(t *testing.T) *tieredWorld {
	w := newTieredWorld(t)
	for i := range 3 {
		for ago := 1; ago <= 3; ago++ {
			w.write(i, every(dayAt(ago)+500, model.MinuteMs, 1440))
		}
	}
	w.compact()
	for ago := 1; ago <= 3; ago++ {
		w.roll(dayAt(ago), rollForm{}, block.Minutes5, block.Hour)
	}
	return w
}

// checkGaps compares the gaps of the series in the tier of an hour, on the last three
// days before today, with the ranges wanted.
func (w *tieredWorld) checkGaps(when string, want map[string][]model.TimeRange) {
	w.t.Helper()
	w.checkGapsOf(block.Hour, when, want)
}

func (w *tieredWorld) checkGapsOf(tier block.Tier, when string, want map[string][]model.TimeRange) {
	w.t.Helper()
	got := w.check(tier, model.TimeRange{Min: dayAt(3), Max: dayAt(0)})
	for i := range 3 {
		name := fmt.Sprint(i)
		if !slices.Equal(got.gaps[name], want[name]) {
			w.t.Errorf("%s: series %s has the gaps %v, want %v", when, name, got.gaps[name], want[name])
		}
	}
}

// hours returns the buckets of an hour from the one that holds t on.
func hours(t int64, n int64) []model.TimeRange {
	tr := wholeBuckets(model.Inclusive(t, t), model.HourMs)
	return []model.TimeRange{{Min: tr.Min, Max: tr.Min + n*model.HourMs}}
}

// A late sample makes the buckets of its series newer than the tier, and no others:
// in the head, in the frozen and the merged blocks, and after a restart. Once the day
// is rolled up again none is newer.
func TestLateSamplesMakeTheirBucketsGaps(t *testing.T) {
	w := newRolledWorld(t)
	w.checkGaps("at first", nil)
	at := dayAt(2) + 5*model.HourMs
	want := map[string][]model.TimeRange{"1": hours(at, 1)}
	w.write(1, one(at, 77), every(w.clock.Now().UnixMilli()-1000, 100, 5)) // the late one comes first
	w.checkGaps("in the head", want)
	w.restart()
	w.checkGaps("in the head after a restart", want)
	v := w.view() // with the head
	w.flush()
	w.checkGaps("in an L0", want)
	if got := w.read(v, block.Hour, wholeDays(4)); !slices.Contains(got.gaps["1"], want["1"][0]) {
		t.Errorf("a view from before the cut has the gaps %v", got.gaps["1"])
	}
	v.Release()
	w.compact()
	w.roll(dayAt(2), rollForm{}, block.Hour)
	w.checkGaps("rolled up again", nil)
}

// Of late samples far from each other only the buckets that they are in are newer, not
// what lies between them.
func TestFarLateSamplesMakeNothingBetweenThemGaps(t *testing.T) {
	w := newRolledWorld(t)
	a, b := dayAt(3)+5*model.HourMs, dayAt(1)+9*model.HourMs
	want := map[string][]model.TimeRange{"1": {hours(a, 1)[0], hours(b, 1)[0]}}
	w.write(1, one(a, 1), one(b, 2))
	w.checkGaps("late samples only", want)
	w.write(1, every(w.clock.Now().UnixMilli()-1000, 100, 5))
	w.checkGaps("and new ones", want)
	w.restart()
	w.checkGaps("after a restart", want)
	w.flush()
	w.checkGaps("in an L0", want)
}

// A series that is new on a day that is rolled up is listed.
func TestNewSeriesOfCoveredDaysAreListed(t *testing.T) {
	w := newRolledWorld(t)
	at := dayAt(3) + 100
	w.write(9, one(at, 1))
	for _, step := range []func(){func() {}, w.flush, w.compact} {
		step()
		got := w.check(block.Hour, model.TimeRange{Min: dayAt(3), Max: dayAt(2)})
		if rows := got.rows["9"]; rows == nil || rows.Len() != 1 || got.fromTier["9"] != 0 {
			t.Errorf("series 9 has the rows %v", rows)
		}
	}
}

// A deletion makes the buckets it touches gaps, before and after an edit records it
// and merges carry it out.
func TestDeletionsMakeTheirBucketsGaps(t *testing.T) {
	w := newRolledWorld(t)
	at := dayAt(2) + 7*model.HourMs
	must(t, w.db.Delete(w.ctx, model.DefaultTenant+1, model.AllTime, labels.MustNewMatcher(labels.MatchEqual, "i", "2")))
	w.checkGaps("another tenant's", nil)
	w.remove(2, model.TimeRange{Min: at - 30*model.MinuteMs, Max: at + 90*model.MinuteMs})
	want := map[string][]model.TimeRange{"2": hours(at-30*model.MinuteMs, 3)}
	w.checkGaps("pending", want)
	w.restart()
	w.checkGaps("pending after a restart", want)
	w.write(0, one(w.clock.Now().UnixMilli(), 1))
	w.flush()
	w.checkGaps("recorded", want)
	w.restart()
	w.checkGaps("recorded after a restart", want)
	w.compact()
	w.check(block.Hour, model.TimeRange{Min: dayAt(3), Max: dayAt(0)})
	w.roll(dayAt(2), rollForm{}, block.Hour)
	w.checkGaps("rolled up again", nil)
}

// Days that were rolled up before and after a deletion do not bring back what it
// deleted when they are folded into one block.
func TestFoldedDaysKeepTheirDeletions(t *testing.T) {
	w := newRolledWorld(t)
	all := model.TimeRange{Min: dayAt(3), Max: dayAt(0)}
	w.remove(0, model.TimeRange{Min: dayAt(3), Max: dayAt(1)})
	w.write(0, one(w.clock.Now().UnixMilli(), 1))
	w.flush() // records it
	w.roll(dayAt(3), rollForm{}, block.Hour)
	w.fold(block.Hour, model.AllTime)
	got := w.check(block.Hour, all)
	if want := (model.TimeRange{Min: dayAt(2), Max: dayAt(1)}); !slices.Equal(got.gaps["0"], []model.TimeRange{want}) {
		t.Errorf("gaps %v, want %v", got.gaps["0"], want)
	}
	w.compact()
	w.restart()
	w.check(block.Hour, all)
}

// Rows of a series that has left the day since are hidden, whether they are in a
// block of their own or in one with other days.
func TestSeriesThatLeftADayIsHidden(t *testing.T) {
	for _, fold := range []bool{false, true} {
		w := newRolledWorld(t)
		if fold {
			w.fold(block.Hour, model.AllTime)
		}
		w.remove(0, model.TimeRange{Min: dayAt(2), Max: dayAt(1)})
		w.write(1, one(w.clock.Now().UnixMilli(), 1)) // so that the cut records it
		w.compact()
		w.roll(dayAt(2), rollForm{}, block.Hour)
		got := w.check(block.Hour, model.TimeRange{Min: dayAt(2), Max: dayAt(1)})
		if rows := got.rows["0"]; rows != nil {
			t.Errorf("folded %v: series 0 is listed with %d rows", fold, rows.Len())
		}
		w.checkGaps("rolled up again", nil)
	}
}

// Days, and days of series, for which samples stand in are gaps.
func TestStandInDaysAreGaps(t *testing.T) {
	w := newRolledWorld(t)
	day := model.TimeRange{Min: dayAt(2), Max: dayAt(1)}
	w.roll(dayAt(2), rollForm{standIn: func(_ block.Tier, i string) bool { return i == "1" }}, block.Minutes5)
	w.checkGapsOf(block.Minutes5, "a series", map[string][]model.TimeRange{"1": {day}})
	w.fold(block.Minutes5, model.AllTime)
	w.checkGapsOf(block.Minutes5, "a series, folded", map[string][]model.TimeRange{"1": {day}})
	w.roll(dayAt(2), rollForm{wholly: func(block.Tier) bool { return true }}, block.Minutes5)
	w.checkGapsOf(block.Minutes5, "all", map[string][]model.TimeRange{"0": {day}, "1": {day}, "2": {day}})
}

// coverOf returns the coverage of a day of the tier of an hour.
func (w *tieredWorld) coverOf(day int64) manifest.Coverage {
	c, ok := w.db.catalog.manifest.State().CoverageOf(block.Hour, day)
	if !ok {
		w.t.Fatal("the day is not covered")
	}
	return c
}

// Samples answer, without a warning, instead of a rollup block that is missing, and
// instead of the damaged parts of one, wherever the damage is.
func TestSamplesAnswerForDamagedRollups(t *testing.T) {
	w := newRolledWorld(t)
	w.damaged = true // so no check at the end
	name := "data/" + w.coverOf(dayAt(2)).Block
	info, err := w.mem.Stat(name)
	must(t, err)
	fromTier := 0
	for off := int64(0); off < info.Size; off += 1 + info.Size/40 {
		w.flip(name, off)
		w.restart()
		got := w.check(block.Hour, model.TimeRange{Min: dayAt(3), Max: dayAt(0)})
		if n := got.fromTier["0"]; n != 48 && n != 72 {
			t.Errorf("byte %d: %d rows of the tier are read", off, n)
		} else if n == 48 {
			fromTier++
		}
		w.flip(name, off)
	}
	if fromTier < 10 {
		t.Errorf("the day was read as samples %d times", fromTier)
	}
	must(t, w.mem.Remove(name))
	w.restart()
	day := []model.TimeRange{{Min: dayAt(2), Max: dayAt(1)}}
	w.checkGaps("missing", map[string][]model.TimeRange{"0": day, "1": day, "2": day})
}

// flip changes one byte of a file; a second flip restores it.
func (w *tieredWorld) flip(name string, off int64) {
	w.t.Helper()
	f, err := w.mem.OpenReadWrite(name)
	must(w.t, err)
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	must(w.t, err)
	b[0] ^= 0x55
	_, err = f.WriteAt(b[:], off)
	must(w.t, err)
	must(w.t, f.Close())
}

// What is left of an expired day is its buckets: those that a deletion touches are
// hidden, damage warns.
func TestBucketsOutliveTheirSamples(t *testing.T) {
	w := newRolledWorld(t)
	before := w.check(block.Hour, model.TimeRange{Min: dayAt(3), Max: dayAt(0)})
	w.expire(dayAt(1))
	read := func() tieredRead {
		v := w.view()
		defer v.Release()
		return w.read(v, block.Hour, model.TimeRange{Min: dayAt(3), Max: dayAt(0)})
	}
	got := read()
	if diff := diffBuckets(got.rows["0"], before.rows["0"]); diff != "" || len(got.warnings) > 0 || len(got.gaps["0"]) > 0 {
		t.Errorf("%s, warnings %v, gaps %v", diff, got.warnings, got.gaps)
	}
	at := dayAt(2) + 7*model.HourMs
	w.remove(0, model.TimeRange{Min: at, Max: at + 1})
	got = read()
	if n := got.rows["0"].Len(); n != 71 || got.rows["0"].End[got.rows["0"].Search(at)] == hours(at, 1)[0].Max-1 || len(got.gaps["0"]) > 0 {
		t.Errorf("%d rows after a deletion, gaps %v, want 71", n, got.gaps)
	}
	if n := got.rows["1"].Len(); n != 72 {
		t.Errorf("%d rows of another series", n)
	}
	w.damaged = true // so no check at the end
	must(t, w.mem.Remove("data/"+w.coverOf(dayAt(2)).Block))
	w.restart()
	got = read()
	if n := got.rows["1"].Len(); n != 48 || len(got.warnings) != 1 || !strings.Contains(got.warnings[0].Error(), "quarantined") {
		t.Errorf("%d rows and the warnings %v without the block", n, got.warnings)
	}
}

// Where samples have expired a damaged byte of a rollup never takes a row away without
// a warning.
func TestDamageOfExpiredDaysWarns(t *testing.T) {
	w := newRolledWorld(t)
	all := model.TimeRange{Min: dayAt(3), Max: dayAt(0)}
	before := w.check(block.Hour, all)
	w.expire(dayAt(1))
	name := "data/" + w.coverOf(dayAt(2)).Block
	info, err := w.mem.Stat(name)
	must(t, err)
	inChunks := 0
	for at := int64(8); at < info.Size; at += 1 + info.Size/100 {
		w.flip(name, at)
		w.restart()
		v := w.view()
		got := w.read(v, block.Hour, all)
		v.Release()
		lost := 0
		for i, rows := range before.rows {
			if got.rows[i] == nil || diffBuckets(got.rows[i], rows) != "" {
				lost++
			}
		}
		if lost > 0 && len(got.warnings) == 0 {
			t.Errorf("a flipped bit at %d takes rows of %d series away without a warning", at, lost)
		}
		if lost > 0 && !strings.Contains(fmt.Sprint(got.warnings), "quarantined") {
			inChunks++
		}
		w.flip(name, at)
	}
	if inChunks == 0 {
		t.Error("no chunk was damaged")
	}
}

// expire moves the raw floor up and drops the raw blocks below it.
func (w *tieredWorld) expire(floor int64) {
	w.t.Helper()
	e := manifest.Edit{Floor: &floor}
	for _, b := range w.db.catalog.manifest.State().RawBlocks() {
		if b.MaxTime < floor {
			e.Drop = append(e.Drop, b.Name)
		}
	}
	_, err := w.db.catalog.edit(e, nil)
	must(w.t, err)
}

// A query over samples that could not be read when they were rolled up warns.
func TestLostSamplesOfRollupsWarn(t *testing.T) {
	w := newRolledWorld(t)
	c := w.coverOf(dayAt(2))
	c.Lost = hours(dayAt(2)+3*model.HourMs, 1)
	_, err := w.db.catalog.edit(manifest.Edit{Cover: []manifest.Coverage{c}}, nil)
	must(t, err)
	v := w.view()
	defer v.Release()
	if got := w.read(v, block.Hour, model.TimeRange{Min: dayAt(2), Max: dayAt(1)}); len(got.warnings) != 1 || !strings.Contains(got.warnings[0].Error(), "unreadable") {
		t.Errorf("warnings %v", got.warnings)
	}
	for _, other := range []model.TimeRange{{Min: dayAt(3), Max: dayAt(2)}, {Min: dayAt(2) + 4*model.HourMs, Max: dayAt(1)}} {
		if got := w.read(v, block.Hour, other); len(got.warnings) != 0 {
			t.Errorf("warnings %v of another day or hour", got.warnings)
		}
	}
}

// Series of which only buckets are left are listed, with their labels, on the days on
// which they have buckets.
func TestSeriesWithBucketsOnlyAreListed(t *testing.T) {
	w := newRolledWorld(t)
	w.write(7, one(dayAt(2)+1000, 1))
	w.compact()
	w.roll(dayAt(2), rollForm{}, block.Minutes5, block.Hour)
	w.expire(dayAt(1))
	w.restart()
	v := w.view()
	defer v.Release()
	m := labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")
	for _, c := range []struct {
		tr   model.TimeRange
		want string
	}{
		{model.AllTime, "0 1 2 7"},
		{model.TimeRange{Min: dayAt(2), Max: dayAt(1)}, "0 1 2 7"},
		{model.TimeRange{Min: dayAt(3), Max: dayAt(2)}, "0 1 2"},
		{model.TimeRange{Min: dayAt(1), Max: dayAt(0)}, "0 1 2"},
		{model.TimeRange{Min: dayAt(9), Max: dayAt(8)}, ""},
	} {
		set, err := v.ListSeries(w.ctx, model.DefaultTenant, c.tr, m)
		must(t, err)
		var listed []string
		for i := range set.Len() {
			listed = append(listed, set.At(i).Labels.Get("i"))
			var s model.Samples
			must(t, set.At(i).Samples(w.ctx, c.tr, &s))
			if s.Len() > 0 && s.T[0] < dayAt(1) {
				t.Error("an expired sample is read")
			}
		}
		values, warnings, err := v.LabelValues(w.ctx, model.DefaultTenant, "i", c.tr, 0, m)
		must(t, err)
		if got := strings.Join(listed, " "); got != c.want || strings.Join(values, " ") != c.want || len(warnings)+len(set.Warnings()) > 0 {
			t.Errorf("%v: series %s, values %v, want %s; warnings %v", c.tr, got, values, c.want, warnings)
		}
	}
}

// Once late samples and deletions are merged into the day, the whole day is newer for
// their series, but not for others in the same block.
func TestMergedDaysAreNewerForTheirLateSeriesOnly(t *testing.T) {
	w := newRolledWorld(t)
	w.write(1, one(dayAt(2)+5*model.HourMs, 77))
	w.remove(2, model.TimeRange{Min: dayAt(3), Max: dayAt(3) + model.HourMs})
	w.flush()
	must(t, w.db.compactor.drain(w.ctx, compaction.PlanFinal)) // Compact removes days that have changed of tiers that are off
	w.checkGaps("merged", map[string][]model.TimeRange{"1": {{Min: dayAt(2), Max: dayAt(1)}}, "2": hours(dayAt(3), 24)})
	w.restart()
	w.checkGaps("merged and restarted", map[string][]model.TimeRange{"1": {{Min: dayAt(2), Max: dayAt(1)}}, "2": hours(dayAt(3), 24)})
}

// Of an expired day those samples are read that stand in for buckets, deletions
// carried out, and they are read too if the block of the day is lost.
func TestExpiredDaysWithSamplesThatStandIn(t *testing.T) {
	w := newRolledWorld(t)
	w.damaged = true // so no check at the end
	w.roll(dayAt(2), rollForm{standIn: func(_ block.Tier, i string) bool { return i == "0" }}, block.Minutes5)
	days := model.TimeRange{Min: dayAt(2), Max: dayAt(0)}
	before := w.check(block.Minutes5, days)
	floor := dayAt(1)
	_, err := w.db.catalog.edit(manifest.Edit{Floor: &floor}, nil)
	must(t, err)
	read := func() tieredRead {
		v := w.view()
		defer v.Release()
		return w.read(v, block.Minutes5, days)
	}
	got := read()
	for name, rows := range before.rows {
		if diff := diffBuckets(got.rows[name], rows); diff != "" {
			t.Errorf("series %s: %s", name, diff)
		}
	}
	at := dayAt(2) + 7*model.HourMs
	for i := range 2 {
		w.remove(i, model.TimeRange{Min: at, Max: at + model.MinuteMs})
	}
	got = read()
	if k := got.rows["0"].Search(at); got.rows["0"].Len() != 2*288 || got.rows["0"].Count[k] != 4 {
		t.Errorf("series 0 has %d rows after a deletion, %d samples in the bucket", got.rows["0"].Len(), got.rows["0"].Count[k])
	}
	if n := got.rows["1"].Len(); n != 2*288-1 || len(got.warnings) != 1 || !strings.Contains(got.warnings[0].Error(), "lacks what a deletion left of the bucket") {
		t.Errorf("series 1 has %d rows after a deletion, warnings %v", n, got.warnings)
	}
	c, _ := w.db.catalog.manifest.State().CoverageOf(block.Minutes5, dayAt(2))
	must(t, w.mem.Remove("data/"+c.Block))
	w.restart()
	got = read()
	if n := got.rows["0"].Len(); n != 2*288 || len(got.warnings) != 1 {
		t.Errorf("series 0 has %d rows without the block, warnings %v", n, got.warnings)
	}
}
