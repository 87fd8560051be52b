package main

import (
	"net/http"
	"strings"
	"testing"

	"tsdb/internal/await"
)

// The paths listed in a 404 are served, with the listed methods.
func TestNotFoundListsServedPaths(t *testing.T) {
	s, client, _ := startService(t)
	base := strings.TrimSuffix(s.url(), "/")
	await.That(t, "ready", func() bool { code, _ := get(t, client, base+"/-/ready"); return code == 200 })
	code, body := get(t, client, base+"/api/v1/nothing")
	if code != http.StatusNotFound {
		t.Errorf("an unknown path: %d", code)
	}
	listed := listedPaths(body)
	if len(listed) < 40 {
		t.Errorf("%d paths are listed:\n%s", len(listed), body)
	}
	for path, methods := range listed {
		if path == "/ui/assets/NAME" {
			continue // no file has that name; the tests of api/web ask for each that there is
		}
		for _, method := range methods {
			r, err := http.NewRequest(method, base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %s", method, path, resp.Status)
			}
		}
	}
}

// listedPaths returns the paths that a 404 lists, with their methods. Its lines are
// "  subject (METHOD, METHOD): /path /path".
func listedPaths(body string) map[string][]string {
	all := map[string][]string{}
	for line := range strings.Lines(body) {
		head, paths, ok := strings.Cut(strings.TrimSpace(line), "): ")
		if i := strings.LastIndex(head, " ("); ok && i >= 0 {
			for path := range strings.FieldsSeq(paths) {
				all[path] = strings.Split(head[i+2:], ", ")
			}
		}
	}
	return all
}
