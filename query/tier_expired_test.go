package query_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"

	"tsdb/internal/model"
	"tsdb/internal/vfs"
	"tsdb/partition/block"
	"tsdb/query"
	"tsdb/query/tiers"
)

// The same questions are asked before samples expire, of samples, and afterwards. The
// answers are the same to the bit, or within the tolerance of sums, unless they say
// that samples have expired or are refused.
func TestAnswersOfExpiredSamplesAreTheSameOrSaySo(t *testing.T) {
	worlds := questions(t, 6000, 2000) / 1000
	var n expiredCounts
	old := 0
	for seed := range worlds {
		w := newTierWorld(t, uint64(seed))
		switch seed % 3 {
		case 0:
			w.tiers = map[block.Tier]int64{block.Minute: 0, block.Hour: 0}
		case 1:
			w.tiers = map[block.Tier]int64{block.Hour: 0}
		default: // minutes reach a day further back than samples
			w.tiers = map[block.Tier]int64{block.Minute: 5 * model.DayMs, block.Hour: 0}
		}
		if seed%2 == 1 {
			w.tiers[block.Hours6] = 0
		}
		w.restart()
		w.compact()
		raw := query.WithResolution(nil, resolutionOf(t, "raw"))
		type asked struct {
			q       question
			rounded *roundedCall
			want    *promql.Result
		}
		var all []asked
		g := tierQuestions{w.r}
		for range 300 {
			q, rounded := g.question()
			all = append(all, asked{q: q, rounded: rounded, want: w.ask(q, raw)})
		}
		w.keepMs = 4 * model.DayMs
		w.restart()
		w.clock.Advance(24 * time.Hour)
		w.compact()
		v, err := w.db.View()
		w.must(err)
		floor := v.RawFloor()
		v.Release()
		if floor <= tierStart+model.DayMs || floor >= tierEnd-model.DayMs {
			t.Fatalf("the floor of samples is %s", model.FormatTime(floor))
		}
		for _, a := range all {
			got := w.ask(a.q, nil)
			if a.q.start < floor {
				old++
			}
			n.judge(t, w, a.q, a.rounded, got, a.want)
		}
		w.close()
	}
	t.Logf("%d answers were the same, %d said that samples have expired, %d were refused; %d began before the floor", n.same, n.told, n.refused, old)
	if n.told < 50*worlds/3 || n.refused < 3*worlds || n.same < 100*worlds {
		t.Error("too few of a kind")
	}
}

// expiredCounts counts answers given after samples have expired.
type expiredCounts struct{ same, told, refused int }

// judge compares an answer with that of samples. It is the same to the bit, or within the
// tolerance of sums, unless it says that samples have expired or is refused.
func (n *expiredCounts) judge(t *testing.T, w *tierWorld, q question, rounded *roundedCall, got, want *promql.Result) {
	t.Helper()
	var expired *tiers.ExpiredError
	switch {
	case errors.As(got.Err, &expired):
		n.refused++
		return
	case saysExpired(got):
		n.told++
		return
	}
	tolerance := 0.0
	if rounded != nil {
		tolerance = 1e-9
	}
	if why := differs(q, got, want, tolerance); why != "" {
		t.Errorf("seed %d: %v: %s\ngot  %s\nwant %s", w.seed, q, why, clip(got), clip(want))
	}
	n.same++
}

func saysExpired(r *promql.Result) bool {
	for _, err := range r.Warnings.AsErrors() {
		if strings.Contains(err.Error(), "have expired") {
			return true
		}
	}
	return false
}

// Of native histograms that have expired nothing is left, and a warning says so.
func TestExpiredHistogramsAreMissedAloud(t *testing.T) {
	w := newExpiringWorld(t)
	defer w.close()
	left := 0
	w.add("x", "0", func() (float64, *histogram.FloatHistogram) {
		if left++; left%400 < 200 { // for 100 minutes
			return 0, &histogram.FloatHistogram{Count: 1, Sum: 1}
		}
		return float64(left), nil
	})
	w.fillEvenly(w.series[0])
	q := question{start: tierStart + model.HourMs, end: tierStart + model.DayMs, step: model.HourMs}
	for text, points := range map[string]int{"x": 14, "count_over_time(x[1h])": 19, "rate(x[2h])": 23} {
		q.text = text
		res := w.ask(q, nil)
		m, err := res.Matrix()
		if err != nil || len(m) != 1 || len(m[0].Floats) != points || len(m[0].Histograms) > 0 {
			t.Errorf("%s: %v, want %d floats", text, res, points)
		}
		warnings, _ := res.Warnings.AsStrings(text, 0, 0)
		if want := "PromQL warning: raw samples up to 2022-01-10T00:00:00.000Z have expired: of series with native histograms or start timestamps the 1h rollup holds the floats"; len(warnings) != 1 || warnings[0] != want {
			t.Errorf("%s warns %q, want %q", text, warnings, want)
		}
	}
}

