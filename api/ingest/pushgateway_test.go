package ingest

import (
	"bytes"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	"github.com/prometheus/prometheus/model/value"

	"tsdb/internal/vfs"
	"tsdb/storage"
)

// last returns the newest value of each series, without those that the door adds.
func (d *server) last() map[string]float64 {
	m := map[string]float64{}
	for series, s := range d.stored() {
		if !strings.Contains(series, "push_time_seconds") {
			m[series] = s.V[s.Len()-1]
		}
	}
	return m
}

// stale stands for a stale marker.
var stale = math.Float64frombits(value.StaleNaN)

func TestPushgatewayGroups(t *testing.T) {
	now := testNow.UnixMilli()
	for path, want := range map[string]string{
		"/metrics/job/j":                              `{__name__="m", job="j"}`,
		"/metrics/job/j/instance/i":                   `{__name__="m", instance="i", job="j"}`,
		"/metrics/job/j/instance/i/":                  `{__name__="m", instance="i", job="j"}`,
		"/metrics/job/a%2Fb/x/y%20z":                  `{__name__="m", job="a/b", x="y z"}`,
		"/metrics/job@base64/L3Zhci90bXA":             `{__name__="m", job="/var/tmp"}`,
		"/metrics/job@base64/L3Zhci90bXA=":            `{__name__="m", job="/var/tmp"}`,
		"/metrics/job/j/path@base64/L3Zhci90bXA":      `{__name__="m", job="j", path="/var/tmp"}`,
		"/metrics/job/j/empty@base64/=":               `{__name__="m", job="j"}`,
		"/api/v1/import/prometheus/metrics/job/j/a/b": `{__name__="m", a="b", job="j"}`,
		"/metrics/job/j?extra_label=env=dev":          `{__name__="m", env="dev", job="j"}`,
	} {
		d := openDoor(t)
		r := d.do("PUT", path, []byte("m{job=\"other\"} 5\n"))
		if strings.Contains(path, "empty") { // an empty value removes the label
			d = openDoor(t)
			r = d.do("PUT", path, []byte("m{job=\"other\",empty=\"y\"} 5\n"))
		}
		if r.code != http.StatusOK {
			t.Errorf("%s: %d %s", path, r.code, r.body)
		}
		got := d.storedFloats()
		if !maps.Equal(got[want], map[int64]float64{now: 5}) {
			t.Errorf("%s: stored %v, want %s", path, slices.Sorted(maps.Keys(got)), want)
		}
		pushed := strings.Replace(want, `"m"`, `"push_time_seconds"`, 1)
		if !maps.Equal(got[pushed], map[int64]float64{now: float64(now) / 1000}) {
			t.Errorf("%s: push time %v", path, got[pushed])
		}
	}
	d := openDoor(t)
	for path, want := range map[string]string{
		"/metrics/job/":              "job name is required",
		"/metrics/job@base64/=":      "job name is required",
		"/metrics/job/j/x":           "got 3 parts",
		"/metrics/job/j/a-b/x":       "improper label name",
		"/metrics/job/j/__name__/x":  "improper label name",
		"/metrics/job/j/job/k":       "given twice",
		"/metrics/job/j/x@base64/&&": "no URL-safe base64",
	} {
		for _, method := range []string{"PUT", "POST", "DELETE"} {
			if r := d.do(method, path, []byte("m 1\n")); r.code != http.StatusBadRequest || !strings.Contains(r.body, want) {
				t.Errorf("%s %s: %d %s, want %q", method, path, r.code, r.body, want)
			}
		}
	}
	if n := len(d.stored()); n != 0 {
		t.Errorf("%d series are stored", n)
	}
}

