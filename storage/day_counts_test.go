package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/partition/format"
	"tsdb/storage/cardinality"
)

// checkCounted compares the counts that are kept of the last days with a map.
func (w *churnWorld) checkCounted(when string, days int) DailyCounts {
	w.t.Helper()
	c, warnings, err := w.db.DailyCounts(DailyCountsRequest{Days: days, Limit: 100})
	if err != nil || len(warnings) > 0 {
		w.t.Fatalf("%s: %v, %v", when, err, warnings)
	}
	counted := map[string]int{}
	for i, d := range c.Days {
		counted[d.Date] = i
	}
	for ago := range days {
		want := w.want(dayAt(ago))
		i, ok := counted[want.Date]
		if !ok {
			if want.Series > 0 {
				w.t.Errorf("%s: %s is not counted", when, want.Date)
			}
			continue
		}
		if d := c.Days[i]; d.Series != want.Series || d.New != want.New || d.Gone != want.Gone {
			w.t.Errorf("%s: %+v, want %+v", when, d, want)
		}
		metrics, pairs := map[string]uint64{}, map[string]uint64{}
		for _, ls := range w.on(dayAt(ago)) {
			metrics[ls.Get("__name__")]++
			ls.Range(func(l labels.Label) { pairs[l.Name+"="+l.Value]++ })
		}
		if got := c.Days[i].Pairs; got != uint64(len(pairs)) {
			w.t.Errorf("%s: %s has %d pairs, want %d", when, want.Date, got, len(pairs))
		}
		for _, table := range []struct {
			lines []DailyLine
			want  map[string]uint64
		}{{c.ByMetric, metrics}, {c.ByLabelPair, pairs}} {
			for _, l := range table.lines {
				if n := l.Counts[i]; n == nil || *n != table.want[l.Name] {
					w.t.Errorf("%s: %s of %s is not %d", when, l.Name, want.Date, table.want[l.Name])
				}
			}
		}
	}
	return c
}

// What the job keeps of each day is what a map has of it, wherever its samples lie, after
// deletions, expiry and the loss of the file.
func TestDaysAreCounted(t *testing.T) {
	w := newChurnWorld(t)
	count := func() {
		t.Helper()
		must(t, w.db.CountDays(w.ctx))
	}
	count()
	if _, err := w.mem.Stat("data/" + format.CountsName); err == nil || len(w.checkCounted("without data", 3).Days) != 0 {
		t.Error("there is a file without a day that has data")
	}
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		ago := rnd.IntN(5)
		ls := labels.FromStrings("__name__", fmt.Sprint("m", rnd.IntN(3)), "pod", fmt.Sprint(ago/2, "-", rnd.IntN(8)), "zone", fmt.Sprint(rnd.IntN(3)))
		w.put(ls, dayAt(ago)+rnd.Int64N(60e3))
	}
	count()
	if c := w.checkCounted("in memory", 7); len(c.Days) != 5 || !c.Days[0].Running || c.Days[1].Running || c.Waiting != 0 {
		t.Errorf("%+v", c.Days)
	}
	w.compact()
	w.clock.Advance(6 * time.Hour)
	count()
	w.checkCounted("merged", 7)

	w.remove("zone", "1", dayAt(3), dayAt(0))
	count()
	w.checkCounted("after a deletion", 7)

	// Late samples show after six hours.
	w.put(labels.FromStrings("__name__", "m1", "pod", "late", "zone", "0"), dayAt(2))
	count()
	c, _, err := w.db.DailyCounts(DailyCountsRequest{Days: 3, Limit: 1})
	must(t, err)
	if want := w.want(dayAt(2)); c.Days[2].Series != want.Series-1 {
		t.Errorf("%d series before the day is counted again, %d after", c.Days[2].Series, want.Series)
	}
	w.clock.Advance(6 * time.Hour)
	count()
	w.checkCounted("with a late series", 7)

	must(t, w.mem.Remove("data/"+format.CountsName))
	closeUncut(w.db)
	w.open()
	count()
	w.checkCounted("after the file was lost", 7)

	// What has expired keeps its counts.
	before, _, err := w.db.DailyCounts(DailyCountsRequest{Days: 5, Limit: 5})
	must(t, err)
	w.clock.Advance(60 * 24 * time.Hour)
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 20 * model.DayMs}
	closeUncut(w.db)
	w.open()
	must(t, w.db.Retain(w.ctx))
	w.compact()
	count()
	after, _, err := w.db.DailyCounts(DailyCountsRequest{Days: 65, Limit: 5})
	must(t, err)
	if got := after.Days[len(after.Days)-1]; got != before.Days[len(before.Days)-1] {
		t.Errorf("%+v, before it expired %+v", got, before.Days[len(before.Days)-1])
	}
}

// A day that there is no memory to count is counted later, and what was kept stays.
func TestDaysAreCountedWithinTheirMemory(t *testing.T) {
	w := newChurnWorld(t)
	closeUncut(w.db)
	full, left, held := errors.New("no memory"), int64(1<<40), int64(0)
	w.opts.Memory = func() (func(int64) error, func()) {
		mine := int64(0)
		return func(n int64) error {
			if mine+n > left {
				return full
			}
			mine, held = mine+n, held+n
			return nil
		}, func() { held -= mine }
	}
	w.open()
	w.put(labels.FromStrings("__name__", "a"), dayAt(1))
	must(t, w.db.CountDays(w.ctx))
	w.put(labels.FromStrings("__name__", "b"), dayAt(0))
	left = 0
	if err := w.db.CountDays(w.ctx); !errors.Is(err, full) {
		t.Errorf("without memory: %v", err)
	}
	if c, _, err := w.db.DailyCounts(DailyCountsRequest{Days: 3, Limit: 1}); err != nil || len(c.Days) != 1 || c.Days[0].Series != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	left = 1 << 40
	must(t, w.db.CountDays(w.ctx))
	w.checkCounted("with memory again", 3)
	if held != 0 {
		t.Errorf("%d bytes are not released", held)
	}
}

// A damaged file is a finding of a check, and a warning until the days are counted again.
func TestDamagedCountsAreFound(t *testing.T) {
	w := newChurnWorld(t)
	w.put(labels.FromStrings("__name__", "a"), dayAt(1))
	must(t, w.db.CountDays(w.ctx))
	name := "data/" + format.CountsName
	f, err := w.mem.OpenReadWrite(name)
	must(t, err)
	_, err = f.WriteAt([]byte{0xff}, 14)
	must(t, errors.Join(err, f.Close()))
	if c, warnings, err := w.db.DailyCounts(DailyCountsRequest{Days: 3, Limit: 1}); err != nil || len(warnings) != 1 || len(c.Days) != 0 {
		t.Errorf("%+v, %v, %v", c, warnings, err)
	}
	report := w.examine()
	if len(report.Damage) != 1 || report.Damage[0].File != format.CountsName {
		t.Errorf("%+v", report.Damage)
	}
	must(t, w.db.CountDays(w.ctx))
	w.checkCounted("counted again", 3)
	if _, _, err := cardinality.Check(w.mem, "data"); err != nil {
		t.Error(err)
	}
}
