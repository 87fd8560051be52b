package e2e

import (
	"bufio"
	"fmt"
	"math/rand"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/await"
)

func TestCommandLine(t *testing.T) {
	f := func(want int, says string, args ...string) {
		t.Helper()
		code, out := runProgram(t, tsdbBin, args...)
		if code != want || !strings.Contains(out, says) {
			t.Errorf("tsdb %v: exit code %d, want %d, with %q in\n%s", args, code, want, says, out)
		}
	}
	f(2, "tsdb serve [flags]")
	f(0, "tsdb ", "--version")
	f(2, "unknown flag --no-such-flag", "serve", "--no-such-flag")
	f(2, "--wal.sync", "serve", "--wal.sync=maybe")
	config := filepath.Join(t.TempDir(), "tsdb.yml")
	if err := os.WriteFile(config, []byte("data: x\n\nretentoin: 1d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f(2, config+":3: unknown key \"retentoin\"", "serve", "--config", config)
	if err := os.WriteFile(config, []byte("retention: 1d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f(2, config+":1: key \"retention\" takes a list of rules", "serve", "--config", config)
	f(2, "", "check", "--data", filepath.Join(t.TempDir(), "absent"))

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f(1, "taken by another process", "serve", "--data", t.TempDir(), "--http", l.Addr().String(), "--grpc", "127.0.0.1:0")
	f(1, "--grpc", "serve", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--grpc", l.Addr().String())
}

func TestDataDirectoryHasOneServer(t *testing.T) {
	s := newServer(t, t.TempDir())
	s.start(t)
	s.waitReady(t)
	code, out := runProgram(t, tsdbBin, "serve", "--data", s.dir, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0")
	if code != 1 || !strings.Contains(out, "in use") || !strings.Contains(out, s.dir) {
		t.Errorf("a second server on the directory ends with %d:\n%s", code, out)
	}
	s.stop(t)
}

// Removing LOCK under a running server does not let a second server start: it fails
// with the process that has the directory open, and no sample is lost.
func TestRemovedLockStartsNoSecondServer(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir())
	client := newHTTPClient(t)
	s.start(t)
	s.waitReady(t)
	l := newLedger(remoteWriteDoor, 0, rand.Int63())
	lock := filepath.Join(s.dir, "LOCK")
	pid := fmt.Sprintf("pid %d ", s.cmd.Process.Pid)
	write := func() {
		t.Helper()
		if r, err := l.write(t.Context(), client, s.url()); err != nil || !r.acknowledged() {
			t.Fatalf("write: %+v, %v", r, err)
		}
	}
	for range 3 {
		write()
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
		code, out := runProgram(t, tsdbBin, "serve", "--data", s.dir, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0")
		if code != 1 || !strings.Contains(out, "in use") || !strings.Contains(out, pid) {
			t.Errorf("a second server on the directory ends with %d, and should name %s:\n%s", code, pid, out)
		}
		write()
		await.That(t, "LOCK is put back", func() bool {
			b, err := os.ReadFile(lock)
			return err == nil && strings.Contains(string(b), pid)
		})
	}
	l.verify(t, client, s.url())
	s.kill()
	s.check(t)
	s.start(t)
	s.waitReady(t)
	l.verify(t, client, s.url())
	s.stop(t)
}

func TestStartLogNamesTheEssentials(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "the", "server")
	s := newServer(t, dir, "--retention.raw", "90d", "--wal.sync", "interval=1s")
	s.start(t)
	s.waitReady(t)
	_, port, _ := strings.Cut(s.addr, ":")
	for _, want := range []string{"http://localhost:" + port + "/", dir, "90d", "interval=1s", "can be lost"} {
		if !s.log.contains(want) {
			t.Errorf("the start log lacks %q:\n%s", want, s.log.tail(5))
		}
	}
	s.stop(t)
}

// A signal ends the server within its limit even if a client keeps its connection
// open, and a second signal ends it at once.
func TestSignals(t *testing.T) {
	s := newServer(t, t.TempDir())
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		s.start(t)
		s.waitReady(t)
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		s.signal(t, signal)
		if code := s.wait(t, 15*time.Second); code != 0 {
			t.Errorf("exit code %d after %s\n%s", code, signal, s.log.tail(10))
		}
		conn.Close()
		s.check(t)
	}

	s.start(t)
	s.waitReady(t)
	hold, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	// A request in progress, whose body is never sent.
	if _, err := hold.Write([]byte("POST /write HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(hold).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the server says %q, %v", line, err)
	}
	s.signal(t, syscall.SIGTERM)
	s.waitLog(t, "msg=stopping")
	begin := time.Now()
	s.signal(t, syscall.SIGTERM)
	// A server that waited for the request would exit later, with code 0.
	if code := s.wait(t, readyLimit); code == 0 {
		t.Error("exit code 0 after a second signal")
	}
	t.Logf("ended %s after the second signal", time.Since(begin).Round(time.Millisecond))
	s.check(t)
}

func TestProfilesAndAdminAnswerThisMachine(t *testing.T) {
	s := newServer(t, t.TempDir())
	s.start(t)
	s.waitReady(t)
	for path, want := range map[string]int{
		"/":                        200,
		"/metrics":                 200,
		"/-/healthy":               200,
		"/debug/pprof/heap":        200,
		"/api/v1/status/buildinfo": 200,
		"/api/v1/status/storage":   200,
		"/api/v1/status/rollups":   200,
		"/no/such/page":            404,
		"/api/v1/admin/flush":      405,
	} {
		resp, err := http.Get(s.url() + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %s, want %d", path, resp.Status, want)
		}
	}
	s.stop(t)
	http.DefaultClient.CloseIdleConnections()
}
