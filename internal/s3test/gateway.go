package s3test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"tsdb/internal/await"
	"tsdb/internal/loopback"
)

// Credentials and bucket of the services.
const (
	AccessKeyID     = "AKIATESTTESTTEST"
	SecretAccessKey = "secret-that-no-message-may-show"
	Region          = "us-east-1"
	Bucket          = "backups"
)

// program is the name of versitygw.
const program = "versitygw"

// Gateway starts versitygw with an empty bucket and returns its URL. It runs until the
// test ends. If the program is missing the test is skipped, or fails on continuous
// integration.
func Gateway(t *testing.T) string {
	t.Helper()
	path := findProgram(t)
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, Bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	addr := loopback.FreeAddr(t)
	cmd := exec.Command(path, "--access", AccessKeyID, "--secret", SecretAccessKey, "--region", Region, "--port", addr, "--keep-alive", "--quiet",
		"--health", "/health", "posix", root)
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		if t.Failed() {
			t.Logf("%s printed:\n%s", program, out)
		}
	})
	url := "http://" + addr
	await.That(t, program+" responds", func() bool {
		select {
		case <-ended:
			t.Fatalf("%s has ended:\n%s", program, out)
		default:
		}
		resp, err := http.Get(url + "/health")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return url
}

// findProgram searches the programs built by make test-deps, then PATH.
func findProgram(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("TSDB_TEST_BIN")
	if dir == "" {
		if home, err := os.UserHomeDir(); err == nil {
			dir = filepath.Join(home, ".cache", "tsdb-test", "bin")
		}
	}
	path, err := exec.LookPath(filepath.Join(dir, program))
	if err != nil {
		path, err = exec.LookPath(program)
	}
	if err == nil {
		return path
	}
	what := program + " is not installed (make test-deps does it)"
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
	return ""
}

// output keeps what a program prints. It is safe for concurrent use.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
