package e2e

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tsdb/internal/loopback"
)

// grpcServer is a server with a known gRPC port.
func grpcServer(t *testing.T) (*server, string) {
	t.Helper()
	addr := loopback.FreeAddr(t)
	s := newServer(t, t.TempDir(), "--grpc", addr)
	s.start(t)
	s.waitReady(t)
	return s, addr
}

// The example client, built like a user's program, writes and queries.
func TestExampleClientWritesAndQueries(t *testing.T) {
	t.Parallel()
	s, addr := grpcServer(t)
	bin := filepath.Join(t.TempDir(), "example")
	if out, err := exec.Command("go", "build", "-o", bin, "tsdb/proto/example").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	code, out := runProgram(t, bin, "-addr", addr)
	for _, want := range []string{
		"request 1 is on disk: 41 samples\nrequest 2 is on disk: 41 samples\n", `{room="cellar"} `, `{room="kitchen"} `, "2 series, 22 points, ",
	} {
		if code != 0 || !strings.Contains(out, want) {
			t.Fatalf("exit %d, want %q:\n%s", code, want, out)
		}
	}
	// Samples written by gRPC are visible to other clients.
	v := queryVector(t, newHTTPClient(t), s.url(), `sum(count_over_time(example_temperature_celsius[15m]))`, time.Now())
	if len(v) != 1 || v[0].Value.v != 82 {
		t.Errorf("over HTTP: %v", v)
	}
	if code, out := runProgram(t, bin, "-addr", addr, "-query", "avg("); code != 1 || !strings.Contains(out, "InvalidArgument") || !strings.Contains(out, "parse error") {
		t.Errorf("a bad expression: %d %s", code, out)
	}
	s.stop(t)
	s.noPanic(t)
	s.check(t)
}

// grpcurl, which knows only the reflection service, can call every method.
func TestGrpcurlUsesEveryMethod(t *testing.T) {
	t.Parallel()
	grpcurl := findProgram(t, "grpcurl")
	s, addr := grpcServer(t)
	call := func(method, data string) string {
		t.Helper()
		code, out := runProgram(t, grpcurl, "-plaintext", "-d", data, addr, method)
		if code != 0 {
			t.Errorf("%s %s: exit %d\n%s", method, data, code, out)
		}
		return strings.Join(strings.Fields(out), " ")
	}
	want := func(got string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(got, part) {
				t.Errorf("no %q in\n%s", part, got)
			}
		}
	}
	_, services := runProgram(t, grpcurl, "-plaintext", addr, "list")
	want(services, "tsdb.v1.Admin\n", "tsdb.v1.Query\n", "tsdb.v1.Write\n", "grpc.health.v1.Health\n", "grpc.reflection.v1.ServerReflection\n", "grpc.reflection.v1alpha.ServerReflection\n")
	for _, service := range []string{"", "tsdb.v1.Admin", "tsdb.v1.Query", "tsdb.v1.Write"} {
		want(call("grpc.health.v1.Health/Check", fmt.Sprintf(`{"service":%q}`, service)), `"SERVING"`)
	}
	now := time.Now().UnixMilli()
	want(call("tsdb.v1.Write/Write", fmt.Sprintf(`
		{"sequence":1,"series":[{"labels":[{"name":"__name__","value":"m"},{"name":"a","value":"b"}],"timesMs":[%d,%d],"values":[1.5,"NaN"]}]}
		{"sequence":2,"series":[{"labels":[{"name":"a","value":"b"}],"timesMs":[%d],"values":[1]}]}`, now-1000, now, now)),
		`"sequence": "1", "floats": "2"`, `"sequence": "2", "rejected": [ { "reason": "no_name", "count": "1"`)
	want(call("tsdb.v1.Query/Query", fmt.Sprintf(`{"query":"m","timeMs":%d}`, now-500)), `RESULT_TYPE_VECTOR`, `"value": "b"`, `"values": [ 1.5 ]`, `"end"`)
	want(call("tsdb.v1.Query/QueryRange", fmt.Sprintf(`{"query":"m+1","startMs":%d,"endMs":%d,"stepMs":1000}`, now-1000, now)), `RESULT_TYPE_MATRIX`, `2.5, "NaN"`)
	want(call("tsdb.v1.Query/Series", fmt.Sprintf(`{"selectors":["m"],"startMs":0,"endMs":%d}`, now)), `"value": "m"`, `1.5, "NaN"`, `"samples": "2"`)
	want(call("tsdb.v1.Query/LabelNames", `{}`), `"__name__", "a"`)
	want(call("tsdb.v1.Query/LabelValues", `{"name":"a"}`), `"b"`)
	want(call("tsdb.v1.Admin/DeleteSeries", `{"selectors":["m"],"dryRun":true}`), `"series": "1"`, `"samples": "2"`, `"tier": "head"`)
	want(call("tsdb.v1.Query/Explain", `{"query":"rate(m[5m])"}`), `"series": "1"`, `"samples": "2"`)
	if code, out := runProgram(t, grpcurl, "-plaintext", "-d", `{"query":"m{"}`, addr, "tsdb.v1.Query/Query"); code == 0 || !strings.Contains(out, "InvalidArgument") {
		t.Errorf("a bad query: %d %s", code, out)
	}

	// Counted by method, and by the door's reason.
	resp, err := newHTTPClient(t).Get(s.url() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	exposed, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	want(string(exposed), `tsdb_rejected_samples_total{door="grpc",reason="no_name"} 1`+"\n",
		`tsdb_grpc_requests_total{code="InvalidArgument",method="/tsdb.v1.Query/Query"} 1`+"\n")
	s.stop(t)
	s.noPanic(t)
}
