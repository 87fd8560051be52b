package e2e

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"

	"tsdb/internal/loopback"
)

// Another server is read by remote read, a real Prometheus and this program: what arrives
// in a directory and in a running server answers as the source does, native histograms
// included. Given again, only what has come since is read.
func TestOtherServersAreReadRemotely(t *testing.T) {
	t.Parallel()
	client := newHTTPClient(t)
	source := startPrometheus(t, "prometheus-3.14", loopback.FreeAddr(t), "global: {}\n", "--web.enable-remote-write-receiver")
	end := time.Now().Truncate(time.Second)
	r, err := send(t.Context(), client, source.url+"/api/v1/write", s2.EncodeSnappy(nil, remoteReadData(t, end)), http.Header{
		"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}, "X-Prometheus-Remote-Write-Version": {"0.1.0"},
	})
	if err != nil || !r.acknowledged() {
		t.Fatalf("write: %v %+v", err, r)
	}
	running := newServer(t, t.TempDir())
	running.start(t)
	running.waitReady(t)
	state := filepath.Join(t.TempDir(), "state.json")
	from, to := seconds(end.Add(-2*time.Hour)), seconds(end.Add(time.Hour))
	args := []string{"import", "remote-read", "--from", source.url, "--to", running.url(), "--start", from, "--end", to, "--state", state}
	if out := runTSDB(t, args...); strings.Contains(out, "refused") || strings.Contains(out, " 0 samples read") {
		t.Errorf("import into a running server:\n%s", out)
	}
	if again := runTSDB(t, args...); !strings.Contains(again, "0 samples read") {
		t.Errorf("a second import reads again:\n%s", again)
	}
	rest := newServer(t, filepath.Join(t.TempDir(), "imported"))
	runTSDB(t, "import", "remote-read", running.url(), "--to", rest.dir, "--start", from, "--match", "requests_total", "--match", "latency")
	rest.check(t)
	rest.start(t)
	rest.waitReady(t)
	span := url.Values{"start": {seconds(end.Add(-time.Hour))}, "end": {seconds(end)}, "step": {"30"}}
	for _, s := range []*server{running, rest} {
		for _, q := range append(remoteReadQueries, "requests_total[1h]", "latency[1h]") {
			if s == rest && strings.Contains(q, "__name__") {
				continue // it has two metrics only
			}
			span.Set("query", q)
			if !strings.HasSuffix(q, "]") {
				sameAnswer(t, client, s.url(), source.url, "/api/v1/query_range", span)
			}
			sameAnswer(t, client, s.url(), source.url, "/api/v1/query", url.Values{"query": {q}, "time": {seconds(end)}})
		}
		s.stop(t)
		s.noPanic(t)
		s.check(t)
	}
}
