package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"tsdb/internal/await"
)

// A backup whose snapshot the server gives up ends with the reason, and goes on when it
// is repeated; at its end no snapshot is left.
func TestBackupWhoseSnapshotIsGivenUp(t *testing.T) {
	s, client, _ := startService(t)
	base := strings.TrimSuffix(s.url(), "/")
	await.That(t, "ready", func() bool { code, _ := get(t, client, base+"/-/ready"); return code == 200 })
	resp, err := client.Post(base+"/write", "text/plain", strings.NewReader("weather celsius=21"))
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	target, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	var reads atomic.Int32
	proxy := &httputil.ReverseProxy{Transport: client.Transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if snapshot, file, ok := strings.Cut(r.URL.Path, "/files/"); ok && file != "" && reads.Add(1) == 4 {
			remove, err := http.NewRequest(http.MethodDelete, base+snapshot, nil)
			if err != nil {
				panic(err)
			}
			if resp, err := client.Do(remove); err == nil {
				resp.Body.Close()
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	defer server.Close()

	archive := filepath.Join(t.TempDir(), "archive")
	var out, errs bytes.Buffer
	code := run([]string{"backup", "--from", server.URL, "--to", archive}, &out, &errs)
	if code != exitFailure || !strings.Contains(errs.String(), "it may have been removed, as temporary ones are when free disk space is short") {
		t.Errorf("exit code %d: %s%s", code, out.String(), errs.String())
	}
	if code := run([]string{"backup", "--from", server.URL, "--to", archive}, &out, &errs); code != exitOK {
		t.Errorf("repeated: exit code %d: %s%s", code, out.String(), errs.String())
	}
	if _, body := get(t, client, base+"/api/v1/admin/tsdb/snapshots"); !strings.Contains(body, `"snapshots":[]`) {
		t.Errorf("left on the server: %s", body)
	}
	if code := run([]string{"restore", "--from", archive, "--to", dataDir(t, t.TempDir(), "x")}, &out, &errs); code != exitOK {
		t.Errorf("restore: exit code %d: %s%s", code, out.String(), errs.String())
	}
}

// A damaged mark is named by restore, with what can be restored instead, and by the next
// backup, which archives the present all the same.
func TestCommandsTellOfDamageInTheArchive(t *testing.T) {
	s, client, _ := startService(t)
	base := strings.TrimSuffix(s.url(), "/")
	await.That(t, "ready", func() bool { code, _ := get(t, client, base+"/-/ready"); return code == 200 })
	archive := filepath.Join(t.TempDir(), "archive")
	tsdb := func(want int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(args, &out, &errs); code != want {
			t.Errorf("%v: exit code %d: %s%s", args, code, out.String(), errs.String())
		}
		return out.String() + errs.String()
	}
	has := func(text string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("no %q in\n%s", part, text)
			}
		}
	}
	backup := []string{"backup", "--from", base, "--to", archive}
	for i := range 2 {
		resp, err := client.Post(base+"/write", "text/plain", strings.NewReader(fmt.Sprint("weather celsius=", i)))
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Fatal(resp, err)
		}
		resp.Body.Close()
		tsdb(exitOK, backup...)
	}
	spoil := func(pattern string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(archive, pattern))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		if err := os.WriteFile(files[len(files)-1], []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoil("*/marks/*.mark")
	to := dataDir(t, t.TempDir(), "x")
	text := tsdb(exitFailure, "restore", "--from", archive, "--to", to)
	has(text, "the newest backup cannot be restored", "the newest moment before it that is whole: --at-lsn ")
	if _, flag, ok := strings.Cut(text, "--at-lsn "); ok {
		lsn, _, _ := strings.Cut(flag, " ")
		has(tsdb(exitOK, "restore", "--from", archive, "--to", to, "--at-lsn", lsn), "Restored the backup of")
	}
	has(tsdb(exitFailure, backup...), "Archived ", "Lost ", "damage in the archive: 1 earlier moment cannot be restored")
	spoil("heads/*.head")
	has(tsdb(exitOK, "restore", "--from", archive, "--list"), "is damaged", "LSN")
	has(tsdb(exitOK, backup...), "The list of archived moments was damaged")
	if text := tsdb(exitOK, backup...); strings.Contains(text, "damaged") {
		t.Errorf("it is told again:\n%s", text)
	}
	has(tsdb(exitOK, "restore", "--from", archive, "--to", dataDir(t, t.TempDir(), "y")), "Restored the backup of")
}

func TestCommandLinesOfBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	f := func(code int, want string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(args, &out, &errs); got != code || !strings.Contains(out.String()+errs.String(), want) {
			t.Errorf("%v: exit code %d, want %d: %s%s", args, got, code, out.String(), errs.String())
		}
	}
	f(exitUsage, "give both --from and --to", "backup", "--from", dir)
	f(exitUsage, "gopher:// is no place of an archive", "backup", "--from", dir, "--to", "gopher://x")
	f(exitFailure, "is not a data directory", "backup", "--from", dir, "--to", filepath.Join(dir, "a"))
	f(exitUsage, "either --at or --at-lsn", "restore", "--from", dir, "--to", "x", "--at", "1", "--at-lsn", "2")
	f(exitUsage, "neither a time", "restore", "--from", dir, "--to", "x", "--at", "yesterday")
	f(exitUsage, "either --to or --list", "restore", "--from", dir)
	f(exitFailure, "no backup is there", "restore", "--from", dir, "--list")
	f(exitFailure, "no backup is there", "restore", "--from", dir, "--to", filepath.Join(dir, "b"))
	f(exitOK, "Usage: tsdb backup", "backup", "--help")
	f(exitOK, "Usage: tsdb restore", "restore", "--help")
}
