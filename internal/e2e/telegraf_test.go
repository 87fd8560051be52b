package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"tsdb/internal/await"
)

// Telegraf's own plug-ins measure the machine, and its file plug-in reads lines with
// known values.
func TestTelegrafWrites(t *testing.T) {
	telegraf := findProgram(t, "telegraf")
	for _, snippet := range []string{"telegraf-influxdb", "telegraf-influxdb-v2"} {
		t.Run(snippet, func(t *testing.T) {
			t.Parallel()
			client := newHTTPClient(t)
			s := newServer(t, t.TempDir())
			s.start(t)
			s.waitReady(t)

			at := time.Now().Add(-time.Hour).Truncate(time.Second)
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "lines"), fmt.Sprintf(
				"known,site=north\\ sea,unit=m\\,s depth=21.5,count=42i,big=9007199254740993i,tiny=-2.5e-310,wet=true,note=\"not a number\" %d\n"+
					"known,site=alps height=4810i,wet=false %d\n", at.UnixNano(), at.UnixNano()))
			config := filepath.Join(dir, "telegraf.conf")
			writeFile(t, config, "[agent]\n  interval = \"1s\"\n  flush_interval = \"1s\"\n  hostname = \"here\"\n"+
				"[[inputs.cpu]]\n[[inputs.mem]]\n[[inputs.file]]\n  files = [\""+filepath.Join(dir, "lines")+"\"]\n  data_format = \"influx\"\n"+
				readmeSnippet(t, snippet, s.addr))
			agent := startProcess(t, "telegraf", telegraf, "--config", config)

			known := map[string]float64{
				`known_depth{site="north sea",unit="m,s"}`:            21.5,
				`known_count{site="north sea"}`:                       42,
				`known_big{site="north sea"}`:                         9007199254740992,
				`known_tiny{site="north sea"}`:                        -2.5e-310,
				`known_wet{site="north sea"}`:                         1,
				`known_wet{site="alps"}`:                              0,
				`known_height{site="alps",host="here",db="telegraf"}`: 4810,
			}
			var measured, free int
			if !await.Within(t.Context(), readyLimit, func() bool {
				measured = len(queryVector(t, client, s.url(), `count_over_time(cpu_usage_idle{db="telegraf",host="here",cpu="cpu-total"}[1m]) >= 3`, time.Now()))
				free = len(queryVector(t, client, s.url(), `mem_available{db="telegraf",host="here"} > 0`, time.Now()))
				return measured == 1 && free == 1 && len(queryVector(t, client, s.url(), `{__name__=~"known_.+"}`, at)) == len(known)
			}) {
				t.Fatalf("Telegraf's samples have not arrived within %s: %d of cpu, %d of mem\n%s", readyLimit, measured, free, agent.log.tail(20))
			}
			for selector, want := range known {
				rows := queryVector(t, client, s.url(), selector, at)
				if len(rows) != 1 || rows[0].Value.v != want {
					t.Errorf("%s = %v, want %v", selector, rows, want)
				}
			}
			if rows := queryVector(t, client, s.url(), `{__name__=~"known_note.*"}`, at); len(rows) > 0 {
				t.Errorf("a string became a sample: %v", rows)
			}
			for _, sign := range []string{" E! ", " W! [outputs"} {
				if agent.log.contains(sign) {
					t.Errorf("Telegraf complains:\n%s", agent.log.tail(20))
				}
			}
			s.stop(t)
			s.check(t)
		})
	}
}

// The influx command line sends a leading space with INSERT, which the line protocol
// does not allow.
func TestInfluxCommandLineInserts(t *testing.T) {
	t.Parallel()
	influx := findProgram(t, "influx")
	client := newHTTPClient(t)
	s := newServer(t, t.TempDir())
	s.start(t)
	s.waitReady(t)
	port := s.addr[len("127.0.0.1:"):]
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	for _, statement := range []string{
		"CREATE DATABASE weather",
		fmt.Sprintf("INSERT air,city=Bergen temperature=11.25,rain=true,drops=7i %d", at.UnixNano()),
	} {
		if code, out := runProgram(t, influx, "-host", "127.0.0.1", "-port", port, "-database", "weather", "-execute", statement); code != 0 {
			t.Fatalf("%s: exit code %d:\n%s", statement, code, out)
		}
	}
	for selector, want := range map[string]float64{
		`air_temperature{city="Bergen",db="weather"}`: 11.25,
		`air_rain{city="Bergen",db="weather"}`:        1,
		`air_drops{city="Bergen",db="weather"}`:       7,
	} {
		rows := queryVector(t, client, s.url(), selector, at)
		if len(rows) != 1 || rows[0].Value.v != want {
			t.Errorf("%s = %v, want %v", selector, rows, want)
		}
	}
	s.stop(t)
	http.DefaultClient.CloseIdleConnections()
}
