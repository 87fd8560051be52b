package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The commands for deletions in docs/http-api.md work as they stand there: each answers with
// the status that the page shows, or with JSON that has the members it shows.
func TestExamplesOfDeletionsWork(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "http-api.md"))
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, t.TempDir(), "--self-scrape.interval", "0")
	s.start(t)
	s.waitReady(t)
	ran := 0
	for _, title := range []string{"POST, PUT /api/v1/admin/tsdb/delete_series", "POST, PUT /api/v1/admin/tsdb/clean_tombstones"} {
		_, section, found := strings.Cut(string(content), "\n### "+title+"\n")
		if !found {
			t.Fatalf("the page has no section %q", title)
		}
		section, _, _ = strings.Cut(section, "\n### ")
		lines := strings.Split(section, "\n")
		for i, line := range lines {
			command, ok := strings.CutPrefix(line, "    curl ")
			if !ok {
				continue
			}
			ran++
			command = "curl " + strings.ReplaceAll(command, "localhost:9201", s.addr)
			code, out := runProgram(t, "bash", "-o", "pipefail", "-c", command)
			out, want := strings.TrimSpace(out), strings.TrimSpace(lines[i+1])
			if code != 0 || !sameShape(out, want) {
				t.Errorf("exit code %d of: %s\n%s\nthe page shows\n%s", code, command, out, want)
			}
		}
	}
	if ran < 3 {
		t.Errorf("only %d commands were found", ran)
	}
	s.noPanic(t)
}

// sameShape reports whether two answers are equal, or JSON objects whose members have the same
// names and kinds. Members of lists are not looked at: what there is differs.
func sameShape(got, want string) bool {
	var a, b map[string]any
	if json.Unmarshal([]byte(want), &b) != nil {
		return got == want
	}
	return json.Unmarshal([]byte(got), &a) == nil && sameMembers(a, b)
}

func sameMembers(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	for name, y := range b {
		x, ok := a[name]
		if !ok || reflect.TypeOf(x) != reflect.TypeOf(y) {
			return false
		}
		if below, ok := y.(map[string]any); ok && !sameMembers(x.(map[string]any), below) {
			return false
		}
	}
	return true
}
