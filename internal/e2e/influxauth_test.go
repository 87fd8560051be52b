package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"tsdb/internal/await"
)

// guardedServer returns a server with the only user ann, password "sea salt", and its
// address with her name in it.
func guardedServer(t *testing.T) (s *server, own string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("sea salt"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "web.yml")
	writeFile(t, file, "basic_auth_users:\n  ann: "+string(hash)+"\n")
	s = newServer(t, t.TempDir(), "--web.config.file", file)
	s.start(t)
	own = "http://ann:sea%20salt@" + s.addr
	s.waitHTTP(t, own+"/-/ready", readyLimit)
	return s, own
}

func TestInfluxCommandLineLogsIn(t *testing.T) {
	t.Parallel()
	influx := findProgram(t, "influx")
	client := newHTTPClient(t)
	s, own := guardedServer(t)
	port := s.addr[len("127.0.0.1:"):]
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	insert := func(password, city string) (int, string) {
		return runProgram(t, influx, "-host", "127.0.0.1", "-port", port, "-username", "ann", "-password", password, "-database", "weather",
			"-execute", fmt.Sprintf("INSERT air,city=%s temperature=11.25 %d", city, at.UnixNano()))
	}
	if code, out := insert("sea salt", "Bergen"); code != 0 {
		t.Errorf("the right password: exit code %d\n%s", code, out)
	}
	if code, out := insert("sea sand", "Oslo"); !strings.Contains(out, "authorization failed") {
		t.Errorf("a wrong password: exit code %d, which is 0 of influx itself\n%s", code, out)
	}
	rows := queryVector(t, client, own, `air_temperature`, at)
	if len(rows) != 1 || rows[0].Metric["city"] != "Bergen" || rows[0].Value.v != 11.25 {
		t.Errorf("what was written: %v", rows)
	}
	if resp, err := client.Get(s.url() + "/api/v1/query?query=1"); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a password: %v, %v", resp, err)
	}
	s.stop(t)
}

func TestTelegrafLogsIn(t *testing.T) {
	telegraf := findProgram(t, "telegraf")
	for snippet, login := range map[string]func(password string) (old, new string){
		"telegraf-influxdb": func(password string) (old, new string) {
			return "database =", "username = \"ann\"\n  password = \"" + password + "\"\n  database ="
		},
		"telegraf-influxdb-v2": func(password string) (old, new string) { return `"any"`, `"` + password + `"` },
	} {
		t.Run(snippet, func(t *testing.T) {
			t.Parallel()
			client := newHTTPClient(t)
			s, own := guardedServer(t)
			at := time.Now().Add(-time.Hour).Truncate(time.Second)
			start := func(city, password string) *process {
				dir := t.TempDir()
				writeFile(t, filepath.Join(dir, "lines"), fmt.Sprintf("air,city=%s temperature=11.25 %d\n", city, at.UnixNano()))
				config := filepath.Join(dir, "telegraf.conf")
				old, login := login(password)
				writeFile(t, config, "[agent]\n  interval = \"1s\"\n  flush_interval = \"1s\"\n[[inputs.file]]\n  files = [\""+filepath.Join(dir, "lines")+"\"]\n  data_format = \"influx\"\n"+
					strings.Replace(readmeSnippet(t, snippet, s.addr), old, login, 1))
				return startProcess(t, "telegraf", telegraf, "--config", config)
			}
			wrong := start("Oslo", "sea sand")
			right := start("Bergen", "sea salt")
			wrong.waitLog(t, "401", "authorization failed")
			if !await.Within(t.Context(), readyLimit, func() bool { return len(queryVector(t, client, own, `air_temperature`, at)) == 1 }) {
				t.Fatalf("no sample has arrived with the right password within %s:\n%s", readyLimit, right.log.tail(20))
			}
			if rows := queryVector(t, client, own, `air_temperature`, at); len(rows) != 1 || rows[0].Metric["city"] != "Bergen" {
				t.Errorf("what was written: %v", rows)
			}
			if right.log.contains(" E! ") {
				t.Errorf("Telegraf complains:\n%s", right.log.tail(20))
			}
			s.stop(t)
		})
	}
}
