package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tsdb/internal/await"
	"tsdb/internal/loopback"
)

// An OpenTelemetry collector forwards what it receives over HTTP with gzip, as the README
// configures it, and over gRPC with zstd. What it is sent while the server is down it sends
// again.
func TestOTLPThroughACollector(t *testing.T) {
	t.Parallel()
	collector, sdk := findProgram(t, "otelcol"), findProgram(t, "otel-go")
	client := newHTTPClient(t)
	rpc := loopback.FreeAddr(t)
	s := newServer(t, t.TempDir(), "--grpc", rpc)

	dir := t.TempDir()
	readme, own := filepath.Join(dir, "readme.yml"), filepath.Join(dir, "own.yml")
	writeFile(t, readme, readmeSnippet(t, "otel-collector", s.addr))
	in := map[string]string{"http": loopback.FreeAddr(t), "grpc": loopback.FreeAddr(t)}
	retry := "retry_on_failure: {initial_interval: 100ms, max_interval: 1s}"
	writeFile(t, own, fmt.Sprintf(`
receivers:
  otlp: {protocols: {http: {endpoint: %q}}}
  otlp/2: {protocols: {grpc: {endpoint: %q}}}
exporters:
  otlphttp: {%s}
  otlp: {endpoint: %q, tls: {insecure: true}, compression: zstd, %s}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics/grpc: {receivers: [otlp/2], exporters: [otlp]}
`, in["http"], in["grpc"], retry, rpc, retry))
	p := startProcess(t, "otelcol", collector, "--config", readme, "--config", own)
	await.That(t, "the collector is ready", func() bool {
		if !p.running() {
			t.Fatalf("the collector ended: %v\n%s", p.err, p.log.tail(20))
		}
		return p.log.contains("Everything is ready")
	})
	for protocol, address := range in {
		if code, out := runProgram(t, sdk, protocol, address); code != 0 || !strings.Contains(out, "sent") {
			t.Fatalf("%s: the client ends with %d:\n%s", protocol, code, out)
		}
	}
	await.That(t, "the collector has failed once", func() bool { return p.log.count("Exporting failed. Will retry") >= 2 })
	s.start(t)
	s.waitReady(t)
	for protocol := range in {
		for query, want := range map[string]string{
			`sum(last_over_time(orders_total{order_state="paid",job="go-%s"}[10m]))`:   "7",
			`sum(histogram_sum(last_over_time(payload_size_bytes{job="go-%s"}[10m])))`: "6150",
		} {
			q, got := fmt.Sprintf(query, protocol), ""
			if !await.Within(t.Context(), readyLimit, func() bool {
				if v := queryVector(t, client, s.url(), q, time.Now().Add(time.Minute)); len(v) == 1 {
					got = fmt.Sprint(v[0].Value.v)
				}
				return got == want
			}) {
				t.Errorf("%s = %s, want %s\n%s", q, got, want, p.log.tail(20))
			}
		}
	}
	s.noPanic(t)
}
