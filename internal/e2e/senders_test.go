package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tsdb/internal/await"
	"tsdb/internal/loopback"
)

// Telegraf's outputs for OpenTSDB, DataDog and Graphite write known values side by side.
func TestTelegrafWritesOtherProtocols(t *testing.T) {
	t.Parallel()
	telegraf := findProgram(t, "telegraf")
	graphite := loopback.FreeAddr(t)
	s := newServer(t, t.TempDir(), "--graphite.tcp", graphite)
	s.start(t)
	s.waitReady(t)
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "lines"), fmt.Sprintf("known,site=alps,unit=m depth=21.5,count=42i,big=9007199254740993i,tiny=-2.5e-10 %d\n", at.UnixNano()))
	config := filepath.Join(dir, "telegraf.conf")
	writeFile(t, config, fmt.Sprintf(`[agent]
  interval = "1s"
  flush_interval = "1s"
  hostname = "here"
[[inputs.file]]
  files = [%q]
  data_format = "influx"
[[outputs.opentsdb]]
  host = "http://127.0.0.1"
  port = %s
  prefix = "tsd."
[[outputs.datadog]]
  apikey = "unused"
  url = "%s/api/v1/series"
  compression = "zlib"
[[outputs.graphite]]
  servers = [%q]
  prefix = "g"
  graphite_tag_support = true
`, filepath.Join(dir, "lines"), port, s.url(), graphite))
	agent := startProcess(t, "telegraf", telegraf, "--config", config)
	known := map[string]float64{}
	for field, v := range map[string]float64{"depth": 21.5, "count": 42, "big": 9007199254740992, "tiny": -2.5e-10} {
		for _, name := range []string{"tsd.known_" + field, "known." + field, "g.known." + field} {
			known[fmt.Sprintf(`{%q,host="here",site="alps",unit="m"}`, name)] = v
		}
	}
	expectVectors(t, s, known, at, func() string { return agent.log.tail(20) })
	if agent.log.contains(" E! ") {
		t.Errorf("Telegraf complains:\n%s", agent.log.tail(20))
	}
	s.stop(t)
	s.check(t)
}

// expectVectors waits until each selector gives one sample with its value.
func expectVectors(t *testing.T, s *server, want map[string]float64, at time.Time, log func() string) {
	t.Helper()
	client := newHTTPClient(t)
	for selector, v := range want {
		var rows []vectorSample
		if !await.Within(t.Context(), readyLimit, func() bool {
			rows = queryVector(t, client, s.url(), selector, at)
			return len(rows) == 1
		}) || rows[0].Value.v != v {
			t.Errorf("%s = %v, want %v\n%s", selector, rows, v, log())
		}
	}
}

// Scripts send lines to Graphite's port over TCP and in datagrams.
func TestScriptsSendGraphiteLines(t *testing.T) {
	t.Parallel()
	python := findProgram(t, "python3")
	tcp, udp := loopback.FreeAddr(t), loopback.FreeAddr(t)
	s := newServer(t, t.TempDir(), "--graphite.tcp", tcp, "--graphite.udp", udp, "--ingest.names", "underscores")
	s.start(t)
	s.waitReady(t)
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	const script = `
import socket, sys
host, port = sys.argv[2].rsplit(":", 1)
if sys.argv[1] == "tcp":
    s = socket.create_connection((host, int(port)))
    s.sendall(sys.argv[3].encode())
else:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(sys.argv[3].encode(), (host, int(port)))
s.close()
`
	for _, args := range [][]string{
		{"tcp", tcp, fmt.Sprintf("servers.db1.cpu-idle 98.5 %d\nservers.db1.load;dc=eu -1e3 %d\n", at.Unix(), at.Unix())},
		{"udp", udp, fmt.Sprintf("servers.db2.cpu 7 %d\nservers.db2.last 8 %d", at.Unix(), at.Unix())},
	} {
		if code, out := runProgram(t, python, append([]string{"-c", script}, args...)...); code != 0 {
			t.Fatalf("exit code %d: %s", code, out)
		}
	}
	expectVectors(t, s, map[string]float64{
		`servers_db1_cpu_idle`: 98.5, `servers_db1_load{dc="eu"}`: -1000, `servers_db2_cpu`: 7, `servers_db2_last`: 8,
	}, at, func() string { return s.log.tail(20) })
	s.stop(t)
	s.check(t)
}

// promtool pushes the samples of a file by remote write.
func TestPromtoolPushesMetrics(t *testing.T) {
	t.Parallel()
	promtool := findProgram(t, "promtool-3.14")
	s := newServer(t, t.TempDir())
	s.start(t)
	s.waitReady(t)
	file := filepath.Join(t.TempDir(), "metrics")
	writeFile(t, file, "# TYPE backup_bytes gauge\nbackup_bytes{disk=\"b\"} 1024.5\nbackup_runs_total 17\n")
	if code, out := runProgram(t, promtool, "push", "metrics", "--label", "job=night", s.url(), file); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	expectVectors(t, s, map[string]float64{`backup_bytes{disk="b",job="night"}`: 1024.5, `backup_runs_total{job="night"}`: 17}, time.Now(), func() string { return s.log.tail(20) })
	s.stop(t)
	s.check(t)
}

// DataDog's library for Python writes points of every type, and shows why one is refused.
func TestDataDogLibraryWrites(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3" // Debian's, which has python3-requests
	packages := filepath.Join(testBin(), "python")
	if _, err := os.Stat(filepath.Join(packages, "datadog")); err != nil || !isExecutable(python) {
		missing(t, "DataDog's library for Python is not installed (make test-deps does it)")
	}
	s := newServer(t, t.TempDir())
	s.start(t)
	s.waitReady(t)
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	code, out := runProgram(t, "/usr/bin/env", "PYTHONPATH="+packages, python, filepath.Join("testdata", "datadog-python", "send.py"), s.url(), strconv.FormatInt(at.Unix(), 10))
	var answers []struct{ Status, Refused string }
	if err := json.Unmarshal([]byte(out), &answers); err != nil || code != 0 || len(answers) != 3 {
		t.Fatalf("exit code %d: %v\n%s", code, err, out)
	}
	if answers[0].Status != "ok" || answers[1].Status != "ok" || !strings.Contains(answers[2].Refused, "too old sample: 1970-01-01T00:00:05") {
		t.Errorf("answers: %+v", answers)
	}
	want := map[string]float64{
		`{"py.load",env="prod",host="db1"}`:     0.75,
		`{"py.requests",env="prod",host="db1"}`: 17,
		`{"py.café",device="sda",host="db2"}`:   -2.5e-7,
		`{"py.queue",env="test",queue="mail"}`:  42,
		`{"py.hits",env="test"}`:                3,
		`count({__name__=~"py[.].+"})`:          5,
		`count_over_time({"py.load"}[1m])`:      2,
	}
	expectVectors(t, s, want, at, func() string { return s.log.tail(20) })
	s.stop(t)
	s.check(t)
}
