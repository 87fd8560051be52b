package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// The samples of the dashboard of a year: yearHosts hosts over yearDays full days of
// UTC, the last of which is the day before yesterday.
const (
	yearHosts    = 2
	yearDays     = 21
	yearInterval = 15 * time.Second
)

// Every panel of the dashboard of a year gives the same answer from rollups as from
// samples, and reads at most a tenth of the samples, and buckets in the place of the
// others.
func TestDashboardOfAYearReadsRollups(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir(), "--retention.raw", "0")
	s.start(t)
	s.waitReady(t)
	client := newHTTPClient(t)
	end := time.Now().UTC().Truncate(24 * time.Hour).Add(-24 * time.Hour)
	writeYear(t, client, s, end)
	s.post(t, "/api/v1/admin/compact")

	content, err := os.ReadFile(filepath.Join(grafanaDir, "dashboards", "year.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			all[v.Name] = ".*"
		}
	}
	panels := 0
	for _, p := range d.Panels {
		if p.Type == "row" {
			continue
		}
		panels++
		step, err := model.ParseDuration(p.Interval)
		if err != nil || time.Duration(step)%time.Hour != 0 {
			t.Errorf("panel %q: shortest step %q is not whole hours: %v", p.Title, p.Interval, err)
			continue
		}
		for _, target := range p.Targets {
			checkYearPanel(t, client, s, p.Title, substituteStep(target.Expr, time.Duration(step), all), time.Duration(step), end, target.Instant)
		}
	}
	if panels < 20 {
		t.Errorf("%d panels only", panels)
	}
	s.noPanic(t)
}

// substituteStep replaces a dashboard's variables as Grafana does for a step and the
// data source's scrape interval.
func substituteStep(expr string, step time.Duration, vars map[string]string) string {
	expr = strings.NewReplacer(
		"$__rate_interval", model.Duration(step+yearInterval).String(),
		"$__interval", model.Duration(step).String(),
	).Replace(expr)
	return substitute(expr, vars)
}

// checkYearPanel asks for a panel's expression with rollups and without.
func checkYearPanel(t *testing.T, c *http.Client, s *server, panel, expr string, step time.Duration, end time.Time, instant bool) {
	t.Helper()
	path := "/api/v1/query_range"
	form := url.Values{"query": {expr}, "stats": {"all"}, "nocache": {"1"},
		"start": {seconds(end.Add(-(yearDays - 1) * 24 * time.Hour))}, "end": {seconds(end)}, "step": {fmt.Sprint(step.Seconds())}}
	if instant {
		odd := end.Add(-(7*time.Hour + 13*time.Minute + 11*time.Second))
		path, form = "/api/v1/query", url.Values{"query": {expr}, "stats": {"all"}, "nocache": {"1"}, "time": {seconds(odd)}}
	}
	expectRollups(t, c, s, panel, form)
	auto := mustAsk(t, c, s.url(), path, form)
	form.Set("resolution", "raw")
	raw := mustAsk(t, c, s.url(), path, form)
	if !slices.Equal(sorted(auto.Warnings), sorted(raw.Warnings)) || !slices.Equal(sorted(auto.Infos), sorted(raw.Infos)) {
		t.Errorf("panel %q: %s: warnings %q and infos %q, from samples %q and %q", panel, expr, auto.Warnings, auto.Infos, raw.Warnings, raw.Infos)
	}
	if !hasNumber(t, raw.Data) {
		t.Errorf("panel %q: no numbers for %s", panel, expr)
	}
	expectClose(t, panel+": "+expr, floatSeries(t, auto.Data), floatSeries(t, raw.Data))
	read, needed := samplesRead(t, auto), samplesExplained(t, c, s, form)
	if needed == 0 || read*10 > needed {
		t.Errorf("panel %q: %s: %d of %d samples are read", panel, expr, read, needed)
	}
}

