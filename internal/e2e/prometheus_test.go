package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/await"
	"tsdb/internal/loopback"
)

// scrapes is the minimum number of scrapes of each target by the senders, one per
// second. Metadata of remote write 1 is sent once a minute, so it is more than 60.
const scrapes = 65

// sender is a Prometheus that scrapes and writes to our server.
type sender struct {
	name       string
	program    string // prometheus is Debian's 2.42
	snippet    string // of the README
	config     string // more lines of the global section
	flags      []string
	receiver   bool // compare with a Prometheus 3.14 to which it also writes, not with itself
	histograms bool // it has native histograms and exemplars
	noMetadata bool // it sends no metadata
}

var senders = []sender{
	{name: "2.42, remote write 1", program: "prometheus", snippet: "prometheus", receiver: true},
	{name: "3.14, remote write 1", program: "prometheus-3.14", snippet: "prometheus"},
	{
		name: "3.14, remote write 2", program: "prometheus-3.14", snippet: "prometheus-v2", histograms: true,
		// In this version the feature metadata-wal-records is passed to the scrape
		// loop but not to the storage, so metadata never reaches the log from which
		// it sends.
		noMetadata: true,
		config:     "  scrape_native_histograms: true\n  always_scrape_classic_histograms: true\n",
		flags:      []string{"--enable-feature=exemplar-storage"},
	},
}

// Real Prometheus servers scrape node_exporter, themselves and an exporter of
// the test every second and write to our server, which is killed in the
// middle. Afterwards its answers equal those of Prometheus 3.14 over the same scrapes.
func TestPrometheusWritesAndAsks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes more than a minute")
	}
	nodeExporter := findProgram(t, "prometheus-node-exporter")
	for _, s := range senders {
		findProgram(t, s.program)
	}
	node := loopback.FreeAddr(t)
	p := startProcess(t, "node_exporter", nodeExporter, "--web.listen-address", node)
	p.waitHTTP(t, "http://"+node+"/metrics", readyLimit)
	app := startExporter(t)
	t.Run("senders", func(t *testing.T) { // returns when its parallel tests have
		for _, s := range senders {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				s.run(t, node, app)
			})
		}
	})
}

func (s sender) run(t *testing.T, node, app string) {
	client := newHTTPClient(t)
	tsdb := newServer(t, t.TempDir())
	tsdb.start(t)
	tsdb.waitReady(t)

	own := loopback.FreeAddr(t)
	reference := "http://" + own
	write := readmeSnippet(t, s.snippet, tsdb.addr)
	if s.receiver {
		addr := loopback.FreeAddr(t)
		reference = "http://" + addr
		startPrometheus(t, "prometheus-3.14", addr, "global: {}\n", "--web.enable-remote-write-receiver")
		write += "  - url: " + reference + "/api/v1/write\n    name: reference\n"
	}
	global := "global:\n  scrape_interval: 1s\n  scrape_timeout: 900ms\n" + s.config
	scrape := "scrape_configs:\n"
	for _, target := range [][2]string{{"node", node}, {"prometheus", own}, {"app", app}} {
		scrape += fmt.Sprintf("  - job_name: %s\n    static_configs:\n      - targets: ['%s']\n", target[0], target[1])
	}
	begin := time.Now()
	prometheus := startPrometheus(t, s.program, own, global+write+scrape, s.flags...)

	prometheus.waitScrapes(t, client, scrapes/2)
	tsdb.kill()
	tsdb.noPanic(t)
	tsdb.check(t)
	tsdb.start(t)
	prometheus.waitScrapes(t, client, scrapes)
	if !s.noMetadata {
		waitMetadata(t, client, tsdb)
	}
	metadata := mustAsk(t, client, "http://"+own, "/api/v1/metadata", nil)

	// Without targets there are no new samples, so the data of both is stable.
	prometheus.configure(t, global+write)
	prometheus.waitDrained(t, client)
	end := time.Now()

	prometheus.expectNothingFailed(t, client)
	for i, q := range rangeQueries {
		step := []string{"1", "5", "7.5"}[i%3]
		sameAnswer(t, client, tsdb.url(), reference, "/api/v1/query_range",
			url.Values{"query": {q}, "start": {seconds(begin)}, "end": {seconds(end)}, "step": {step}})
	}
	instants := []time.Time{begin.Add(20 * time.Second), begin.Add(scrapes / 2 * time.Second), begin.Add(55 * time.Second), end}
	for i, q := range instantQueries {
		sameAnswer(t, client, tsdb.url(), reference, "/api/v1/query",
			url.Values{"query": {q}, "time": {seconds(instants[i%len(instants)])}})
	}
	// Every sample of every series, as stored.
	sameAnswer(t, client, tsdb.url(), reference, "/api/v1/query",
		url.Values{"query": {`{__name__!=""}[10m]`}, "time": {seconds(end)}})
	if s.histograms {
		for _, q := range histogramQueries {
			sameAnswer(t, client, tsdb.url(), reference, "/api/v1/query_range",
				url.Values{"query": {q}, "start": {seconds(begin)}, "end": {seconds(end)}, "step": {"5"}})
			sameAnswer(t, client, tsdb.url(), reference, "/api/v1/query", url.Values{"query": {q}, "time": {seconds(instants[1])}})
		}
		sameAnswer(t, client, tsdb.url(), reference, "/api/v1/query_exemplars",
			url.Values{"query": {`{job="app"}`}, "start": {seconds(begin)}, "end": {seconds(end)}})
	}
	s.compareLabels(t, client, tsdb.url(), reference, begin, end)
	if !s.noMetadata {
		compareMetadata(t, client, tsdb.url(), metadata)
	}

	// The same from blocks and after a clean restart.
	tsdb.post(t, "/api/v1/admin/compact")
	sameAnswer(t, client, tsdb.url(), reference, "/api/v1/query",
		url.Values{"query": {`{__name__!=""}[10m]`}, "time": {seconds(end)}})
	tsdb.stop(t)
	tsdb.noPanic(t)
	tsdb.check(t)
}

