package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A client that waits for each reply before it sends the next write makes the server
// sync at least once per write: no reply is sent before its sync.
func TestEveryReplyWaitsForASync(t *testing.T) {
	strace := findProgram(t, "strace")
	s := newServer(t, t.TempDir())
	s.start(t)
	s.waitReady(t)
	trace := filepath.Join(t.TempDir(), "trace")
	tracer := startProcess(t, "strace", strace, "-f", "-ttt", "-e", "trace=fsync,fdatasync", "-o", trace, "-p", strconv.Itoa(s.cmd.Process.Pid))
	if !tracer.logs(t.Context(), readyLimit, "attached") {
		missing(t, "strace cannot attach to the server: "+tracer.log.tail(5))
	}

	const writes = 100
	client := newHTTPClient(t)
	begin := time.Now()
	for i := range writes {
		r, err := writeRemote(t.Context(), client, s.url(), []remoteSeries{{
			labels:  []string{"__name__", "synced"},
			samples: []point{{begin.UnixMilli() + int64(i), float64(i)}},
		}})
		if err != nil || !r.acknowledged() {
			t.Fatalf("write %d: %v %d %s", i, err, r.code, r.body)
		}
	}
	end := time.Now()
	s.kill()
	tracer.wait(t, readyLimit) // it ends with the server

	content, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	syncs := 0
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.HasPrefix(fields[2], "fsync(") && !strings.HasPrefix(fields[2], "fdatasync(") {
			continue // the end of a call whose output was interrupted by another thread's
		}
		at, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			t.Fatalf("trace line %q: %v", line, err)
		}
		if at >= float64(begin.UnixMicro())/1e6 && at <= float64(end.UnixMicro())/1e6 {
			syncs++
		}
	}
	t.Logf("%d syncs during %d writes", syncs, writes)
	if syncs < writes {
		t.Errorf("%d syncs during %d writes", syncs, writes)
	}
}
