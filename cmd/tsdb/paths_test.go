package main

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tsdb/internal/await"
	"tsdb/internal/doctortest"
)

// Responses do not reveal the path of the data directory, even if a block is
// damaged or missing or the directory cannot be written.
func TestAnswersShowNoPathsOfTheDisk(t *testing.T) {
	doctortest.Damages(t, "a file takes the place of a directory")
	root := filepath.Join(t.TempDir(), "secret place", "data")
	s, client, _ := startService(t, "--data", root, "--self-scrape.interval", "0")
	base := strings.TrimSuffix(s.url(), "/")
	await.That(t, "ready", func() bool { code, _ := get(t, client, base+"/-/ready"); return code == 200 })
	ask := func(method, path, body string) (int, string) {
		t.Helper()
		code, header, text := exchange(t, client, method, base+path, body)
		for _, where := range []string{root, filepath.Dir(root), "secret place"} {
			if strings.Contains(text, where) || strings.Contains(header.Get("X-Influxdb-Error"), where) {
				t.Errorf("%s %s: %d %s", method, path, code, text)
			}
		}
		return code, text
	}
	if code, text := ask("POST", "/write", "m,a=b v=1\nm,a=c v=2"); code != 204 {
		t.Fatal(code, text)
	}
	if code, text := ask("POST", "/api/v1/admin/flush", ""); code/100 != 2 {
		t.Fatal(code, text)
	}
	var blocks []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".tsb") {
			blocks = append(blocks, path)
		}
		return err
	})
	if err != nil || len(blocks) == 0 {
		t.Fatalf("%d blocks, %v", len(blocks), err)
	}
	for _, b := range blocks {
		content, err := os.ReadFile(b)
		if err != nil {
			t.Fatal(err)
		}
		for i := 64; i < len(content); i++ {
			content[i] ^= 0xff
		}
		if err := os.WriteFile(b, content, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	damaged := false
	everywhere := func() {
		t.Helper()
		for _, path := range []string{"/api/v1/query?query=m_v", "/api/v1/query_range?query=m_v&start=0&end=1e10&step=1e7", "/api/v1/series?match[]=m_v", "/api/v1/labels",
			"/api/v1/status/tsdb", "/api/v1/status/storage", "/api/v1/status/rollups", "/api/v1/status/jobs", "/api/v1/explain?query=m_v", "/federate?match[]=m_v", "/-/healthy", "/health", "/ready", "/api/v1/targets"} {
			code, text := ask("GET", path, "")
			damaged = damaged || code >= 400 || strings.Contains(text, "warnings")
		}
	}
	everywhere()
	if !damaged {
		t.Error("nothing mentions the damaged block")
	}
	for _, b := range blocks {
		if err := os.Remove(b); err != nil {
			t.Fatal(err)
		}
	}
	everywhere()
	// The directory is missing: a cut cannot create its block.
	if code, text := ask("POST", "/write", "m,a=b v=3"); code != 204 {
		t.Fatal(code, text)
	}
	blockDir := filepath.Dir(blocks[0])
	for filepath.Dir(blockDir) != root {
		blockDir = filepath.Dir(blockDir)
	}
	if err := os.RemoveAll(blockDir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blockDir, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if code, text := ask("POST", "/api/v1/admin/flush", ""); code == http.StatusOK {
		t.Errorf("flush without a directory: %d %s", code, text)
	}
	everywhere()
}