// samplesRead returns the number of samples that a query has read, buckets of rollups
// not counted.
func samplesRead(t *testing.T, a *answer) int64 {
	t.Helper()
	var data struct {
		Stats struct {
			Samples     struct{ SamplesRead int64 }
			BucketsRead int64
		}
	}
	if err := json.Unmarshal(a.Data, &data); err != nil {
		t.Fatal(err)
	}
	return data.Stats.Samples.SamplesRead - data.Stats.BucketsRead
}

// samplesExplained returns the number of samples that a query has to read, by explain.
// Reading them counts fewer where the directory tells the extremes of a chunk.
func samplesExplained(t *testing.T, c *http.Client, s *server, form url.Values) int64 {
	t.Helper()
	var data struct{ Total struct{ Samples int64 } }
	if err := json.Unmarshal(mustAsk(t, c, s.url(), "/api/v1/explain", form).Data, &data); err != nil {
		t.Fatal(err)
	}
	return data.Total.Samples
}

// expectRollups expects that all selectors of a query are planned to read a tier of hours,
// of which every day is there.
func expectRollups(t *testing.T, c *http.Client, s *server, panel string, form url.Values) {
	t.Helper()
	var data struct {
		Selectors []struct {
			Selector, Tier string
			PendingDays    int
		}
	}
	if err := json.Unmarshal(mustAsk(t, c, s.url(), "/api/v1/explain", form).Data, &data); err != nil {
		t.Fatal(err)
	}
	if len(data.Selectors) == 0 {
		t.Errorf("panel %q: nothing is explained", panel)
	}
	for _, x := range data.Selectors {
		if x.Tier != "1h" && x.Tier != "6h" || x.PendingDays != 0 {
			t.Errorf("panel %q: %s reads %s, %d days are not rolled up", panel, x.Selector, x.Tier, x.PendingDays)
		}
	}
}

