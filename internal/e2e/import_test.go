package e2e

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/await"
	"tsdb/internal/loopback"
)

// runTSDB runs a command of the program and returns what it prints.
func runTSDB(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), tsdbBin, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("tsdb %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// A real Prometheus scrapes classic and native histograms and has blocks of two days
// ago. Its directory is imported into a running server and into a directory, and both
// answer as their owner does, every sample included.
func TestPrometheusDirectoryIsImported(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("scrapes for half a minute")
	}
	promtool := findProgram(t, "promtool-3.14")
	prometheusBin := findProgram(t, "prometheus-3.14")
	client := newHTTPClient(t)
	dir := t.TempDir()
	data := filepath.Join(dir, "data")

	// Old blocks, made by Prometheus' own tool.
	old := time.Now().Add(-50 * time.Hour).Truncate(time.Minute)
	var text strings.Builder
	for series := range 20 {
		for i := range 300 {
			fmt.Fprintf(&text, "old_metric{i=\"%d\",job=\"backfill\"} %v %d\n", series, float64(i*series)/7, old.Add(time.Duration(i)*time.Minute).Unix())
		}
	}
	text.WriteString("# EOF\n")
	writeFile(t, filepath.Join(dir, "old.om"), text.String())
	if out, err := exec.CommandContext(t.Context(), promtool, "tsdb", "create-blocks-from", "openmetrics", filepath.Join(dir, "old.om"), data).CombinedOutput(); err != nil {
		t.Fatalf("promtool: %v\n%s", err, out)
	}

	// New samples, scraped: they are in the log and the head's chunks.
	own := loopback.FreeAddr(t)
	app := startExporter(t)
	config := filepath.Join(dir, "prometheus.yml")
	global := "global:\n  scrape_interval: 1s\n  scrape_timeout: 900ms\n  scrape_native_histograms: true\n  always_scrape_classic_histograms: true\n"
	writeFile(t, config, global+fmt.Sprintf("scrape_configs:\n  - job_name: prometheus\n    static_configs: [{targets: ['%s']}]\n  - job_name: app\n    static_configs: [{targets: ['%s']}]\n", own, app))
	start := func() *realPrometheus {
		p := &realPrometheus{url: "http://" + own, config: config}
		p.process = startProcess(t, "prometheus-3.14", prometheusBin, "--config.file", config, "--storage.tsdb.path", data, "--web.listen-address", own)
		p.waitHTTP(t, p.url+"/-/ready", readyLimit)
		return p
	}
	begin := time.Now()
	p := start()
	p.waitScrapes(t, client, 25)
	p.configure(t, global) // without targets nothing changes any more
	end := time.Now()
	p.signal(t, syscall.SIGTERM)
	p.wait(t, readyLimit)

	running := newServer(t, t.TempDir())
	running.start(t)
	running.waitReady(t)
	state := filepath.Join(dir, "state.json")
	out := runTSDB(t, "import", "prometheus", data, "--to", running.url(), "--state", state)
	if strings.Contains(out, "refused") {
		t.Errorf("import into a running server:\n%s", out)
	}
	if again := runTSDB(t, "import", "prometheus", "--state", state, data, "--to", running.url()); !strings.Contains(again, "0 samples read") {
		t.Errorf("a second import reads again:\n%s", again)
	}
	rest := newServer(t, filepath.Join(dir, "imported"))
	runTSDB(t, "import", "prometheus", data, "--to", rest.dir)
	rest.check(t)
	rest.start(t)
	rest.waitReady(t)

	reference := start()
	for _, s := range []*server{running, rest} {
		for i, q := range rangeQueries {
			step := []string{"1", "5", "7.5"}[i%3]
			sameAnswer(t, client, s.url(), reference.url, "/api/v1/query_range", url.Values{"query": {q}, "start": {seconds(begin)}, "end": {seconds(end)}, "step": {step}})
		}
		for _, q := range histogramQueries {
			sameAnswer(t, client, s.url(), reference.url, "/api/v1/query_range", url.Values{"query": {q}, "start": {seconds(begin)}, "end": {seconds(end)}, "step": {"5"}})
		}
		for _, q := range []string{`{__name__!="",job!="backfill"}[10m]`, `old_metric[7h]`} {
			at := end
			if strings.HasPrefix(q, "old") {
				at = old.Add(6 * time.Hour)
			}
			sameAnswer(t, client, s.url(), reference.url, "/api/v1/query", url.Values{"query": {q}, "time": {seconds(at)}})
		}
		s.post(t, "/api/v1/admin/compact")
		sameAnswer(t, client, s.url(), reference.url, "/api/v1/query", url.Values{"query": {`{__name__!="",job!="backfill"}[10m]`}, "time": {seconds(end)}})
		s.stop(t)
		s.noPanic(t)
		s.check(t)
	}
}

// An import that is killed again and again ends with every sample, once it is let
// finish.
func TestKilledImportGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name, to := filepath.Join(dir, "all.jsonl"), filepath.Join(dir, "data")
	var text bytes.Buffer
	now := time.Now().Add(-time.Hour).UnixMilli()
	const series, rows = 400, 1000
	for i := range series {
		fmt.Fprintf(&text, `{"metric":{"__name__":"m","i":"%d"},"values":[`, i)
		for k := range rows {
			fmt.Fprintf(&text, "%s%v", []string{"", ","}[min(k, 1)], float64(i*k%977)/7)
		}
		text.WriteString(`],"timestamps":[`)
		for k := range rows {
			fmt.Fprintf(&text, "%s%d", []string{"", ","}[min(k, 1)], now-int64(rows-k)*60_000)
		}
		text.WriteString("]}\n")
	}
	if err := os.WriteFile(name, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state.json")
	args := []string{"import", "lines", name, "--to", to, "--memory", "1MiB", "--state", state, "--skip-old"}
	killed := 0
	for range 3 {
		before, _ := os.ReadFile(state)
		p := startProcess(t, "tsdb", tsdbBin, args...)
		await.That(t, "the import has recorded a run, or ended", func() bool {
			now, _ := os.ReadFile(state)
			return !bytes.Equal(now, before) || !p.running()
		})
		if p.running() {
			p.kill()
			killed++
		}
	}
	if killed == 0 {
		t.Error("no import could be killed")
	}
	runTSDB(t, args...)
	s := newServer(t, to)
	s.check(t)
	out, err := exec.CommandContext(t.Context(), tsdbBin, "export", "--from", to, "--to", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(out), "\n"); got != series || len(out) != text.Len() {
		t.Errorf("%d series in %d bytes, want %d in %d", got, len(out), series, text.Len())
	}
}
