package main

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/benchmarks/fleet"
)

func TestRollupSizesTable(t *testing.T) {
	var got strings.Builder
	writeRollupSizes(&got, []rollupSize{
		{name: "a", samples: 2e6, raw: 1e6, rollups: map[string]int64{"1m": 5e5, "30m": 1e5, "1h": 4e4, "6h": 7e3}, cpu: 16 * time.Millisecond, goal: sizeGoal{hours: 0.04}},
		{name: "b", samples: 1e6, raw: 1e6, rollups: map[string]int64{"1m": 2e5, "1h": 1e4}, cpu: 9 * time.Millisecond, goal: sizeGoal{hours: 0.009, all: 0.2}},
	})
	const want = `| set | samples | samples, B each | 1m ÷ samples | 30m ÷ samples | 1h ÷ samples | 6h ÷ samples | all three ÷ samples | CPU a sample, ns |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
| a | 2.00 M | 0.5000 | 50.0 % | 10.0 % | 4.0 % | 0.7 % | 54.7 % | 8.0 |
| b | 1.00 M | 1.0000 | 20.0 % | 0.0 % | **1.0 %** | 0.0 % | **21.0 %** | **9.0** |
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestRollupQueriesTable(t *testing.T) {
	const ms = time.Millisecond
	same := func(wall time.Duration) []cost { return []cost{{wall, wall / 2}} }
	var got strings.Builder
	writeRollupQueries(&got, []rollupQuestion{
		{question: question{name: "a"}, speedup: 25, outcomes: rollupOutcomes{tiers: same(2 * ms), samples: same(50 * ms), vm: same(20 * ms)}},
		{question: question{name: "b"}, speedup: 20, ofFirst: 1.3, outcomes: rollupOutcomes{tiers: same(3 * ms), samples: same(30 * ms)}},
	})
	const want = `| query | tiers, ms · CPU | samples, ms · CPU | ratio · CPU | CPU ÷ first | VictoriaMetrics, ms · CPU |
|---|---:|---:|---:|---:|---:|
| a | 2.00 · 1.00 | 50.0 · 25.0 | 25.0 · 25.0 | 1.00 | 20.0 · 10.0 |
| b | 3.00 · 1.50 | 30.0 · 15.0 | **10.0** · **10.0** | **1.50** | – · – |
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

func TestSamePromise(t *testing.T) {
	body := func(value, rest string) []byte {
		return []byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"` + value + `"]}]}` + rest + `}`)
	}
	f := func(a, b []byte, want string) {
		t.Helper()
		if err := samePromise(a, b); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f(body("3", ""), body("3.000000000001", ""), "")
	f(body("3", ""), body("3.00000001", ""), "3.00000001")
	f(body("3", `,"infos":["x"]`), body("3", ""), "infos")
	f(body("3", `,"warnings":["x"]`), body("3", `,"warnings":["x"]`), "")
	f([]byte(`{"status":"success","data":{"resultType":"vector","result":[]}}`), body("3", ""), "no series")
}

// A question of a range is asked at full hours, one of a moment at an odd second.
func TestRollupQuestionsAreAsked(t *testing.T) {
	end := firstRollupDay.Add(60 * day)
	for _, q := range rollupQuestions(60, end) {
		q.resolution = "raw"
		u, err := url.Parse(q.path(q.end))
		if err != nil {
			t.Fatal(err)
		}
		v := u.Query()
		if v.Get("query") != q.query || v.Get("resolution") != "raw" {
			t.Errorf("%s: %v", q.name, v)
		}
		if q.instant {
			if u.Path != "/api/v1/query" || v.Get("time") == "" || q.end.Unix()%60 == 0 {
				t.Errorf("%s: %s", q.name, u)
			}
			continue
		}
		first := q.end.Add(-q.span)
		if u.Path != "/api/v1/query_range" || v.Get("step") != "3600" || first.Unix()%3600 != 0 || q.end.Unix()%3600 != 0 || first.Before(firstRollupDay.Add(time.Hour)) {
			t.Errorf("%s: %s", q.name, u)
		}
	}
}

// The dashboard is asked as Grafana would ask it.
func TestDashboardIsRead(t *testing.T) {
	all, err := readDashboard("../../deploy/grafana/dashboards/year.json", 364*day, 15*time.Second, 900)
	if err != nil {
		t.Fatal(err)
	}
	titles, steps := map[string]bool{}, map[time.Duration]int{}
	for _, q := range all {
		titles[q.panel] = true
		steps[q.step]++
		if strings.Contains(q.query, "$") {
			t.Errorf("a variable is left in %s", q.query)
		}
		if q.panel == "Requests by handler" && q.query != `sum by (handler) (rate(http_request_duration_seconds_count[12h15s]))` {
			t.Errorf("%s", q.query)
		}
	}
	if len(titles) < 20 || steps[12*time.Hour]+steps[day] != len(all) {
		t.Errorf("%d panels, questions by step: %v", len(titles), steps)
	}
	for span, want := range map[time.Duration]time.Duration{30 * day: time.Hour, 90 * day: 2 * time.Hour, 365 * day: 12 * time.Hour, 730 * day: 12 * time.Hour} {
		if got := grafanaStep(span, 900); got != want {
			t.Errorf("step for %s is %s, want %s", span, got, want)
		}
	}
}

func TestDashboardTable(t *testing.T) {
	const ms = time.Millisecond
	p := func(panel string, instant bool, needed, read, buckets int64) panelOutcome {
		return panelOutcome{panelQuestion: panelQuestion{panel, question{instant: instant, step: 12 * time.Hour}}, needed: needed, read: read, buckets: buckets, alone: []cost{{4 * ms, 2 * ms}}}
	}
	o := dashboardOutcome{
		panels:  []panelOutcome{p("a", true, 1e6, 5e4, 1e4), p("b", false, 1e6, 2e5, 1e4)},
		tiers:   []cost{{1100 * ms, 2000 * ms}},
		samples: []cost{{9000 * ms, 18000 * ms}},
	}
	var got strings.Builder
	o.write(&got)
	const want = `| panel | step | buckets, M | samples, M | of samples in tiers | alone, ms · CPU |
|---|---|---:|---:|---:|---:|
| a | once | 0.01 | 0.05 | 95.0 % | 4.00 · 2.00 |
| b | 12h | 0.01 | 0.20 | **80.0 %** | 4.00 · 2.00 |
| all at once |  | 0.02 | 0.25 | **87.5 %** | **1100 · 2000** |
| all at once, from samples |  | 0.00 | 2.00 | – | 9000 · 18000 |
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

// The fleet has what the dashboard asks for.
func TestDashboardSeries(t *testing.T) {
	f := fleet.New(fleet.Options{Targets: 2, Keep: onDashboard})
	if f.Series() != 2*42 {
		t.Errorf("%d series of two targets, want 84", f.Series())
	}
	names, _, _ := f.Columns(1)
	for metric := range dashboardMetrics {
		if !slices.ContainsFunc(names, func(l labels.Labels) bool { return l.Get("__name__") == metric }) {
			t.Errorf("no series of %s", metric)
		}
	}
}
