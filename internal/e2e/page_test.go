package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"tsdb/internal/loopback"
)

// TestPage walks through the page in Chromium with the scripts of web/test, against
// servers with an hour of data. Screenshots stay in bin/page.
func TestPage(t *testing.T) {
	t.Parallel()
	chromium, node := findProgram(t, "chromium"), findProgram(t, "node")
	web, err := filepath.Abs(filepath.Join("..", "..", "web"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(web, "node_modules", "playwright-core")); err != nil {
		missing(t, "the packages of web/ are not installed (make test-deps does it)")
	}
	shots := filepath.Join(web, "..", "bin", "page")
	if err := os.MkdirAll(shots, 0o777); err != nil {
		t.Fatal(err)
	}
	begin := time.Now().Add(-pageHour * pageStep)
	body := pageData(t, begin, 0, pageHour+1)
	serve := func(args ...string) *server {
		s := newServer(t, t.TempDir(), append(args, "--query.max-samples", "2000000")...)
		s.start(t)
		s.waitReady(t)
		if err := writePage(t.Context(), s, body); err != nil {
			t.Fatal(err)
		}
		return s
	}
	explored, listed, doomed, damaged := serve(), serve(), serve(), serve("--query.max-concurrency", "1")
	keepWriting(t, explored, begin)
	stopWriting := keepWriting(t, listed, begin)
	damage(t, damaged)
	guarded, _ := guardedServer(t)
	scraping := scrapingServer(t)
	// A sample that is refused, for the views that show it.
	for _, s := range []*server{explored, listed} {
		resp, err := http.Post(s.url()+"/api/v1/import/prometheus", "text/plain", strings.NewReader("jobs_total{queue=\"mail\"} many\n"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	script := func(t *testing.T, view string, s *server) {
		cmd := exec.CommandContext(ctx, node, filepath.Join(web, "test", view+".mjs"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		cmd.Env = append(os.Environ(), "CHROMIUM="+chromium, "SHOTS="+shots, "URL="+s.url(),
			"DOOMED="+doomed.url(), "DOOMED_PID="+strconv.Itoa(doomed.cmd.Process.Pid), "GUARDED="+guarded.url(), "SCRAPING="+scraping.url(), "DAMAGED="+damaged.url(), "DAMAGED_PID="+strconv.Itoa(damaged.cmd.Process.Pid))
		out, err := cmd.CombinedOutput()
		t.Logf("%s:\n%s", view, out)
		if err != nil {
			t.Errorf("the script of %s: %v", view, err)
		}
	}
	// Beside each other, each against a server of its own: a script mostly waits for its browser.
	var scripts sync.WaitGroup
	scripts.Go(func() {
		for _, view := range []string{"explore", "late"} {
			t.Run(view, func(t *testing.T) { script(t, view, explored) })
		}
	})
	scripts.Go(func() {
		for _, view := range []string{"metrics", "health", "targets", "states"} {
			t.Run(view, func(t *testing.T) { script(t, view, listed) })
		}
		t.Run("cardinality", func(t *testing.T) {
			// The days are counted when the server has started. The script deletes a metric.
			stopWriting()
			listed.noPanic(t)
			listed.stop(t)
			listed.start(t)
			listed.waitReady(t)
			script(t, "cardinality", listed)
			listed.noPanic(t)
			listed.stop(t)
		})
	})
	scripts.Wait()
	explored.noPanic(t)
}

// damage cuts the end off the block of what the server holds, and writes a sample of now
// beside it.
func damage(t *testing.T, s *server) {
	t.Helper()
	s.stop(t)
	blocks, err := filepath.Glob(filepath.Join(s.dir, "l0", "*.tsb"))
	if err != nil || len(blocks) != 1 {
		t.Fatalf("blocks %q, %v; want one", blocks, err)
	}
	if err := os.Truncate(blocks[0], 1000); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	s.waitReady(t)
	resp, err := http.Post(s.url()+"/api/v1/import/prometheus", "text/plain", strings.NewReader("node_load1{instance=\"web-0:9100\"} 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.unchecked = false // it stays damaged
}

// scrapingServer starts a server that scrapes: of the pool fixed one target is up and one
// is dropped, that of the pool gone does not answer.
func scrapingServer(t *testing.T) *server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tsdb.yml")
	writeFile(t, file, fmt.Sprintf(`global:
  scrape_interval: 1s
scrape_configs:
  - job_name: fixed
    metrics_path: /text
    static_configs:
      - {targets: ['%s']}
      - {targets: ['unused:1'], labels: {env: 'off'}}
    relabel_configs:
      - {source_labels: [env], regex: 'off', action: drop}
  - job_name: gone
    static_configs: [{targets: ['%s']}]
`, strings.TrimPrefix(startFixed(t).URL, "http://"), loopback.FreeAddr(t)))
	s := newServer(t, t.TempDir(), "--config", file)
	s.start(t)
	s.waitReady(t)
	return s
}

// writePage sends a request of pageData.
func writePage(ctx context.Context, s *server, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url()+"/api/v1/write", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}, "X-Prometheus-Remote-Write-Version": {"0.1.0"}}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("write: %s", resp.Status)
	}
	return nil
}

// keepWriting goes on with the samples of pageData until the function that it returns is
// called, as senders do: on a busy machine the scripts take longer than the lookback, after
// which a series without samples has no value.
func keepWriting(t *testing.T, s *server, begin time.Time) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(pageStep)
		defer tick.Stop()
		for next := pageHour + 1; ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			end := int(time.Since(begin)/pageStep) + 1
			if err := writePage(ctx, s, pageData(t, begin, next, end)); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			next = max(next, end)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

const (
	pageStep = 15 * time.Second
	pageHour = 240 // steps of an hour
)

// pageData returns a remote-write request with the samples from number first up to end, of
// which number 0 lies at begin: CPU seconds by mode, a load, a thousand queues, a classic
// and a native histogram.
func pageData(t *testing.T, begin time.Time, first, end int) []byte {
	t.Helper()
	at := func(i int) int64 { return begin.Add(time.Duration(i) * pageStep).UnixMilli() }
	series := func(value func(i int) float64, ls ...string) prompb.TimeSeries {
		var s prompb.TimeSeries
		for i := 0; i < len(ls); i += 2 {
			s.Labels = append(s.Labels, prompb.Label{Name: ls[i], Value: ls[i+1]})
		}
		for i := 0; value != nil && i < end; i++ {
			if v := value(i); i >= first { // counters add up from the first
				s.Samples = append(s.Samples, prompb.Sample{Timestamp: at(i), Value: v})
			}
		}
		return s
	}
	wave := func(i int, phase float64) float64 { return math.Sin(float64(i)/30 + phase) }
	var req prompb.WriteRequest
	for c := range 2 {
		for m, mode := range []string{"idle", "iowait", "system", "user"} {
			share := []float64{0.6, 0.05, 0.1, 0.25}[m]
			v := 0.0
			req.Timeseries = append(req.Timeseries, series(func(i int) float64 {
				v += 15 * share * (1 + 0.3*wave(i, float64(m)))
				return v
			}, "__name__", "node_cpu_seconds_total", "cpu", strconv.Itoa(c), "instance", "web-0:9100", "job", "node", "mode", mode))
		}
		req.Timeseries = append(req.Timeseries, series(func(i int) float64 { return 2 + wave(i, float64(c)) },
			"__name__", "node_load1", "instance", fmt.Sprintf("web-%d:9100", c), "job", "node"))
	}
	for i, le := range []string{"+Inf", "0.01", "0.05", "0.1", "0.5", "1"} {
		share := []float64{1, 0.1, 0.4, 0.7, 0.95, 0.99}[i]
		req.Timeseries = append(req.Timeseries, series(func(i int) float64 { return math.Floor(float64(i) * 100 * share) },
			"__name__", "http_request_duration_seconds_bucket", "job", "web", "le", le))
	}
	// Labels may hold anything, and names too.
	req.Timeseries = append(req.Timeseries, series(func(i int) float64 { return wave(i, 0) },
		"__name__", "odd name", "text", `<img src=x onerror="document.title=1">&"'é🙂`))
	native := series(nil, "__name__", "rpc_seconds", "job", "web")
	for i, h := range tsdbutil.GenerateTestHistograms(end) {
		if i >= first {
			native.Histograms = append(native.Histograms, prompb.FromIntHistogram(at(i), h))
		}
	}
	req.Timeseries = append(req.Timeseries, native)
	for q := range 1000 {
		req.Timeseries = append(req.Timeseries, series(func(i int) float64 { return float64(q%97) + 5*wave(i, float64(q)) },
			"__name__", "queue_length", "shard", fmt.Sprintf("s%03d", q)))
	}
	req.Metadata = []prompb.MetricMetadata{{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "node_cpu_seconds_total", Help: "Seconds the CPUs spent in each mode.", Unit: "seconds"}}
	b, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, b)
}
