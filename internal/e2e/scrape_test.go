package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tsdb/internal/await"
	"tsdb/internal/loopback"
)

// fixedText has what text exposition can have; its values never change.
const fixedText = `# HELP fixed_requests_total Requests.
# TYPE fixed_requests_total counter
fixed_requests_total{path="/a",job="own"} 17
fixed_requests_total{path="/b \"quoted\""} 1.5e3
# HELP fixed_latency_seconds Latency.
# TYPE fixed_latency_seconds histogram
fixed_latency_seconds_bucket{le="0.1"} 3
fixed_latency_seconds_bucket{le="+Inf"} 4
fixed_latency_seconds_sum 0.5
fixed_latency_seconds_count 4
# TYPE fixed_summary summary
fixed_summary{quantile="0.5"} NaN
fixed_summary_sum 1
fixed_summary_count 2
# HELP fixed_odd Odd floats.
# TYPE fixed_odd gauge
fixed_odd{v="inf"} +Inf
fixed_odd{v="minus inf"} -Inf
fixed_odd{v="third"} 0.3333333333333333
fixed_odd{v="twice"} 1
fixed_odd{v="twice"} 2
fixed_untyped 7
go_dropped 1
{"fixed.utf8","a label"="ü"} 8
`

// startFixed serves metrics that do not change: /text in the text format, and /proto
// with native histograms in protobuf.
func startFixed(t *testing.T) *httptest.Server {
	t.Helper()
	reg := prometheus.NewRegistry()
	native := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "fixed_native_seconds", Help: "Latency.", Buckets: []float64{0.1, 1}, NativeHistogramBucketFactor: 1.1,
	})
	count := prometheus.NewCounter(prometheus.CounterOpts{Name: "fixed_count_total", Help: "Count."})
	reg.MustRegister(native, count)
	for i := range 20 {
		native.Observe(float64(i) / 7)
	}
	count.(prometheus.ExemplarAdder).AddWithExemplar(3, prometheus.Labels{"trace_id": "abc"})
	mux := http.NewServeMux()
	mux.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprint(w, fixedText)
	})
	mux.Handle("/proto", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// The server scrapes a target that does not change as Prometheus 3.14 does: series,
// values, and the answers of the API about targets.
func TestScrapesAsPrometheusDoes(t *testing.T) {
	t.Parallel()
	findProgram(t, "prometheus-3.14")
	fixed := strings.TrimPrefix(startFixed(t).URL, "http://")
	config := fmt.Sprintf(`global:
  scrape_interval: 1s
  scrape_timeout: 900ms
  external_labels: {site: x}
scrape_configs:
  - job_name: text
    metrics_path: /text
    static_configs:
      - {targets: ['%[1]s'], labels: {env: e}}
      - {targets: ['unused:1'], labels: {env: off}}
    relabel_configs:
      - {source_labels: [env], regex: 'off', action: drop}
      - {source_labels: [__address__], target_label: address}
    metric_relabel_configs:
      - {source_labels: [__name__], regex: 'go_.*', action: drop}
      - {source_labels: [__name__], regex: 'fixed_(untyped)', target_label: __name__, replacement: 'renamed_$1'}
  - job_name: proto
    metrics_path: /proto
    scrape_native_histograms: true
    always_scrape_classic_histograms: true
    static_configs: [{targets: ['%[1]s']}]
  - job_name: open
    metrics_path: /proto
    honor_labels: true
    params: {a: [b]}
    extra_scrape_metrics: true
    static_configs: [{targets: ['%[1]s']}]
  - job_name: limited
    metrics_path: /text
    sample_limit: 3
    static_configs: [{targets: ['%[1]s']}]
  - job_name: missing
    metrics_path: /nothing
    static_configs: [{targets: ['%[1]s']}]
`, fixed)
	file := filepath.Join(t.TempDir(), "tsdb.yml")
	writeFile(t, file, config)
	s := newServer(t, t.TempDir(), "--config", file)
	s.start(t)
	s.waitReady(t)
	ref := startPrometheus(t, "prometheus-3.14", loopback.FreeAddr(t), config, "--enable-feature=exemplar-storage")
	client := newHTTPClient(t)
	for _, base := range []string{s.url(), ref.url} {
		await.That(t, "five scraped jobs at "+base, func() bool {
			v := queryVector(t, client, base, `count(count_over_time(up[1m]) >= 2)`, time.Now())
			return len(v) == 1 && v[0].Value.v == 5
		})
	}
	// Every series with its newest value; those that measure the scrape differ.
	const measures = "scrape_duration_seconds|scrape_body_size_bytes|scrape_series_added"
	query := url.Values{"query": {`last_over_time({job!="",__name__!~"` + measures + `"}[1m])`}}
	got, want := latest(t, client, s.url(), query), latest(t, client, ref.url, query)
	if d := differences(got, want); len(d) > 0 || len(want) < 40 {
		t.Errorf("%d series, want %d:\n%s", len(got), len(want), strings.Join(d, "\n"))
	}
	query = url.Values{"query": {`count by (__name__, job) (last_over_time({__name__=~"` + measures + `"}[1m]))`}}
	if d := differences(latest(t, client, s.url(), query), latest(t, client, ref.url, query)); len(d) > 0 {
		t.Errorf("measures of scrapes:\n%s", strings.Join(d, "\n"))
	}
	exemplars := url.Values{"query": {`fixed_count_total`}, "start": {seconds(time.Now().Add(-time.Hour))}, "end": {seconds(time.Now().Add(time.Hour))}}
	sameAnswer(t, client, s.url(), ref.url, "/api/v1/query_exemplars", exemplars)

	for _, path := range []string{
		"/api/v1/targets", "/api/v1/targets?state=active", "/api/v1/targets?state=dropped", "/api/v1/targets?scrapePool=text", "/api/v1/targets?state=nonsense",
		"/api/v1/scrape_pools", "/api/v1/targets/metadata", "/api/v1/targets/metadata?metric=fixed_odd", "/api/v1/targets/metadata?match_target=" + url.QueryEscape(`{job="text"}`),
		"/api/v1/targets/relabel_steps?scrapePool=text&labels=" + url.QueryEscape(`{"env":"e","__address__":"x"}`),
		"/api/v1/targets/relabel_steps?scrapePool=text&labels=" + url.QueryEscape(`{"env":"off","__address__":"x"}`),
		"/api/v1/targets/relabel_steps?scrapePool=none&labels={}", "/api/v1/targets/relabel_steps?scrapePool=none", "/api/v1/targets/relabel_steps",
	} {
		got, want := steady(t, client, s.url()+path), steady(t, client, ref.url+path)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", path, show(got), show(want))
		}
	}
	// The names of Prometheus' metrics of scraping.
	names := func(base string) []string {
		var all []string
		for name := range scrapeMetrics(t, client, base) {
			all = append(all, name)
		}
		slices.Sort(all)
		return all
	}
	if got, want := names(s.url()), names(ref.url); !slices.Equal(got, want) || len(got) < 30 {
		t.Errorf("metrics\ngot  %q\nwant %q", got, want)
	}
	s.stop(t)
	s.noPanic(t)
	s.check(t)
}