func (s sender) compareLabels(t *testing.T, c *http.Client, got, want string, begin, end time.Time) {
	t.Helper()
	span := func(more ...string) url.Values {
		form := url.Values{"start": {seconds(begin)}, "end": {seconds(end)}}
		for i := 0; i < len(more); i += 2 {
			form.Add(more[i], more[i+1])
		}
		return form
	}
	sameAnswer(t, c, got, want, "/api/v1/labels", span())
	sameAnswer(t, c, got, want, "/api/v1/labels", span("match[]", `{job="node"}`))
	for _, name := range []string{"__name__", "job", "instance", "le", "cpu", "mode", "path", "id", "handler", "no_such_label"} {
		sameAnswer(t, c, got, want, "/api/v1/label/"+name+"/values", span())
		sameAnswer(t, c, got, want, "/api/v1/label/"+name+"/values", span("match[]", `{job=~"app|node"}`))
	}
	sameAnswer(t, c, got, want, "/api/v1/series", span("match[]", `{__name__!=""}`))
	sameAnswer(t, c, got, want, "/api/v1/series", span("match[]", `app_session`, "match[]", `{__name__=~"node_load.*"}`))
}

// waitMetadata waits for metadata, which is sent a minute after a sender has started,
// later on a busy machine.
func waitMetadata(t *testing.T, c *http.Client, s *server) {
	t.Helper()
	await.That(t, "metadata has arrived", func() bool {
		return string(mustAsk(t, c, s.url(), "/api/v1/metadata", nil).Data) != "{}"
	})
}

