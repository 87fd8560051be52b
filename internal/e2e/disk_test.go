package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/await"
)

// resumeLimit is the maximum time until writes are accepted after space has been freed.
const resumeLimit = 5 * time.Second

// smallDisk mounts a tmpfs of some MiB. It needs root.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	if os.Getuid() != 0 {
		missing(t, "mounting a tmpfs needs root")
	}
	dir := t.TempDir()
	mount(t, "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", mib), "tsdb-e2e", dir)
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

func mount(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("mount %v: %v: %s", args, err, out))
	}
}

// Another program's file fills the disk under load: writes are refused for a
// while, queries are not, and no acknowledged sample is lost.
func TestDiskFilledByAnother(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 256)
	s := newServer(t, filepath.Join(disk, "data"))
	s.start(t)
	s.waitReady(t)
	client := newHTTPClient(t)
	ledgers := []*ledger{newLedger(remoteWriteDoor, 0, 1), newLedger(influxDoor, 1, 2)}
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for _, l := range ledgers {
		clients.Go(func() { writeUntil(ctx, t, l, client, s.url()) })
	}

	until := time.Now().Add(soak(t))
	for round := 0; round < 2 || time.Now().Before(until); round++ {
		for _, l := range ledgers { // the disk is filled under load
			before := l.ackedSamples()
			await.That(t, "ten more requests are acknowledged", func() bool { return l.ackedSamples() >= before+10*ledgerBatch })
		}
		filler := filepath.Join(disk, "filler")
		fillDisk(t, filler)
		expectRefusal(t, s, client)
		expectQueries(t, s, client)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		expectResumed(t, s, client)
	}

	cancel()
	clients.Wait()
	for _, l := range ledgers {
		l.verify(t, client, s.url())
	}
	s.stop(t)
	s.noPanic(t)
	s.check(t)
	s.start(t)
	s.waitReady(t)
	for _, l := range ledgers {
		l.verify(t, client, s.url())
		t.Logf("%s: %d samples acknowledged", l.door.metric(), l.ackedSamples())
	}
	s.stop(t)
	s.check(t)
}

// Our own data fills the disk, which is then enlarged.
func TestDiskFilledByItself(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 256)
	s := newServer(t, filepath.Join(disk, "data"))
	s.start(t)
	s.waitReady(t)
	client := newHTTPClient(t)
	l := newLedger(remoteWriteDoor, 0, 3)

	// Random label values do not compress.
	bulk := newBulk(4)
	full := false
	for !full {
		if len(bulk.acked)*bulkLabelBytes > 512<<20 {
			t.Fatal("the disk does not get full")
		}
		r, err := bulk.write(t.Context(), client, s.url())
		if err != nil {
			t.Fatalf("%v\n%s", err, s.log.tail(20))
		}
		switch {
		case r.code == http.StatusServiceUnavailable && r.retryAfter != "":
			full = staysFull(t, s, client)
		case !r.acknowledged():
			t.Fatalf("answer %d: %s", r.code, r.body)
		}
		if r, err := l.write(t.Context(), client, s.url()); err != nil {
			t.Fatalf("%v: %v", r, err)
		}
	}
	t.Logf("full after %d bulk samples", len(bulk.acked))
	expectRefusal(t, s, client)
	expectQueries(t, s, client)
	mount(t, "-o", "remount,size=512m", disk)
	expectResumed(t, s, client)

	if r, err := l.write(t.Context(), client, s.url()); err != nil || !r.acknowledged() {
		t.Fatalf("%v %d %s", err, r.code, r.body)
	}
	l.verify(t, client, s.url())
	bulk.verify(t, client, s.url())
	s.stop(t)
	s.noPanic(t)
	s.check(t)
	s.start(t)
	s.waitReady(t)
	l.verify(t, client, s.url())
	bulk.verify(t, client, s.url())
	s.stop(t)
	s.check(t)
}

// staysFull reports whether writes are refused for longer than a cut or a merge needs
// to free space.
func staysFull(t *testing.T, s *server, c *http.Client) bool {
	t.Helper()
	return !await.Within(t.Context(), resumeLimit, func() bool {
		r, err := probe(t.Context(), s, c)
		if err != nil {
			t.Fatalf("%v\n%s", err, s.log.tail(20))
		}
		return r.acknowledged()
	})
}

// A disk that is too small for the default sizes accepts writes. When space runs
// out and the log takes enough of it, the server cuts its head, and writes
// continue although the other files stay.
func TestDiskFilledByTheLog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ disk, log, left int }{{130, 12, 7}, {300, 28, 16}} { // MiB
		t.Run(fmt.Sprintf("%d MiB", c.disk), func(t *testing.T) {
			t.Parallel()
			disk := smallDisk(t, c.disk)
			s := newServer(t, filepath.Join(disk, "data"))
			s.start(t)
			s.waitReady(t)
			client := newHTTPClient(t)
			const series = 2000
			begin, requests := time.Now().Add(-time.Hour).UnixMilli(), 0
			for ; logBytes(t, client, s) < int64(c.log)<<20; requests++ {
				all := make([]remoteSeries, series)
				for i := range all {
					all[i] = remoteSeries{labels: []string{"__name__", "steady", "i", strconv.Itoa(i)},
						samples: []point{{begin + int64(requests), 1}}}
				}
				if r, err := writeRemote(t.Context(), client, s.url(), all); err != nil || !r.acknowledged() {
					t.Fatalf("%v, answer %d: %s\n%s", err, r.code, r.body, s.log.tail(20))
				}
			}
			leaveFree(t, disk, int64(c.left)<<20)
			s.waitLog(t, "head cut")
			expectResumed(t, s, client)
			a := mustAsk(t, client, s.url(), "/api/v1/query", url.Values{
				"query": {fmt.Sprintf("sum(count_over_time(steady[2h])) == %d", requests*series)}})
			if !strings.Contains(string(a.Data), "value") {
				t.Errorf("not all of %d samples are there: %s", requests*series, a.Data)
			}
			s.stop(t)
			s.noPanic(t)
			s.check(t)
		})
	}
}

