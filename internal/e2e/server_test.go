package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/loopback"
)

// readyLimit bounds the wait for a server to be ready, on a busy machine.
const readyLimit = time.Minute

// server is a tsdb that can be killed and started again on the same directory
// and port.
type server struct {
	*process
	dir  string
	addr string
	args []string

	group string // file of the control group to run in; empty = that of the test

	unchecked bool // it has run since the last check of its directory
}

// newServer returns a server that is not running yet. Its self-scrape is off, so that
// it holds only samples written by the test. Its directory is checked when the test
// ends, unless the test has done so after the last start.
func newServer(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	s := &server{dir: dir, addr: loopback.FreeAddr(t), args: args}
	t.Cleanup(func() {
		if s.unchecked && !t.Failed() && !t.Skipped() {
			s.check(t)
		}
	})
	return s
}

// start starts the server without waiting for it to be ready.
func (s *server) start(t *testing.T) {
	t.Helper()
	s.unchecked = true
	if s.group != "" {
		// The process joins the group before the server reads its memory limit.
		s.process = startProcess(t, "tsdb", "/bin/sh", append([]string{"-c", `echo $$ > "$0" && exec "$@"`, s.group, tsdbBin}, s.commandLine()...)...)
		return
	}
	s.process = startProcess(t, "tsdb", tsdbBin, s.commandLine()...)
}

func (s *server) commandLine() []string {
	return append([]string{"serve", "--data", s.dir, "--http", s.addr, "--grpc", "127.0.0.1:0", "--self-scrape.interval", "0"}, s.args...)
}

func (s *server) url() string { return "http://" + s.addr }

func (s *server) waitReady(t *testing.T) {
	t.Helper()
	s.waitHTTP(t, s.url()+"/-/ready", readyLimit)
}

// stop ends the server as an administrator would and expects exit code 0.
func (s *server) stop(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	if code := s.wait(t, 30*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM\n%s", code, s.log.tail(20))
	}
}

// noPanic fails the test if the server's log shows one.
func (s *server) noPanic(t *testing.T) {
	t.Helper()
	for _, sign := range []string{"panic:", "panicked", "fatal error:", "DATA RACE"} {
		if s.log.contains(sign) {
			t.Errorf("the server's log has %q\n%s", sign, s.log.tail(60))
		}
	}
}

// check runs tsdb check on the directory of a stopped server.
func (s *server) check(t *testing.T) {
	t.Helper()
	if code, out := runProgram(t, tsdbBin, "check", "--data", s.dir); code != 0 {
		t.Fatalf("tsdb check ends with %d:\n%s", code, out)
	}
	s.unchecked = false
}

// post sends an empty POST and expects 200.
func (s *server) post(t *testing.T, path string) {
	t.Helper()
	resp, err := http.Post(s.url()+path, "", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("POST %s: %s", path, resp.Status)
	}
}
