package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tsdb/internal/await"
	"tsdb/internal/doctortest"
	"tsdb/internal/vfs"
	"tsdb/storage"
	"tsdb/storage/doctor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startService runs a server in this process and returns functions to query and
// to stop it.
func startService(t *testing.T, args ...string) (s *service, client *http.Client, stop func() error) {
	t.Helper()
	args = append([]string{"--data", filepath.Join(t.TempDir(), "data"), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"}, args...)
	c, err := loadConfig(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s, err = newService(c, slog.New(slog.DiscardHandler), 2)
	if err != nil {
		t.Fatal(err)
	}
	doctortest.Opened(t, vfs.OS, s.dataDir)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	transport := &http.Transport{}
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		transport.CloseIdleConnections()
		cancel()
		return <-done
	}
	t.Cleanup(func() { _ = stop() })
	return s, &http.Client{Transport: transport}, stop
}

// get returns the status code and body of a response.
func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// A new server has its own metrics to show.
func TestFreshServerShowsItself(t *testing.T) {
	s, client, stop := startService(t, "--self-scrape.interval", "1s")
	base := strings.TrimSuffix(s.url(), "/")
	await.That(t, "ready", func() bool { code, _ := get(t, client, base+"/-/ready"); return code == 200 })
	var scraped string // the time of an answer with a sample
	await.That(t, "the first self-scrape", func() bool {
		scraped = strconv.FormatInt(time.Now().Unix(), 10)
		_, body := get(t, client, base+`/api/v1/query?query=up{job="tsdb"}&time=`+scraped)
		return strings.Contains(body, `"1"]`)
	})
	await.That(t, "a target that is up", func() bool {
		_, body := get(t, client, base+"/api/v1/targets")
		return strings.Contains(body, `"health":"up"`) && strings.Contains(body, s.instance())
	})
	var flags struct{ Data map[string]string }
	_, body := get(t, client, base+"/api/v1/status/flags")
	if err := json.Unmarshal([]byte(body), &flags); err != nil || flags.Data["self-scrape.interval"] != "1s" {
		t.Errorf("flags: %v, %s", err, body)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	r, err := doctor.Check(t.Context(), vfs.OS, s.dataDir)
	if err != nil || len(r.Damage) > 0 {
		t.Errorf("check: %+v, %v", r, err)
	}
	// After a restart the samples are still there, in a block or in the log if
	// the machine had no time for the cut.
	s, client, _ = startService(t, "--data", s.dataDir, "--self-scrape.interval", "1h")
	base = strings.TrimSuffix(s.url(), "/")
	await.That(t, "ready again", func() bool { code, _ := get(t, client, base+"/-/ready"); return code == 200 })
	if _, body := get(t, client, base+`/api/v1/query?query=up{job="tsdb"}&time=`+scraped); !strings.Contains(body, `"1"]`) {
		t.Errorf("after a restart: %s", body)
	}
}

func TestWebConfigAsksForThePassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	content := "basic_auth_users:\n  ann: $2a$04$k37PL7pCVlJ5LoJIGiE50OmQIsjxEPwlmYQjLoQ/8x7IVRdO9M4mO\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	s, client, _ := startService(t, "--web.config.file", file)
	f := func(path string, want int, password string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, strings.TrimSuffix(s.url(), "/")+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			r.SetBasicAuth("ann", password)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s with password %q: %s, want %d", path, password, resp.Status, want)
		}
	}
	f("/", 200, "open sesame")
	f("/", 200, "") // the page, which asks for the password, holds no data
	f("/api/v1/status/buildinfo", 200, "open sesame")
	f("/api/v1/status/buildinfo", 401, "")
	f("/api/v1/status/buildinfo", 401, "open barley")
	f("/api/v1/query?query=up", 401, "")
	f("/write", 401, "")
	f("/debug/pprof/", 401, "")
}

func TestStopDuringStart(t *testing.T) {
	_, _, stop := startService(t)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// While the log is replayed, readers and writers are told that the server starts, and how
// far it is.
func TestDatabaseThatIsNotOpenYet(t *testing.T) {
	var d database
	for _, want := range []string{"the server is starting", "the server is starting: 3 MiB of 12 MiB of the log replayed (25 %)"} {
		if _, err := d.get(); !errors.Is(err, storage.ErrBusy) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		d.progress(3<<20, 12<<20)
	}
}
