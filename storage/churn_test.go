package storage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// want returns what a day has and the day before had not.
func (w *churnWorld) want(day int64) ChurnDay {
	d := ChurnDay{Date: rfc3339(day - 1)[:10], Metrics: []ChurnMetric{}, Labels: []ChurnLabel{}}
	before, had := map[string]bool{}, map[string]bool{}
	for _, ls := range w.on(day - model.DayMs) {
		before[ls.String()] = true
		ls.Range(func(l labels.Label) { had[l.Name+"="+l.Value] = true })
	}
	metrics, news, seen := map[string]uint64{}, map[string]*ChurnLabel{}, map[string]bool{}
	for _, ls := range w.on(day) {
		d.Series++
		isNew := !before[ls.String()]
		delete(before, ls.String())
		if isNew {
			d.New++
			metrics[ls.Get("__name__")]++
		}
		ls.Range(func(l labels.Label) {
			if pair := l.Name + "=" + l.Value; !had[pair] {
				if news[l.Name] == nil {
					news[l.Name] = &ChurnLabel{Name: l.Name}
				}
				if !seen[pair] {
					seen[pair] = true
					news[l.Name].NewValues++
				}
				news[l.Name].New++
			}
		})
	}
	d.Gone = uint64(len(before))
	for name, n := range metrics {
		d.Metrics = append(d.Metrics, ChurnMetric{name, n})
	}
	for _, l := range news {
		d.Labels = append(d.Labels, *l)
	}
	return d
}

func (w *churnWorld) checkChurn(when string) {
	w.t.Helper()
	ages := int(w.clock.Now().Sub(tieredNow).Hours() / 24)
	report, warnings, err := w.db.Churn(w.ctx, ChurnRequest{Days: 7 + ages, Limit: 100})
	if err != nil || len(warnings) > 0 || len(report.Days) != 7+ages {
		w.t.Fatalf("%s: %d days, %v, %v", when, len(report.Days), err, warnings)
	}
	byName := func(d ChurnDay) (map[string]ChurnMetric, map[string]ChurnLabel) {
		metrics, names := map[string]ChurnMetric{}, map[string]ChurnLabel{}
		for i, m := range d.Metrics {
			metrics[m.Name] = m
			if i > 0 && m.New > d.Metrics[i-1].New {
				w.t.Errorf("%s: metrics of %s are not in order", when, d.Date)
			}
		}
		for i, l := range d.Labels {
			names[l.Name] = l
			if i > 0 && l.NewValues > d.Labels[i-1].NewValues {
				w.t.Errorf("%s: labels of %s are not in order", when, d.Date)
			}
		}
		return metrics, names
	}
	for i, got := range report.Days {
		want := w.want(dayAt(i - ages))
		gotMetrics, gotLabels := byName(got)
		wantMetrics, wantLabels := map[string]ChurnMetric{}, map[string]ChurnLabel{}
		for _, m := range want.Metrics {
			wantMetrics[m.Name] = m
		}
		for _, l := range want.Labels {
			wantLabels[l.Name] = l
		}
		if got.Date != want.Date || got.Series != want.Series || got.New != want.New || got.Gone != want.Gone ||
			!reflect.DeepEqual(gotMetrics, wantMetrics) || !reflect.DeepEqual(gotLabels, wantLabels) {
			w.t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
}

// The series, the new ones and the labels that make them new are those of a map, wherever
// the samples of the days lie, at first and from the cache.
func TestChurnOfDays(t *testing.T) {
	w := newChurnWorld(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	for round := range 4 {
		for range 60 {
			ago := rnd.IntN(6)
			ls := labels.FromStrings("__name__", fmt.Sprint("m", rnd.IntN(3)), "pod", fmt.Sprint(ago/2, "-", rnd.IntN(8)), "zone", fmt.Sprint(rnd.IntN(3)))
			w.put(ls, dayAt(ago)+rnd.Int64N(model.DayMs/2))
		}
		switch round {
		case 0, 1:
			w.flush()
		case 2:
			w.remove("zone", "1", dayAt(4), dayAt(0))
		}
	}
	w.checkChurn("head and cuts, with a deletion")
	w.compact()
	w.checkChurn("merged")
	if len(w.db.churn.days) < 7 {
		t.Errorf("%d days are cached", len(w.db.churn.days))
	}
	w.checkChurn("from the cache")
	w.remove("zone", "2", dayAt(3))
	w.checkChurn("after another deletion")
	w.put(labels.FromStrings("__name__", "m1", "pod", "late", "zone", "0"), dayAt(2))
	w.checkChurn("with a late series in memory")
	w.flush()
	w.checkChurn("with a late series in a cut")
	w.compact()
	w.clock.Advance(8 * 24 * 3600e9)
	w.compact()
	w.checkChurn("older samples have expired")

	cancelled, cancel := context.WithCancel(w.ctx)
	cancel()
	w.db.churn = churnCache{}
	if _, _, err := w.db.Churn(cancelled, ChurnRequest{Days: 10, Limit: 10}); err == nil {
		t.Error("goes on after the end of its context")
	}
	full := fmt.Errorf("no memory")
	if _, _, err := w.db.Churn(w.ctx, ChurnRequest{Days: 10, Limit: 10, Reserve: func(int64) error { return full }}); err != full {
		t.Errorf("without memory: %v", err)
	}
}

// With retention rules the days are those of a map, too, and come from the cache the second
// time.
func TestChurnWithRetentionRules(t *testing.T) {
	w := newChurnWorld(t)
	closeUncut(w.db)
	zone := labels.MustNewMatcher(labels.MatchEqual, "zone", "0")
	w.opts.RetentionRules = []RetentionRule{{Selectors: [][]*labels.Matcher{{zone}}, Keep: map[block.Tier]int64{block.Raw: 2 * model.DayMs, block.Hour: 4 * model.DayMs}}}
	w.open()
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		ago := rnd.IntN(6)
		ls := labels.FromStrings("__name__", fmt.Sprint("m", rnd.IntN(3)), "pod", fmt.Sprint(ago/2, "-", rnd.IntN(8)), "zone", fmt.Sprint(rnd.IntN(3)))
		if at := dayAt(ago) + rnd.Int64N(model.DayMs/2); ls.Get("zone") != "0" || at > w.clock.Now().UnixMilli()-model.DayMs {
			w.put(ls, at)
		}
	}
	expire := func(before int64) { // hours of the rule leave with the day
		for key, ls := range w.series {
			for day := range w.days[key] {
				if ls.Get("zone") == "0" && day < before {
					delete(w.days[key], day)
				}
			}
		}
	}
	w.compact()
	w.checkChurn("merged and rolled up")
	cached := len(w.db.churn.days)
	if cached < 5 {
		t.Errorf("%d days are cached", cached)
	}
	w.checkChurn("from the cache")
	if n := len(w.db.churn.days); n != cached {
		t.Errorf("%d days are cached after the same question, %d before", n, cached)
	}
	for n := range 7 {
		w.clock.Advance(24 * time.Hour)
		w.compact()
		expire(block.Raw.PartitionStart(w.clock.Now().UnixMilli() - 4*model.DayMs))
		w.checkChurn(fmt.Sprintf("%d days later", n+1))
		before := len(w.db.churn.days)
		w.checkChurn(fmt.Sprintf("%d days later, again", n+1))
		if again := len(w.db.churn.days); again != before {
			t.Errorf("%d days later: %d days were compared again", n+1, again-before)
		}
	}
}
