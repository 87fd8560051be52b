package e2e

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/await"
)

// testBin is the folder where make test-deps installs programs.
func testBin() string {
	dir := os.Getenv("TSDB_TEST_BIN")
	if dir == "" {
		if home, err := os.UserHomeDir(); err == nil {
			dir = filepath.Join(home, ".cache", "tsdb-test", "bin")
		}
	}
	return dir
}

// findProgram returns the path of a program. It searches the programs built by make
// test-deps, then PATH. If the program is missing the test is skipped, or fails on
// continuous integration.
func findProgram(t *testing.T, name string) string {
	t.Helper()
	if path := filepath.Join(testBin(), name); isExecutable(path) {
		return path
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	missing(t, name+" is not installed (make test-deps does it)")
	return ""
}

// missing skips the test, or fails it on continuous integration.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// process is a program that runs during the test.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    *logBuffer
	exited chan struct{}
	err    error // set before exited is closed
}

// startProcess runs a program until it ends, is killed, or the test ends.
func startProcess(t *testing.T, name, path string, args ...string) *process {
	t.Helper()
	p := &process{name: name, cmd: exec.Command(path, args...), log: &logBuffer{}, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("last lines of %s %v:\n%s", name, args, p.log.tail(40))
		}
	})
	return p
}

// kill ends the process with SIGKILL and waits for it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.exited
}

// signal sends a signal.
func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %s: %v", p.name, err)
	}
}

// wait returns the exit code, or fails the test if the process still runs after limit.
func (p *process) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(limit):
		t.Fatalf("%s still runs after %s", p.name, limit)
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		t.Fatalf("%s: %v", p.name, p.err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// waitHTTP waits until url responds with 200.
func (p *process) waitHTTP(t *testing.T, url string, limit time.Duration) {
	t.Helper()
	last := ""
	if !await.Within(t.Context(), limit, func() bool {
		if !p.running() {
			t.Fatalf("%s ended: %v\n%s", p.name, p.err, p.log.tail(40))
		}
		resp, err := http.Get(url)
		if err != nil {
			last = err.Error()
			return false
		}
		resp.Body.Close()
		last = resp.Status
		return resp.StatusCode == http.StatusOK
	}) {
		t.Fatalf("%s does not answer 200 at %s within %s: %s\n%s", p.name, url, limit, last, p.log.tail(40))
	}
}

// waitLog waits until the process has printed one of texts.
func (p *process) waitLog(t *testing.T, texts ...string) {
	t.Helper()
	if !p.logs(t.Context(), readyLimit, texts...) {
		t.Fatalf("%s has not printed any of %q within %s, or has ended:\n%s", p.name, texts, readyLimit, p.log.tail(40))
	}
}

// logs reports whether the process prints one of texts within limit.
func (p *process) logs(ctx context.Context, limit time.Duration, texts ...string) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		running, grown := p.running(), p.log.grown()
		if slices.ContainsFunc(texts, p.log.contains) {
			return true
		}
		if !running {
			return false
		}
		select {
		case <-grown:
		case <-p.exited:
		case <-ctx.Done():
			return false
		}
	}
}

// runProgram runs a program to its end and returns exit code and output. A program that
// does not end within a minute is killed; its exit code is -1.
func runProgram(t *testing.T, path string, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute) // cleanups run programs too
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", path, err)
	}
	if exit != nil {
		return exit.ExitCode(), string(out)
	}
	return 0, string(out)
}

// logBuffer keeps the last output of a program. It is safe for concurrent use.
type logBuffer struct {
	mu   sync.Mutex
	all  []byte
	grew chan struct{} // closed by the next Write; nil if unused
}

// maxLog is the maximum output kept of a program; the older half is dropped first.
const maxLog = 4 << 20

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) > maxLog {
		b.all = append(b.all[:0], b.all[len(b.all)/2:]...)
	}
	b.all = append(b.all, p...)
	if b.grew != nil {
		close(b.grew)
		b.grew = nil
	}
	return len(p), nil
}

// grown returns a channel closed by the next Write.
func (b *logBuffer) grown() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.grew == nil {
		b.grew = make(chan struct{})
	}
	return b.grew
}

func (b *logBuffer) contains(s string) bool { return b.count(s) > 0 }

func (b *logBuffer) count(s string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Count(b.all, []byte(s))
}

// tail returns the last n lines.
func (b *logBuffer) tail(n int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := bytes.SplitAfter(b.all, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], nil))
}