// Samples that stand in for minutes answer as before: for hours that windows cut, and
// for functions that need all samples, unless other series have buckets instead.
func TestSamplesThatStandInHaveNotExpired(t *testing.T) {
	w := newExpiringWorld(t)
	defer w.close()
	w.tiers[block.Minute] = 0
	w.restart()
	w.add("x", "0", w.ints())
	w.fillEvenly(w.series[0])
	f := func(text, resolution string, want float64, says string) {
		t.Helper()
		q := question{text: text, start: tierStart + 10*model.HourMs, instant: true}
		res := w.ask(q, query.WithResolution(nil, resolutionOf(t, resolution)))
		if says == "refused" {
			if res.Err == nil || !strings.Contains(res.Err.Error(), "rollup cannot answer") {
				t.Errorf("%s at %s: %v", text, resolution, res)
			}
			return
		}
		v, ok := res.Value.(promql.Vector)
		if res.Err != nil || !ok || len(v) != 1 || v[0].F != want || saysExpired(res) != (says == "moved") {
			t.Errorf("%s at %s: %v, %v, want %v, %s", text, resolution, res, res.Warnings, want, says)
		}
	}
	for _, resolution := range []string{"auto", "1m", "1h"} {
		f("count_over_time(x[90m])", resolution, 180, "")
		f("count_over_time(x[90m] offset 7m)", resolution, 180, "")
		f("count(quantile_over_time(0.5, x[3h]))", resolution, 1, "")
	}

	// Another series has buckets of minutes.
	w = newExpiringWorld(t)
	defer w.close()
	w.tiers[block.Minute] = 0
	w.restart()
	w.add("x", "0", w.ints())
	w.add("x", "1", w.ints())
	b := w.db.NewBatch("test", model.DefaultTenant)
	for at := int64(tierStart) + 500; at < tierStart+12*model.HourMs; at += 1000 {
		w.append(b, w.series[1], at)
	}
	w.commit(b)
	w.fillEvenly(w.series[0])
	f(`count_over_time(x{i="0"}[90m])`, "1h", 180, "")
	f(`count_over_time(x{i="1"}[90m])`, "1h", 7200, "moved")
	f(`count_over_time(x{i="1"}[90m])`, "1m", 5400, "")
	f(`count_over_time(x{i="1"}[90m])`, "auto", 5400, "")
	f(`count(quantile_over_time(0.5, x{i="0"}[3h]))`, "auto", 1, "")
	f("count(quantile_over_time(0.5, x[3h]))", "auto", 0, "refused")
	f("count(quantile_over_time(0.5, x[3h]))", "raw", 1, "moved") // the info says that rollups are not read
}

// newExpiringWorld returns a world without series, that makes hours.
func newExpiringWorld(t *testing.T) *tierWorld {
	w := &tierWorld{t: t, r: rand.New(rand.NewPCG(1, 5)), fs: vfs.NewMem(), reg: prometheus.NewRegistry()}
	w.clock = vfs.NewManualClock(time.UnixMilli(tierEnd))
	w.tiers = map[block.Tier]int64{block.Hour: 0}
	w.open()
	w.engine = query.New(query.Options{Registerer: w.reg, Parser: promqltest.TestParserOpts})
	return w
}

// fillEvenly writes four days of a series, a sample every 30 s from second 7 on, rolls
// them up, and lets the samples of two days expire.
func (w *tierWorld) fillEvenly(s *tierSeries) {
	b := w.db.NewBatch("test", model.DefaultTenant)
	for at := int64(tierStart) + 7000; at < tierEnd; at += 30_000 {
		w.append(b, s, at)
	}
	w.commit(b)
	w.compact()
	w.keepMs = 2 * model.DayMs
	w.restart()
	w.clock.Advance(24 * time.Hour)
	w.compact()
}

