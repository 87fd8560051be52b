package storage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// churnWorld is a database whose series come and go, with what each has on which day.
type churnWorld struct {
	*tieredWorld
	series map[string]labels.Labels
	days   map[string]map[int64]bool // of the series with a sample
}

// newChurnWorld returns a world that keeps samples for ten days and hours for ever.
func newChurnWorld(t *testing.T) *churnWorld {
	w := &churnWorld{newTieredWorld(t), map[string]labels.Labels{}, map[string]map[int64]bool{}}
	closeUncut(w.db)
	w.opts.RetentionMs = 10 * model.DayMs
	w.opts.TierRetentionMs = map[block.Tier]int64{block.Hour: 0}
	w.open()
	return w
}

// put writes a sample of a series.
func (w *churnWorld) put(ls labels.Labels, at int64) {
	w.t.Helper()
	b := w.db.NewBatch("test", model.DefaultTenant)
	ref, err := b.Resolve(model.Hash{Hi: ls.Hash()}, ls)
	must(w.t, err)
	b.Float(ref, at, 0, 1)
	r, err := b.Commit(w.ctx)
	must(w.t, err)
	if r.Floats != 1 || len(r.Rejected) > 0 {
		w.t.Fatalf("%v at %d: %+v", ls, at, r)
	}
	key := ls.String()
	if w.days[key] == nil {
		w.days[key] = map[int64]bool{}
	}
	w.series[key], w.days[key][block.Raw.PartitionStart(at)] = ls, true
}

// remove deletes the days of series with a label.
func (w *churnWorld) remove(name, value string, days ...int64) {
	w.t.Helper()
	for _, day := range days {
		tr := model.TimeRange{Min: day, Max: day + model.DayMs}
		must(w.t, w.db.Delete(w.ctx, model.DefaultTenant, tr, labels.MustNewMatcher(labels.MatchEqual, name, value)))
		for key, ls := range w.series {
			if ls.Get(name) == value {
				delete(w.days[key], day)
			}
		}
	}
}

// on returns the series with samples on a day; 0 stands for any.
func (w *churnWorld) on(day int64) (all []labels.Labels) {
	for key, days := range w.days {
		if days[day] || day == 0 && len(days) > 0 {
			all = append(all, w.series[key])
		}
	}
	return all
}

func (w *churnWorld) checkCardinality(when string) {
	w.t.Helper()
	m := func(kind labels.MatchType, name, value string) *labels.Matcher {
		return labels.MustNewMatcher(kind, name, value)
	}
	for _, sets := range [][][]*labels.Matcher{
		nil,
		{{m(labels.MatchEqual, "__name__", "m1")}},
		{{m(labels.MatchRegexp, "pod", ".*-1.*"), m(labels.MatchNotEqual, "zone", "2")}, {m(labels.MatchEqual, "__name__", "m2")}},
	} {
		for ago := -1; ago < 7; ago++ {
			r := CardinalityRequest{Limit: 1000, Sets: sets, Focus: "zone"}
			day := int64(0)
			if ago >= 0 {
				day = dayAt(ago)
				r.Range = model.TimeRange{Min: day, Max: day + model.DayMs}
			}
			want := map[string]map[string]uint64{"metric": {}, "names": {}, "by name": {}, "pairs": {}, "focus": {}}
			series := uint64(0)
			for _, ls := range w.on(day) {
				in := len(sets) == 0
				for _, ms := range sets {
					all := true
					for _, x := range ms {
						all = all && x.Matches(ls.Get(x.Name))
					}
					in = in || all
				}
				if !in {
					continue
				}
				series++
				want["metric"][ls.Get("__name__")]++
				want["focus"][ls.Get("zone")]++
				ls.Range(func(l labels.Label) {
					want["by name"][l.Name]++
					if want["pairs"][l.Name+"="+l.Value]++; want["pairs"][l.Name+"="+l.Value] == 1 {
						want["names"][l.Name]++
					}
				})
			}
			c, warnings, err := w.db.Cardinality(w.ctx, r)
			if err != nil || len(warnings) > 0 {
				w.t.Fatal(err, warnings)
			}
			got := map[string]map[string]uint64{}
			for name, rows := range map[string][]NameCount{"metric": c.ByMetric, "names": c.ByLabelName, "by name": c.SeriesByName, "pairs": c.ByLabelPair, "focus": c.ByFocus} {
				got[name] = map[string]uint64{}
				for _, row := range rows {
					got[name][row.Name] = row.Count
				}
			}
			if c.Series != series || !reflect.DeepEqual(got, want) {
				w.t.Errorf("%s, %d days ago, %v: %d series %v, want %d %v", when, ago, sets, c.Series, got, series, want)
			}
		}
	}
}

// Series count once on each day that they have samples on, be these in memory, in blocks of
// any level, or, once they have expired, in a rollup; deleted ones do not count.
func TestCardinalityOfDaysSelectorsAndALabel(t *testing.T) {
	w := newChurnWorld(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 4 {
		for range 60 {
			ago := rnd.IntN(6)
			pod := fmt.Sprint(ago/2, "-", rnd.IntN(12)) // others every two days
			ls := labels.FromStrings("__name__", fmt.Sprint("m", rnd.IntN(3)), "pod", pod, "zone", fmt.Sprint(rnd.IntN(3)))
			w.put(ls, dayAt(ago)+rnd.Int64N(model.DayMs/2))
		}
		switch round {
		case 0, 1:
			w.flush()
		case 2:
			w.db.head.Evict(w.db.wal.Generation())
			w.remove("zone", "1", dayAt(4), dayAt(0))
		}
	}
	w.checkCardinality("head and cuts, with a deletion")
	w.restart()
	w.checkCardinality("after a restart")
	w.compact()
	w.checkCardinality("merged")
	for range 3 { // late ones, in memory
		w.put(labels.FromStrings("__name__", "m1", "pod", "late-1", "zone", "0"), dayAt(3))
	}
	w.checkCardinality("merged, with late samples in memory")
	w.compact()
	w.clock.Advance(8 * 24 * 3600e9)
	w.compact()
	if v := w.view(); v.RawFloor() != dayAt(2) {
		t.Fatalf("samples from %s on are kept", model.FormatTime(v.RawFloor()))
	} else {
		v.Release()
	}
	w.checkCardinality("older samples have expired")

	cancelled, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, _, err := w.db.Cardinality(cancelled, CardinalityRequest{Limit: 10}); err == nil {
		t.Error("goes on after the end of its context")
	}
	full := fmt.Errorf("no memory")
	if _, _, err := w.db.Cardinality(w.ctx, CardinalityRequest{Limit: 10, Reserve: func(int64) error { return full }}); err != full {
		t.Errorf("without memory: %v", err)
	}
}