// PUT ends what it does not repeat, POST only what it replaces, DELETE the group and no
// other.
func TestPushgatewayMarksWhatEndsStale(t *testing.T) {
	d := openDoor(t)
	send := func(method, path, body string, want int) {
		t.Helper()
		d.clock.Advance(time.Second)
		if r := d.do(method, path, []byte(body)); r.code != want {
			t.Fatalf("%s %s: %d %s", method, path, r.code, r.body)
		}
	}
	expect := func(want map[string]float64) {
		t.Helper()
		got := d.last()
		if !maps.EqualFunc(got, want, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	const a1, a2, b, other = `{__name__="a", job="j", x="1"}`, `{__name__="a", job="j", x="2"}`, `{__name__="b", job="j"}`, `{__name__="b", instance="i", job="j"}`
	send("PUT", "/metrics/job/j", "a{x=\"1\"} 1\na{x=\"2\"} 2\nb 3\n", 200)
	send("PUT", "/metrics/job/j/instance/i", "b 4\n", 200)
	send("POST", "/metrics/job/j", "a{x=\"2\"} 5\n", 200)
	expect(map[string]float64{a1: stale, a2: 5, b: 3, other: 4})
	send("PUT", "/metrics/job/j", "a{x=\"2\"} 6\n", 200)
	expect(map[string]float64{a1: stale, a2: 6, b: stale, other: 4})
	send("DELETE", "/metrics/job/j", "", 202)
	expect(map[string]float64{a1: stale, a2: stale, b: stale, other: 4})
	send("DELETE", "/metrics/job/unknown", "", 202)
	send("POST", "/metrics/job/j", "a{x=\"1\"} 7\n", 200)
	expect(map[string]float64{a1: 7, a2: stale, b: stale, other: 4})

	// Another spelling of the same series is no end.
	send("PUT", "/metrics/job/j", "a{ x=\"1\" } 8\n", 200)
	expect(map[string]float64{a1: 8, a2: stale, b: stale, other: 4})
	if r := d.do("DELETE", "/metrics/job/j", nil); r.code != 202 {
		t.Errorf("%d %s", r.code, r.body)
	}
	expect(map[string]float64{a1: stale, a2: stale, b: stale, other: 4})
	r := d.do("PUT", "/metrics/job/j", []byte("good 1\nbad x\n"))
	if r.code != http.StatusBadRequest || !strings.Contains(r.body, "1 written, 1 refused") {
		t.Errorf("%d %s", r.code, r.body)
	}
	if _, ok := d.stored()[`{__name__="push_failure_time_seconds", job="j"}`]; !ok {
		t.Error("the failure of a push is not recorded")
	}
}

// A restart forgets no group: its series are found in what is stored, and neither those of
// a group with more labels nor those of a scrape are taken for its own.
func TestPushgatewayGroupsOutliveTheServer(t *testing.T) {
	d := openDoor(t)
	send := func(method, path, body string, want int) {
		t.Helper()
		d.clock.Advance(time.Second)
		if r := d.do(method, path, []byte(body)); r.code != want {
			t.Fatalf("%s %s: %d %s", method, path, r.code, r.body)
		}
	}
	restart := func() { // the doors forget what they know; the samples are kept
		clock := d.clock
		d.in = New(Options{DB: func() (*storage.DB, error) { return d.db, nil }, Clock: clock, Seed: 43})
		d.mux = http.NewServeMux()
		d.in.Register(d.mux)
	}
	expect := func(want map[string]float64) {
		t.Helper()
		got := d.last()
		if !maps.EqualFunc(got, want, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	const a1, a2, b, other, scraped = `{__name__="a", job="j", x="1"}`, `{__name__="a", job="j", x="2"}`, `{__name__="b", job="j"}`, `{__name__="b", instance="i", job="j"}`, `{__name__="up", job="j"}`
	send("PUT", "/metrics/job/j", "a{x=\"1\"} 1\na{x=\"2\"} 2\nb 3\n", 200)
	send("PUT", "/metrics/job/j/instance/i", "b 4\n", 200)
	send("POST", "/api/v1/import/prometheus", "up{job=\"j\"} 1\n", 204)
	restart()
	send("POST", "/metrics/job/j", "a{x=\"2\"} 5\n", 200)
	expect(map[string]float64{a1: stale, a2: 5, b: 3, other: 4, scraped: 1})
	send("POST", "/metrics/job/j", "b 6\n", 200) // ends nothing but what it replaces
	expect(map[string]float64{a1: stale, a2: 5, b: 6, other: 4, scraped: 1})
	restart()
	send("PUT", "/metrics/job/j", "a{x=\"1\"} 7\n", 200)
	expect(map[string]float64{a1: 7, a2: stale, b: stale, other: 4, scraped: 1})
	restart()
	if r := d.do("DELETE", "/metrics/job/j/instance/i", nil); r.code != 202 {
		t.Errorf("%d %s", r.code, r.body)
	}
	if r := d.do("DELETE", "/metrics/job/j", nil); r.code != 202 { // in the millisecond of the push
		t.Errorf("%d %s", r.code, r.body)
	}
	d.clock.Advance(time.Second)
	if r := d.do("DELETE", "/metrics/job/j", nil); r.code != 202 {
		t.Errorf("%d %s", r.code, r.body)
	}
	expect(map[string]float64{a1: stale, a2: stale, b: stale, other: stale, scraped: 1})
}

// The client library of Go, which sends protobuf, pushes and deletes; native histograms
// and exemplars arrive.
func TestPushgatewayTakesClientGolang(t *testing.T) {
	d := openDoor(t, func(o *Options, so *storage.Options) { o.Clock, so.Clock = vfs.SystemClock, vfs.SystemClock })
	s := httptest.NewServer(d.mux)
	defer s.Close()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "jobs_total", Help: "Jobs."}, []string{"queue"})
	c.WithLabelValues("mail").Add(17)
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latency_seconds", NativeHistogramBucketFactor: 1.1})
	h.Observe(0.5)
	classic := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "classic", Buckets: []float64{1, 2}})
	classic.(prometheus.ExemplarObserver).ObserveWithExemplar(1.5, prometheus.Labels{"trace_id": "x"})
	p := push.New(s.URL, "batch/1").Grouping("instance", "a/b").Collector(c).Collector(h).Collector(classic)
	if err := p.Push(); err != nil {
		t.Fatal(err)
	}
	if err := p.Add(); err != nil {
		t.Fatal(err)
	}
	stored := d.stored()
	if got := stored[`{__name__="jobs_total", instance="a/b", job="batch/1", queue="mail"}`]; got == nil || got.V[0] != 17 || got.StartAt(0) == 0 {
		t.Errorf("counter %+v", got)
	}
	if got := stored[`{__name__="latency_seconds", instance="a/b", job="batch/1"}`]; got == nil || got.HistogramAt(0).Int == nil || got.HistogramAt(0).Int.Count != 1 {
		t.Errorf("native histogram %+v", got)
	}
	if got := stored[`{__name__="classic_bucket", instance="a/b", job="batch/1", le="2.0"}`]; got == nil || got.V[0] != 1 {
		t.Errorf("classic histogram %v", slices.Sorted(maps.Keys(stored)))
	}
	if err := p.Delete(); err != nil {
		t.Fatal(err)
	}
	for series, samples := range d.stored() {
		last := samples.Len() - 1
		isStale := math.Float64bits(samples.V[last]) == value.StaleNaN || samples.HistogramAt(last).IsStale()
		if isStale == strings.Contains(series, "push_time_seconds") {
			t.Errorf("%s: the last sample is %v", series, samples.V[last])
		}
	}
	r := d.do("PUT", "/metrics/job/j", bytes.Repeat([]byte{0xff}, 20), "Content-Type", `application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited`)
	if r.code != http.StatusBadRequest || !strings.Contains(r.body, "MetricFamily") {
		t.Errorf("%d %s", r.code, r.body)
	}
}
