package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tsdb/internal/s3test"
)

// A running server is archived in a bucket, twice, then by two backups at once, and
// restored.
func TestBackupsInS3(t *testing.T) {
	p := s3test.NewProxy(t, s3test.Through(t, s3test.Gateway(t)))
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.SecretAccessKey)
	t.Setenv("AWS_ENDPOINT_URL_S3", p.URL)
	var sent atomic.Int64 // bytes of objects
	count := func(r *http.Request) {
		if k := s3test.Kind(r); k == "PutObject" || k == "UploadPart" {
			sent.Add(max(0, r.ContentLength))
		}
	}
	p.SetFault(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool { count(r); return false })

	client := newHTTPClient(t)
	s := newServer(t, filepath.Join(t.TempDir(), "data"))
	s.start(t)
	s.waitReady(t)
	from := time.Now().Add(-time.Hour).Truncate(time.Second)
	write := func(first, n int) {
		t.Helper()
		var lines bytes.Buffer
		for series := range 100 {
			for i := range n {
				fmt.Fprintf(&lines, "m,series=%d value=%d.%03d %d\n", series, series, (first+i)*7919%1000, from.Add(time.Duration(first+i)*time.Second).UnixMilli())
			}
		}
		if r, err := writeLines(t.Context(), client, s.url(), "db", lines.Bytes()); err != nil || !r.acknowledged() {
			t.Fatalf("write: %v, %v", r, err)
		}
	}
	args := []string{"backup", "--from", s.url(), "--to", "s3://" + s3test.Bucket + "/team/db"}
	backup := func() int64 {
		t.Helper()
		before := sent.Load()
		if code, out := runProgram(t, tsdbBin, args...); code != 0 || strings.Contains(out, s3test.SecretAccessKey) {
			t.Fatalf("backup ends with %d:\n%s", code, out)
		}
		return sent.Load() - before
	}
	write(0, 600)
	first := backup()
	write(600, 10)
	if second := backup(); second > first/2 {
		t.Errorf("the second backup sent %d bytes, the first %d", second, first)
	}

	// A backup whose head is moved by another one meanwhile repeats that step.
	held, release := make(chan struct{}), make(chan struct{})
	var heads atomic.Int32
	p.SetFault(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if s3test.Kind(r) == "PutObject" && strings.Contains(r.URL.Path, "/heads/") && heads.Add(1) == 1 {
			close(held)
			<-release
		}
		return false
	})
	write(610, 10)
	slow := startProcess(t, "tsdb backup", tsdbBin, args...)
	select {
	case <-held:
	case <-slow.exited:
		t.Fatalf("backup ends: %v\n%s", slow.err, slow.log.tail(20))
	}
	write(620, 10)
	backup()
	close(release)
	if code := slow.wait(t, time.Minute); code != 0 {
		t.Errorf("the slower backup ends with %d:\n%s", code, slow.log.tail(20))
	}
	p.SetFault(nil)

	ask := func(s *server) string {
		t.Helper()
		return string(mustAsk(t, client, s.url(), "/api/v1/query_range", url.Values{
			"query": {"m_value"}, "start": {seconds(from)}, "end": {seconds(from.Add(640 * time.Second))}, "step": {"1"},
		}).Data)
	}
	want := ask(s)
	s.stop(t)
	s.check(t)
	code, out := runProgram(t, tsdbBin, "restore", "--from", "s3://"+s3test.Bucket+"/team/db", "--list")
	if code != 0 || strings.Count(out, "LSN") != 4 {
		t.Errorf("list ends with %d, four moments are archived:\n%s", code, out)
	}
	restored := newServer(t, filepath.Join(t.TempDir(), "restored"))
	if code, out := runProgram(t, tsdbBin, "restore", "--from", "s3://"+s3test.Bucket+"/team/db", "--to", restored.dir); code != 0 {
		t.Fatalf("restore ends with %d:\n%s", code, out)
	}
	restored.check(t)
	restored.start(t)
	restored.waitReady(t)
	if got := ask(restored); got != want || len(want) < 1000 {
		t.Errorf("the restored database answers with %d bytes, the original with %d", len(got), len(want))
	}
	restored.stop(t)
}
