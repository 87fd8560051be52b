package query_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"

	"tsdb/internal/model"
	"tsdb/partition/block"
	"tsdb/query"
)

// newSlicedWorld returns a world whose first day has hours only, whose second day has
// minutes too, and whose other days have samples: of x, one every two seconds.
func newSlicedWorld(t *testing.T) *tierWorld {
	w := newExpiringWorld(t)
	w.tiers[block.Minute] = 3 * model.DayMs
	w.restart()
	w.add("x", "0", w.counter(true))
	b := w.db.NewBatch("test", model.DefaultTenant)
	for at := int64(tierStart) + 1500; at < tierEnd; at += 2000 {
		w.append(b, w.series[0], at)
	}
	w.commit(b)
	w.compact()
	return w
}

// expire lets the samples of two days expire, and the minutes of one.
func (w *tierWorld) expire() {
	w.keepMs = 2 * model.DayMs
	w.restart()
	w.clock.Advance(time.Hour)
	w.compact()
}

// Each part of a range is read from the tier that answers it best: only where nothing
// but hours is left are windows of minutes rounded, and windows may span all tiers.
func TestEachSliceIsReadFromItsOwnTier(t *testing.T) {
	w := newSlicedWorld(t)
	defer w.close()
	const day, hour, minute = int64(model.DayMs), int64(model.HourMs), int64(model.MinuteMs)
	type asked struct {
		q     question
		exact int64 // from here on, the answer is that of the samples
		tiers string
		want  *promql.Result
	}
	all := []asked{
		{q: question{text: "increase(x[5m])", start: 20 * hour, end: 3 * day, step: 5 * minute}, exact: day + 5*minute, tiers: "1h! 1m! 1m"},
		{q: question{text: "sum(rate(x[5m]))", start: 20 * hour, end: 3 * day, step: 5 * minute}, exact: day + 5*minute, tiers: "1h! 1m! 1m"},
		{q: question{text: "x", start: 20 * hour, end: 3 * day, step: 10 * minute}, exact: day + 5*minute, tiers: "1h! 1m! 1m"},
		{q: question{text: "increase(x[1h])", start: 2 * hour, end: 4 * day, step: hour}, tiers: "1h! 1h"},
		{q: question{text: "increase(x[7m])", start: day + 7*minute, end: 3 * day, step: 7 * minute}, tiers: "1m! 1m"},
		{q: question{text: "count_over_time(x[70h])", start: 3 * day, end: 3*day + 3*hour, step: 7 * minute}, exact: 4 * day, tiers: "1h! 1m"},
		{q: question{text: "increase(x[65h12m])", start: 2*day + 18*hour, instant: true}, exact: 4 * day, tiers: "1h! 1h"},
		{q: question{text: "max_over_time(x[30h7m])", start: 2*day + 7*minute + 1000, instant: true}, tiers: "1h! raw"}, // its first hour is cut before its first sample
	}
	for i := range all {
		a := &all[i]
		a.q.start, a.q.end = a.q.start+tierStart, a.q.end+tierStart
		a.want = w.ask(a.q, query.WithResolution(nil, resolutionOf(t, "raw")))
	}
	w.expire()
	for _, a := range all {
		if got := w.slicesOf(a.q); got != a.tiers {
			t.Errorf("%v is read from %q, want %q", a.q, got, a.tiers)
		}
		got := w.ask(a.q, nil)
		from := a.exact + tierStart
		rounded := false
		points := func(r *promql.Result) (all []promql.FPoint) {
			for _, s := range matrixOf(r) {
				all = append(all, s.Floats...)
			}
			return all
		}
		want := points(a.want)
		for k, p := range points(got) {
			same := k < len(want) && p == want[k]
			rounded = rounded || !same
			if !same && p.T >= from {
				t.Errorf("%v at %s: %v, want %v", a.q, model.FormatTime(p.T), p.F, want[k].F)
				break
			}
		}
		if rounded && !saysExpired(got) || got.Err != nil {
			t.Errorf("%v: %v, rounded %v, says %v", a.q, got.Err, rounded, got.Warnings)
		}
		if a.exact == 0 && (rounded || saysExpired(got)) {
			t.Errorf("%v is not exact: %v", a.q, got.Warnings)
		}
	}
}

// slicesOf returns the tiers of the slices of a query's selector, "!" for those whose
// samples have expired.
func (w *tierWorld) slicesOf(q question) string {
	w.t.Helper()
	var p *query.Query
	var err error
	if q.instant {
		p, err = w.engine.Instant(w.t.Context(), w.q, nil, q.text, time.UnixMilli(q.start))
	} else {
		p, err = w.engine.Range(w.t.Context(), w.q, nil, q.text, time.UnixMilli(q.start), time.UnixMilli(q.end), time.Duration(q.step)*time.Millisecond)
	}
	w.must(err)
	defer p.Close()
	v, err := w.db.View()
	w.must(err)
	defer v.Release()
	plans, err := p.PlanTiers(v)
	w.must(err)
	var all []string
	for i, s := range plans[0].Slices {
		if s.Expired {
			s.Tier += "!"
		}
		all = append(all, s.Tier)
		if i > 0 && s.Min != plans[0].Slices[i-1].Max+1 {
			w.t.Errorf("slice %d of %v begins at %d", i, q, s.Min)
		}
	}
	return strings.Join(all, " ")
}

// A bucket of expired samples that a window cuts and that has floats for which it cannot
// answer is used, and an info says what that means.
func TestExpiredBucketsWithNaNSaySo(t *testing.T) {
	w := newExpiringWorld(t)
	defer w.close()
	n := 0
	w.add("x", "0", func() (float64, *histogram.FloatHistogram) {
		if n++; n%400 == 0 {
			return math.NaN(), nil
		}
		return float64(n), nil
	})
	w.fillEvenly(w.series[0])
	for text, want := range map[string]bool{"sum_over_time(x[4h])": true, "count_over_time(x[4h])": false} {
		res := w.ask(question{text: text, start: tierStart + 10*model.HourMs, instant: true}, nil)
		_, infos := res.Warnings.AsStrings(text, 0, 0)
		got := len(infos) == 1 && strings.HasSuffix(infos[0], "sum_over_time may be off over NaN, infinities and values above 2^959 in buckets of the 1h rollup")
		if res.Err != nil || got != want || len(infos) > 1 {
			t.Errorf("%s: %v, infos %q", text, res, infos)
		}
	}
}
