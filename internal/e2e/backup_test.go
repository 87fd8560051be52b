package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"tsdb/internal/await"
)

// snapshotOf takes a snapshot over HTTP and returns its directory.
func snapshotOf(t *testing.T, c *http.Client, s *server) string {
	t.Helper()
	r, err := send(t.Context(), c, s.url()+"/api/v1/admin/tsdb/snapshot", nil, http.Header{})
	if err != nil || r.code != http.StatusOK {
		t.Fatalf("snapshot: %v %+v", err, r)
	}
	var made struct{ Data struct{ Name string } }
	if err := json.Unmarshal([]byte(r.body), &made); err != nil || made.Data.Name == "" {
		t.Fatalf("snapshot: %v, %s", err, r.body)
	}
	return filepath.Join(s.dir, "snapshots", made.Data.Name)
}

var (
	newObjects = regexp.MustCompile(`(\d+) new objects with (\d+) bytes`)
	restored   = regexp.MustCompile(`Restored the backup of (\S+)`)
)

// backUp archives a server and returns the bytes of new objects.
func backUp(t *testing.T, from, archive string) int {
	t.Helper()
	code, out := runProgram(t, tsdbBin, "backup", "--from", from, "--to", archive)
	m := newObjects.FindStringSubmatch(out)
	if code != 0 || m == nil {
		t.Fatalf("tsdb backup ends with %d:\n%s", code, out)
	}
	n, _ := strconv.Atoi(m[2])
	return n
}

// restoreTo restores a moment and returns a running server on it.
func restoreTo(t *testing.T, archive string, args ...string) *server {
	t.Helper()
	s := newServer(t, filepath.Join(t.TempDir(), "restored"))
	code, out := runProgram(t, tsdbBin, append([]string{"restore", "--from", archive, "--to", s.dir}, args...)...)
	if code != 0 || restored.FindString(out) == "" {
		t.Fatalf("tsdb restore ends with %d:\n%s", code, out)
	}
	s.check(t)
	s.start(t)
	s.waitReady(t)
	return s
}

// A server is snapshotted and backed up while clients write, and it cuts and merges. Its
// snapshots are sound and can be served beside it; a restored backup has every sample
// that was acknowledged before it, and a moment between two backups those that were so
// then.
func TestSnapshotsAndBackupsOfARunningServer(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir(), "--wal.keep", "1h")
	client := newHTTPClient(t)
	s.start(t)
	s.waitReady(t)
	archive := filepath.Join(t.TempDir(), "archive")
	r := rand.New(rand.NewSource(1))
	ledgers := []*ledger{newLedger(remoteWriteDoor, 0, r.Int63()), newLedger(influxDoor, 1, r.Int63())}

	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for _, l := range ledgers {
		clients.Go(func() { writeUntil(ctx, t, l, client, s.url()) })
	}
	clients.Go(func() { disturb(ctx, client, s.url(), 2) })
	var snapshots []string
	for range 4 {
		snapshots = append(snapshots, snapshotOf(t, client, s))
		backUp(t, s.url(), archive)
	}
	cancel()
	clients.Wait()
	for _, dir := range snapshots {
		if code, out := runProgram(t, tsdbBin, "check", "--data", dir); code != 0 {
			t.Errorf("tsdb check of a snapshot ends with %d:\n%s", code, out)
		}
	}
	served := newServer(t, snapshots[3])
	served.start(t)
	served.waitReady(t)
	s.post(t, "/api/v1/admin/compact")
	served.post(t, "/api/v1/admin/compact")
	if n := len(queryVector(t, client, served.url(), `count(last_over_time({__name__=~"ledger.*"}[3d]))`, time.Now().Add(time.Hour))); n != 1 {
		t.Errorf("a served snapshot has no series")
	}
	served.stop(t)
	served.noPanic(t)
	served.check(t)
	for _, l := range ledgers {
		l.verify(t, client, s.url())
	}

	first := backUp(t, s.url(), archive)
	mark := func(n int) (at time.Time) {
		t.Helper()
		line := fmt.Sprintf("marker value=%d %d", n, time.Now().UnixMilli())
		if r, err := writeLines(t.Context(), client, s.url(), "x", []byte(line)); err != nil || !r.acknowledged() {
			t.Fatalf("%v %+v", err, r)
		}
		at = time.Now()
		await.That(t, "another millisecond", func() bool { return time.Since(at) > 10*time.Millisecond })
		return at.Add(2 * time.Millisecond)
	}
	between := mark(1)
	s.post(t, "/api/v1/admin/flush")
	mark(2)
	second := backUp(t, s.url(), archive)
	if second*4 > first {
		t.Errorf("the second backup wrote %d bytes, the first %d", second, first)
	}
	for _, c := range []struct {
		args []string
		want string
	}{{nil, "2"}, {[]string{"--at", between.UTC().Format(time.RFC3339Nano)}, "1"}} {
		back := restoreTo(t, archive, c.args...)
		for _, l := range ledgers {
			l.verify(t, client, back.url())
		}
		got := queryVector(t, client, back.url(), "last_over_time(marker_value[1h])", time.Now())
		if len(got) != 1 || fmt.Sprint(got[0].Value.v) != c.want {
			t.Errorf("restored %v: marker %v, want %s", c.args, got, c.want)
		}
		back.stop(t)
		back.noPanic(t)
		back.check(t)
	}
	if code, out := runProgram(t, tsdbBin, "restore", "--from", archive, "--to", filepath.Join(t.TempDir(), "x"), "--at", "2020-01-01T00:00:00Z"); code != 1 {
		t.Errorf("restore of a moment before the archive ends with %d:\n%s", code, out)
	}
	s.stop(t)
	s.noPanic(t)
	s.check(t)
	backUp(t, s.dir, archive)
}

// A backup that is killed goes on when it is repeated, and a server that is killed
// meanwhile leaves nothing behind.
func TestKilledBackupsAndServers(t *testing.T) {
	t.Parallel()
	s := newServer(t, t.TempDir())
	client := newHTTPClient(t)
	s.start(t)
	s.waitReady(t)
	archive := filepath.Join(t.TempDir(), "archive")
	l := newLedger(remoteWriteDoor, 0, 1)
	for range 50 {
		if r, err := l.write(t.Context(), client, s.url()); err != nil || !r.acknowledged() {
			t.Fatalf("%v %+v", err, r)
		}
	}
	s.post(t, "/api/v1/admin/compact")
	for range 3 {
		p := startProcess(t, "backup", tsdbBin, "backup", "--from", s.url(), "--to", archive, "--rate", "64KiB")
		await.Pause(t.Context(), 300*time.Millisecond) // any moment will do
		p.kill()
	}
	p := startProcess(t, "backup", tsdbBin, "backup", "--from", s.url(), "--to", archive, "--rate", "64KiB")
	await.Pause(t.Context(), 300*time.Millisecond)
	s.kill()
	p.kill()
	s.check(t)
	s.start(t)
	s.waitReady(t)
	backUp(t, s.url(), archive)
	back := restoreTo(t, archive)
	l.verify(t, client, back.url())
	back.stop(t)
	s.stop(t)
	s.noPanic(t)
	s.check(t)
}