// floatSeries returns the points of an answer's series by their labels.
func floatSeries(t *testing.T, data json.RawMessage) map[string][]point {
	t.Helper()
	var d struct {
		Result []struct {
			Metric json.RawMessage
			Value  *point
			Values []point
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	all := map[string][]point{}
	for _, r := range d.Result {
		if r.Value != nil {
			r.Values = append(r.Values, *r.Value)
		}
		all[canonical(t, r.Metric)] = r.Values
	}
	return all
}

// expectClose compares two answers. Sums may be added up in another order.
func expectClose(t *testing.T, what string, got, want map[string][]point) {
	t.Helper()
	if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("%s: %d series, want %d, or with other labels", what, len(got), len(want))
		return
	}
	for labels, w := range want {
		g := got[labels]
		if len(g) != len(w) {
			t.Errorf("%s: %s has %d points, want %d", what, labels, len(g), len(w))
			continue
		}
		for i := range w {
			same := g[i].v == w[i].v || math.IsNaN(g[i].v) && math.IsNaN(w[i].v) || math.Abs(g[i].v-w[i].v) <= 1e-9*math.Abs(w[i].v)
			if g[i].t != w[i].t || !same {
				t.Errorf("%s: %s is %v at %d, want %v at %d", what, labels, g[i].v, g[i].t, w[i].v, w[i].t)
				break
			}
		}
	}
}

// yearSeries is a series of a host: its next value depends on the last one.
type yearSeries struct {
	labels []string
	value  float64
	next   func(v float64) float64
}

// writeYear writes the samples of all hosts, a day at a time.
func writeYear(t *testing.T, c *http.Client, s *server, end time.Time) {
	t.Helper()
	const perDay = int(24 * time.Hour / yearInterval)
	for h := range yearHosts {
		r := rand.New(rand.NewPCG(1, uint64(h)))
		host := yearHost(h, r)
		offset := time.Duration(h+1) * 4 * time.Second // of the scrapes
		for day := range yearDays {
			start := end.Add(time.Duration(day-yearDays) * 24 * time.Hour).Add(offset)
			request := make([]remoteSeries, len(host))
			for i := range host {
				request[i] = remoteSeries{labels: host[i].labels, samples: make([]point, perDay)}
			}
			for k := range perDay {
				at := start.Add(time.Duration(k)*yearInterval).UnixMilli() + r.Int64N(5) // jitter
				for i := range host {
					host[i].value = host[i].next(host[i].value)
					request[i].samples[k] = point{at, host[i].value}
				}
			}
			if reply, err := writeRemote(t.Context(), c, s.url(), request); err != nil || !reply.acknowledged() {
				t.Fatalf("write: %v %+v", err, reply)
			}
		}
	}
}

// yearHost returns the series of a host, with what the panels ask for: counters that are
// reset about once a week, gauges that walk, and constants.
func yearHost(h int, r *rand.Rand) []yearSeries {
	var all []yearSeries
	add := func(name string, first float64, next func(v float64) float64, more ...string) {
		labels := sortedLabels(append(more, "instance", fmt.Sprintf("host%d:9100", h), "job", "node"))
		all = append(all, yearSeries{append([]string{"__name__", name}, labels...), first, next})
	}
	week := int(7 * 24 * time.Hour / yearInterval)
	counter := func(mean float64) func(float64) float64 {
		return func(v float64) float64 {
			if r.IntN(week) == 0 {
				v = 0
			}
			return v + math.Floor(2*mean*r.Float64())
		}
	}
	ticks := func(mean float64) func(float64) float64 { // two decimals
		whole := counter(100 * mean)
		return func(v float64) float64 { return whole(math.Round(100*v)) / 100 }
	}
	walk := func(step, low, high float64) func(float64) float64 {
		return func(v float64) float64 {
			return min(max(math.Round(100*(v+step*(2*r.Float64()-1)))/100, low), high)
		}
	}
	constant := func(v float64) float64 { return v }

	add("up", 1, func(float64) float64 { return float64(min(1, r.IntN(500))) })
	add("node_uname_info", 1, constant, "nodename", fmt.Sprint("host", h))
	add("node_boot_time_seconds", 1.7e9, func(v float64) float64 {
		if r.IntN(week) == 0 {
			v += 604800
		}
		return v
	})
	add("node_cpu_seconds_total", 0, ticks(10), "cpu", "0", "mode", "idle")
	add("node_cpu_seconds_total", 0, ticks(3), "cpu", "0", "mode", "user")
	add("node_load1", 1, walk(0.2, 0, 16))
	add("node_memory_MemAvailable_bytes", 4<<30, func(v float64) float64 { return min(max(v+4096*float64(r.IntN(2001)-1000), 1<<30), 8<<30) })
	disk := []string{"device", "/dev/sda1", "fstype", "ext4", "mountpoint", "/"}
	add("node_filesystem_size_bytes", 1<<37, constant, disk...)
	add("node_filesystem_avail_bytes", 1<<36, func(v float64) float64 { return v - 4096*float64(r.IntN(200)) }, disk...)
	add("node_disk_read_bytes_total", 0, counter(1e5), "device", "sda")
	add("node_disk_written_bytes_total", 0, counter(3e5), "device", "sda")
	add("node_network_receive_bytes_total", 0, counter(2e6), "device", "eth0")
	add("node_network_transmit_bytes_total", 0, counter(1e6), "device", "eth0")
	add("node_hwmon_temp_celsius", 45, walk(0.5, 30, 90), "chip", "coretemp", "sensor", "temp1")

	// The buckets of a histogram are reset together.
	var events float64
	var reset bool
	add("http_request_duration_seconds_count", 0, func(v float64) float64 {
		if events, reset = math.Floor(40*r.Float64()), r.IntN(week) == 0; reset {
			v = 0
		}
		return v + events
	}, "handler", "/")
	follow := func(share float64) func(float64) float64 {
		return func(v float64) float64 {
			if reset {
				v = 0
			}
			return v + math.Floor(share*events)
		}
	}
	add("http_request_duration_seconds_sum", 0, func(v float64) float64 {
		if reset {
			v = 0
		}
		return v + events*0.05*r.Float64()
	}, "handler", "/")
	for i, le := range []string{"0.01", "0.05", "0.25", "+Inf"} {
		add("http_request_duration_seconds_bucket", 0, follow([]float64{0.3, 0.7, 0.95, 1}[i]), "handler", "/", "le", le)
	}
	return all
}