// Windows that cut a bucket move back to its beginning once the samples have expired,
// and an info says so. A window within one bucket becomes the bucket before.
func TestWindowsMoveToBucketsWhereSamplesHaveExpired(t *testing.T) {
	w := newExpiringWorld(t)
	defer w.close()
	w.add("x", "0", w.ints())
	w.fillEvenly(w.series[0])

	const hour = model.HourMs
	f := func(text string, at, want int64, info string) {
		t.Helper()
		res := w.ask(question{text: text, start: tierStart + at, instant: true}, nil)
		v, ok := res.Value.(promql.Vector)
		if res.Err != nil || !ok || len(v) != 1 || int64(v[0].F*1000)-tierStart != want {
			t.Errorf("%s at %d: %v, want %d", text, at, res, want)
		}
		_, infos := res.Warnings.AsStrings(text, 0, 0)
		if got := strings.Join(infos, ", "); got != info {
			t.Errorf("%s at %d says %q, want %q", text, at, got, info)
		}
	}
	moved := func(what string) string {
		return "PromQL info: raw samples up to 2022-01-10T00:00:00.000Z have expired: windows of " + what +
			" that begin or end inside a bucket of the 1h rollup are moved back to its beginning, by less than 1h"
	}
	f("ts_of_last_over_time(x[2h])", 10*hour, 10*hour-23_000, "")
	f("ts_of_first_over_time(x[2h])", 10*hour, 8*hour+7000, "")
	f("ts_of_last_over_time(x[2h])", 10*hour+hour/2, 10*hour-23_000, moved("ts_of_last_over_time"))
	f("ts_of_first_over_time(x[2h])", 10*hour+hour/2, 8*hour+7000, moved("ts_of_first_over_time"))
	f("ts_of_first_over_time(x[90m])", 10*hour, 8*hour+7000, moved("ts_of_first_over_time"))
	f("ts_of_first_over_time(x[5m])", 10*hour+hour/2, 9*hour+7000, moved("ts_of_first_over_time"))
	f("ts_of_first_over_time(x[1h30s])", 10*hour, 9*hour-23_000, "") // the last sample of a bucket is known
	f("timestamp(x)", 10*hour, 10*hour-23_000, "")
	f("timestamp(x)", 10*hour+hour/2, 10*hour-23_000, moved("timestamp"))
	// Where there are samples, windows stay where they are.
	day := tierDays * model.DayMs
	f("ts_of_first_over_time(x[90m])", day-hour, day-hour-5400_000+7000, "")
	f("ts_of_first_over_time(x[60h20m])", day-hour/2, day-61*hour+7000, moved("ts_of_first_over_time"))
}

// Answers kept for one resolution are not those of another.
func TestKeptAnswersAreOfTheirResolution(t *testing.T) {
	w := newExpiringWorld(t)
	defer w.close()
	w.add("x", "0", w.ints())
	w.fillEvenly(w.series[0])
	w.cached = query.New(query.Options{Parser: promqltest.TestParserOpts, CacheBytes: 4 << 20})
	defer w.cached.Close()
	q := question{text: "count_over_time(x[1h])", start: tierStart + 2*model.HourMs, end: tierStart + 46*model.HourMs, step: model.HourMs}
	for range 2 {
		for resolution, points := range map[string]int{"raw": 0, "auto": 45, "1h": 45} { // the samples have expired
			res := w.exec(w.cached, q, query.WithResolution(nil, resolutionOf(t, resolution)))
			w.cached.SettleCache()
			m, err := res.Matrix()
			n := 0
			for _, s := range m {
				n += len(s.Floats)
			}
			if err != nil || n != points {
				t.Errorf("resolution=%s: %d points, want %d: %v", resolution, n, points, res)
			}
		}
	}
}

// Prometheus' engine reads no rollups; its answers say so where samples have expired.
func TestPrometheusEngineTellsOfExpiredSamples(t *testing.T) {
	w := newExpiringWorld(t)
	defer w.close()
	w.add("x", "0", w.ints())
	w.fillEvenly(w.series[0])
	for _, c := range []struct {
		at         int64
		resolution string
		want       int
	}{
		{tierStart + 10*model.HourMs, "auto", 1}, {tierStart + 10*model.HourMs, "raw", 0}, {tierEnd - model.HourMs, "auto", 0},
	} {
		res := w.ask(question{text: "info(x)", start: c.at, instant: true}, query.WithResolution(nil, resolutionOf(t, c.resolution)))
		warnings, _ := res.Warnings.AsStrings("", 0, 0)
		if res.Err != nil || len(warnings) != c.want || c.want > 0 && !strings.Contains(warnings[0], "have expired, and queries on Prometheus' engine read no rollups (info)") {
			t.Errorf("at %d, resolution=%s: %v, warnings %q, want %d", c.at, c.resolution, res.Err, warnings, c.want)
		}
	}
}
