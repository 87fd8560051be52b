package e2e

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tsdb/internal/await"
	"tsdb/internal/loopback"
)

// OpenTelemetry's SDKs for Go and JavaScript send counters, gauges and histograms over
// HTTP, in protobuf and JSON, and over gRPC. All of it is stored.
func TestOTLPFromSDKs(t *testing.T) {
	t.Parallel()
	clients := map[string][]string{}
	for _, protocol := range []string{"http", "grpc"} {
		clients["go-"+protocol] = []string{findProgram(t, "otel-go"), protocol}
	}
	js, err := filepath.Abs(filepath.Join("testdata", "otel-js"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(js, "node_modules")); err != nil {
		missing(t, "the packages of "+js+" are not installed (make test-deps does it)")
	}
	for _, protocol := range []string{"json", "proto", "grpc"} {
		clients["js-"+protocol] = []string{findProgram(t, "node"), filepath.Join(js, "send.mjs"), protocol}
	}
	client := newHTTPClient(t)
	rpc := loopback.FreeAddr(t)
	s := newServer(t, t.TempDir(), "--grpc", rpc)
	s.start(t)
	s.waitReady(t)
	for name, command := range clients {
		address := s.addr
		if strings.HasSuffix(name, "grpc") {
			address = rpc
		}
		if code, out := runProgram(t, command[0], append(command[1:], address)...); code != 0 || !strings.Contains(out, "sent") {
			t.Errorf("%s ends with %d:\n%s", name, code, out)
		}
	}
	end := time.Now().Add(time.Minute)
	for name := range clients {
		for query, want := range map[string]string{
			`sum(last_over_time(orders_total{order_state="paid",instance="1",job=%q}[5m]))`: "7",
			`sum(last_over_time(queue_load_ratio{job=%q}[5m]))`:                             "0.5",
			`sum(last_over_time(request_duration_seconds_bucket{le="1",job=%q}[5m]))`:       "3",
			`sum(last_over_time(request_duration_seconds_bucket{le="+Inf",job=%q}[5m]))`:    "4",
			`sum(histogram_count(last_over_time(payload_size_bytes{job=%q}[5m])))`:          "4",
			`sum(histogram_sum(last_over_time(payload_size_bytes{job=%q}[5m])))`:            "6150",
			`max(last_over_time(target_info{host_name="h",job=%q}[5m]))`:                    "1",
		} {
			q := fmt.Sprintf(query, name)
			if v := queryVector(t, client, s.url(), q, end); len(v) != 1 || fmt.Sprint(v[0].Value.v) != want {
				t.Errorf("%s = %v, want %s", q, v, want)
			}
		}
	}
	await.That(t, "metadata are there", func() bool {
		a := mustAsk(t, client, s.url(), "/api/v1/metadata", url.Values{"metric": {"orders_total"}})
		return strings.Contains(string(a.Data), "Orders taken.")
	})
	s.noPanic(t)
}
