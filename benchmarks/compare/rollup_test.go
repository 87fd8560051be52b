package main

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestRollupSizesTable(t *testing.T) {
	var got strings.Builder
	writeRollupSizes(&got, []rollupSize{
		{name: "a", samples: 2e6, raw: 1e6, rollups: map[string]int64{"1m": 5e5, "30m": 1e5, "1h": 4e4}, cpu: 16 * time.Millisecond, goal: sizeGoal{hours: 0.04}},
		{name: "b", samples: 1e6, raw: 1e6, rollups: map[string]int64{"1m": 2e5, "1h": 1e4}, cpu: 9 * time.Millisecond, goal: sizeGoal{hours: 0.009, both: 0.2}},
	})
	const want = `| set | samples | samples, B each | 1m ÷ samples | 30m ÷ samples | 1h ÷ samples | 1m + 1h ÷ samples | CPU a sample, ns |
|---|---:|---:|---:|---:|---:|---:|---:|
| a | 2.00 M | 0.5000 | 50.0 % | 10.0 % | 4.0 % | 54.0 % | 8.0 |
| b | 1.00 M | 1.0000 | 20.0 % | 0.0 % | **1.0 %** | **21.0 %** | **9.0** |
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