// compareMetadata compares metric by metric. Prometheus lists the metadata of each
// target; targets of different versions may have different help texts for a metric, of
// which we keep the last one received.
func compareMetadata(t *testing.T, c *http.Client, base string, want *answer) {
	t.Helper()
	type entry struct{ Type, Help, Unit string }
	parse := func(a *answer) map[string][]entry {
		m := map[string][]entry{}
		if err := json.Unmarshal(a.Data, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	wantAll, gotAll := parse(want), parse(mustAsk(t, c, base, "/api/v1/metadata", nil))
	if len(wantAll) < 100 {
		t.Fatalf("the reference has metadata of %d metrics only", len(wantAll))
	}
	problems := 0
	for name, entries := range wantAll {
		got := gotAll[name]
		if len(got) == 0 || !slices.Contains(entries, got[0]) {
			if problems++; problems <= maxDifferences {
				t.Errorf("metadata of %s: %q, want one of %q", name, got, entries)
			}
		}
	}
	for name := range gotAll {
		if _, ok := wantAll[name]; !ok {
			if problems++; problems <= maxDifferences {
				t.Errorf("metadata of %s, which the reference does not know: %q", name, gotAll[name])
			}
		}
	}
	if problems > 0 {
		t.Errorf("metadata: %d of %d metrics differ", problems, len(wantAll))
	}
}

// realPrometheus is a running Prometheus.
type realPrometheus struct {
	*process
	url    string
	config string // path
}

func startPrometheus(t *testing.T, program, addr, config string, flags ...string) *realPrometheus {
	t.Helper()
	dir := t.TempDir()
	p := &realPrometheus{url: "http://" + addr, config: filepath.Join(dir, "prometheus.yml")}
	writeFile(t, p.config, config)
	args := append([]string{
		"--config.file", p.config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", addr,
	}, flags...)
	p.process = startProcess(t, program, findProgram(t, program), args...)
	p.waitHTTP(t, p.url+"/-/ready", readyLimit)
	return p
}

// waitScrapes returns when the Prometheus has scraped the test's exporter n
// times.
func (p *realPrometheus) waitScrapes(t *testing.T, c *http.Client, n int) {
	t.Helper()
	begin, got := time.Now(), 0.0
	if !await.Within(t.Context(), time.Duration(n)*time.Second+readyLimit, func() bool {
		if v := queryVector(t, c, p.url, `count_over_time(up{job="app"}[10m])`, time.Now()); len(v) == 1 {
			got = v[0].Value.v
		}
		return got >= float64(n)
	}) {
		t.Fatalf("%s has scraped %v times in %s, want %d:\n%s", p.name, got, time.Since(begin).Round(time.Second), n, p.log.tail(20))
	}
}

// configure loads a new configuration into the Prometheus and returns once it is in
// effect.
func (p *realPrometheus) configure(t *testing.T, config string) {
	t.Helper()
	// The first configuration was loaded before the server was ready.
	const loaded = "Completed loading of configuration file"
	before := p.log.count(loaded)
	writeFile(t, p.config, config)
	p.signal(t, syscall.SIGHUP)
	await.That(t, p.name+" loads its new configuration", func() bool { return p.log.count(loaded) > before })
}

// waitDrained waits until all scraped samples have been sent. The stale markers of
// removed targets are written some intervals later.
func (p *realPrometheus) waitDrained(t *testing.T, c *http.Client) {
	t.Helper()
	const quiet = 6 * time.Second // the queue's own deadline for a batch is 5 s
	last, busy := -1.0, time.Now()
	await.That(t, p.name+" has sent everything", func() bool {
		m := p.metrics(t, c)
		appended := m["prometheus_tsdb_head_samples_appended_total"]
		if appended != last || m["prometheus_remote_storage_samples_pending"] != 0 || m["prometheus_remote_storage_exemplars_pending"] != 0 {
			last, busy = appended, time.Now()
		}
		return time.Since(busy) >= quiet
	})
}

func (p *realPrometheus) expectNothingFailed(t *testing.T, c *http.Client) {
	t.Helper()
	m := p.metrics(t, c)
	for _, what := range []string{"samples", "histograms", "exemplars", "metadata"} { // retried is not failed
		for _, how := range []string{"failed", "dropped"} {
			if n := m["prometheus_remote_storage_"+what+"_"+how+"_total"]; n != 0 {
				t.Errorf("%s: %v %s %s", p.name, n, what, how)
			}
		}
	}
	if n := m["prometheus_remote_storage_samples_total"]; n < 10_000 {
		t.Errorf("%s has sent only %v samples", p.name, n)
	}
	t.Logf("%s sent %v samples, %v histograms, %v exemplars, %v metadata, retried %v samples", p.name, m["prometheus_remote_storage_samples_total"],
		m["prometheus_remote_storage_histograms_total"], m["prometheus_remote_storage_exemplars_total"],
		m["prometheus_remote_storage_metadata_total"], m["prometheus_remote_storage_samples_retried_total"])
}

// metrics reads the text exposition; the values of a metric's series are added up.
func (p *realPrometheus) metrics(t *testing.T, c *http.Client) map[string]float64 {
	t.Helper()
	resp, err := c.Get(p.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.LastIndexByte(line, '}'); i >= 0 {
			series, value, ok = line[:i+1], strings.TrimSpace(line[i+1:]), true
		}
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			name, _, _ := strings.Cut(series, "{")
			all[name] += v
		}
	}
	return all
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