// latest returns the rows of an instant query without the times.
func latest(t *testing.T, c *http.Client, base string, query url.Values) map[string]string {
	t.Helper()
	var data struct {
		Result []struct {
			Metric           json.RawMessage
			Value, Histogram []json.RawMessage
		}
	}
	if err := json.Unmarshal(mustAsk(t, c, base, "/api/v1/query", query).Data, &data); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, r := range data.Result {
		all[canonical(t, r.Metric)] = canonical(t, append(r.Value, r.Histogram...)[1])
	}
	return all
}

// steady returns an answer of the API without what differs between two scrapes of the
// same target, and with lists in a fixed order.
func steady(t *testing.T, c *http.Client, address string) any {
	t.Helper()
	resp, err := c.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var v any
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return settle(map[string]any{"status": resp.StatusCode, "body": v})
}

func settle(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			v[key] = settle(x)
			if key == "lastScrape" || key == "lastScrapeDuration" {
				v[key] = fmt.Sprintf("%T", x)
			}
		}
	case []any:
		for i := range v {
			v[i] = settle(v[i])
		}
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(show(a), show(b)) })
	}
	return v
}

func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// scrapeMetrics returns the names of the metrics of a server about scraping.
func scrapeMetrics(t *testing.T, c *http.Client, base string) map[string]bool {
	t.Helper()
	resp, err := c.Get(base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all := map[string]bool{}
	for line := range strings.Lines(readAll(t, resp)) {
		fields := strings.Fields(line)
		// The Prometheus of the tests is built without DNS and Kubernetes.
		if len(fields) > 2 && fields[0] == "#" && fields[1] == "TYPE" && (strings.HasPrefix(fields[2], "prometheus_target_") || strings.HasPrefix(fields[2], "prometheus_sd_")) &&
			!strings.Contains(fields[2], "kubernetes") && !strings.Contains(fields[2], "_sd_dns_") {
			all[fields[2]] = true
		}
	}
	return all
}

// The block of the README, with a node_exporter, the server itself and targets of a file,
// through failures, a restart and reloads.
func TestScrapeLife(t *testing.T) {
	t.Parallel()
	exporter := findProgram(t, "prometheus-node-exporter")
	fixed := strings.TrimPrefix(startFixed(t).URL, "http://")
	node := loopback.FreeAddr(t)
	startNode := func() *process {
		p := startProcess(t, "node_exporter", exporter, "--web.listen-address", node)
		p.waitHTTP(t, "http://"+node+"/metrics", readyLimit)
		return p
	}
	running := startNode()

	dir := t.TempDir()
	file := filepath.Join(dir, "tsdb.yml")
	if err := os.Mkdir(filepath.Join(dir, "targets"), 0o755); err != nil {
		t.Fatal(err)
	}
	list := func(addrs ...string) {
		t.Helper()
		text, err := json.Marshal([]map[string]any{{"targets": addrs, "labels": map[string]string{"__metrics_path__": "/text"}}})
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "next"), string(text))
		if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "targets", "a.json")); err != nil {
			t.Fatal(err)
		}
	}
	list()
	s := newServer(t, t.TempDir(), "--config", file)
	block := strings.NewReplacer("15s", "1s", "localhost:9100", node).Replace(readmeBlock(t, "scrape"))
	self := fmt.Sprintf("  - job_name: self\n    static_configs: [{targets: ['%s']}]\n", s.addr)
	writeFile(t, file, block+self)
	s.start(t)
	s.waitReady(t)
	client := newHTTPClient(t)
	one := func(query string) float64 {
		t.Helper()
		if v := queryVector(t, client, s.url(), query, time.Now()); len(v) == 1 {
			return v[0].Value.v
		}
		return -1
	}
	becomes := func(query string, want float64) {
		t.Helper()
		got := -1.0
		if !await.Within(t.Context(), await.Limit, func() bool { got = one(query); return got == want }) {
			t.Fatalf("%s is %v, want %v\n%s", query, got, want, s.log.tail(20))
		}
	}
	becomes(`up{job="node",site="home"}`, 1)
	becomes(`up{job="self"}`, 1)
	becomes(`count(node_memory_MemTotal_bytes > 0)`, 1)
	becomes(`count(tsdb_build_info{job="self"})`, 1)

	// A target of a file appears and leaves.
	list(fixed)
	becomes(`fixed_untyped{job="services"}`, 7)
	becomes(`count(go_dropped)`, -1)
	list()
	becomes(`count({job="services"})`, -1)

	// A target that ends leaves no values behind, at once; it comes back.
	running.kill()
	becomes(`up{job="node"}`, 0)
	becomes(`count(node_load1)`, -1)
	startNode()
	becomes(`up{job="node"}`, 1)
	becomes(`count(node_load1)`, 1)

	// The server ends without stale markers and goes on where it was.
	s.stop(t)
	s.check(t)
	s.start(t)
	s.waitReady(t)
	pools := func() string { return string(mustAsk(t, client, s.url(), "/api/v1/scrape_pools", nil).Data) }
	const three = `{"scrapePools":["node","self","services"]}`
	await.That(t, "the jobs again", func() bool { return pools() == three })
	becomes(`count(count_over_time(up{job="node"}[2s]))`, 1)
	becomes(`up{job="node"}`, 1)

	// A mistake is refused, with its line, and changes nothing.
	writeFile(t, file, block+self+"  - job_name: new\n    static_config: []\n")
	lines := strings.Count(block+self, "\n") + 2
	if code, body := postText(t, client, s.url()+"/-/reload"); code != 500 || !strings.Contains(body, fmt.Sprintf(`tsdb.yml:%d: unknown key "static_config"`, lines)) {
		t.Errorf("a reload with a mistake: %d %s", code, body)
	}
	if got := pools(); got != three {
		t.Errorf("after it: %s", got)
	}
	writeFile(t, file, block+self+fmt.Sprintf("  - job_name: new\n    metrics_path: /text\n    static_configs: [{targets: ['%s']}]\n", fixed))
	s.post(t, "/-/reload")
	becomes(`fixed_untyped{job="new"}`, 7)
	becomes(`up{job="node"}`, 1)
	// None of the other targets has missed a scrape: no two are further apart than two
	// intervals and a moment.
	if gap := one(`max(max_over_time((time() - timestamp(up{job="node"}))[5s:100ms]))`); gap > 4 {
		t.Errorf("the target node was not scraped for %v s", gap)
	}
	writeFile(t, file, block)
	s.signal(t, syscall.SIGHUP)
	await.That(t, "two jobs", func() bool { return pools() == `{"scrapePools":["node","services"]}` })
	s.stop(t)
	s.noPanic(t)
	s.check(t)
}

// postText sends an empty POST and returns status and body.
func postText(t *testing.T, c *http.Client, address string) (int, string) {
	t.Helper()
	resp, err := c.Post(address, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, readAll(t, resp)
}

func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