// logBytes returns the bytes of frames in the log.
func logBytes(t *testing.T, c *http.Client, s *server) int64 {
	t.Helper()
	resp, err := c.Get(s.url() + "/api/v1/status/storage")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var st struct {
		Data struct{ WAL struct{ Bytes int64 } }
	}
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		t.Fatal(err)
	}
	return st.Data.WAL.Bytes
}

// leaveFree writes a file that leaves the given number of bytes free on a disk.
func leaveFree(t *testing.T, disk string, left int64) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(disk, &st); err != nil {
		t.Fatal(err)
	}
	n := int64(st.Bavail)*int64(st.Bsize) - left
	if err := os.WriteFile(filepath.Join(disk, "filler"), make([]byte, max(n, 0)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fillDisk writes a file until there is no space left.
func fillDisk(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); ; {
		if _, err := f.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			if len(chunk) == 4096 {
				return
			}
			chunk = chunk[:4096]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// probe is a write of one sample.
func probe(ctx context.Context, s *server, c *http.Client) (reply, error) {
	return writeRemote(ctx, c, s.url(), []remoteSeries{{
		labels:  []string{"__name__", "probe"},
		samples: []point{{time.Now().UnixMilli(), 1}},
	}})
}

// expectRefusal waits for the server to see that the disk is full and then
// expects 503 with Retry-After.
func expectRefusal(t *testing.T, s *server, c *http.Client) {
	t.Helper()
	await.That(t, "a full disk is noticed and writes are refused", func() bool {
		r, err := probe(t.Context(), s, c)
		switch {
		case err != nil:
			t.Fatalf("%v\n%s", err, s.log.tail(20))
		case r.code == http.StatusServiceUnavailable:
			if r.retryAfter == "" {
				t.Errorf("503 without Retry-After: %s", r.body)
			}
			return true
		case !r.acknowledged():
			t.Fatalf("answer %d on a full disk, want 503: %s", r.code, r.body)
		}
		return false
	})
}

// expectQueries expects queries and health checks to succeed.
func expectQueries(t *testing.T, s *server, c *http.Client) {
	t.Helper()
	for range 5 {
		mustAsk(t, c, s.url(), "/api/v1/query", url.Values{"query": {`count({__name__=~"ledger.*|bulk"})`}})
		mustAsk(t, c, s.url(), "/api/v1/labels", nil)
	}
	resp, err := c.Get(s.url() + "/-/healthy")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/-/healthy on a full disk: %s", resp.Status)
	}
}

// expectResumed expects writes to be accepted within resumeLimit.
func expectResumed(t *testing.T, s *server, c *http.Client) {
	t.Helper()
	begin := time.Now()
	var r reply
	if !await.Within(t.Context(), resumeLimit, func() bool {
		var err error
		if r, err = probe(t.Context(), s, c); err != nil {
			t.Fatalf("%v\n%s", err, s.log.tail(20))
		}
		return r.acknowledged()
	}) {
		t.Fatalf("writes have not resumed %s after space came back: %d %s", resumeLimit, r.code, r.body)
	}
	t.Logf("writes resumed after %s", time.Since(begin).Round(10*time.Millisecond))
}

const bulkLabelBytes = 8 << 10

// bulk writes new series with long random labels.
type bulk struct {
	rand  *rand.Rand
	t     int64
	acked map[string]float64 // the label "id" and the value
}

func newBulk(seed int64) *bulk {
	return &bulk{rand: rand.New(rand.NewSource(seed)), t: time.Now().UnixMilli(), acked: map[string]float64{}}
}

func (b *bulk) write(ctx context.Context, c *http.Client, base string) (reply, error) {
	const series = 50
	var all []remoteSeries
	sent := map[string]float64{}
	for range series {
		id := strconv.Itoa(len(b.acked) + len(sent))
		sent[id] = b.rand.NormFloat64()
		all = append(all, remoteSeries{
			labels:  []string{"__name__", "bulk", "filling", b.text(bulkLabelBytes), "id", id},
			samples: []point{{b.t, sent[id]}},
		})
	}
	r, err := writeRemote(ctx, c, base, all)
	if err == nil && r.acknowledged() {
		for id, v := range sent {
			b.acked[id] = v
		}
	}
	return r, err
}

// text returns n random letters of an alphabet of 64.
func (b *bulk) text(n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	out := make([]byte, n)
	for i := range out {
		out[i] = alphabet[b.rand.Intn(len(alphabet))]
	}
	return string(out)
}

// verify reads the values back by the label "id"; the answer does not include the long
// label.
func (b *bulk) verify(t *testing.T, c *http.Client, base string) {
	t.Helper()
	got := map[string]float64{}
	for _, s := range queryVector(t, c, base, "max by (id) (bulk)", time.UnixMilli(b.t)) {
		got[s.Metric["id"]] = s.Value.v
	}
	lost := 0
	for id, v := range b.acked {
		if w, ok := got[id]; !ok || w != v {
			if lost++; lost <= 5 {
				t.Errorf("bulk series %s: %v, %v, want %v", id, w, ok, v)
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged bulk samples are not there", lost, len(b.acked))
	}
}
