package main

import (
	"net/http"
	"strings"
	"testing"

	"tsdb/api"
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
	for path, methods := range api.ServedPaths() {
		if !strings.Contains(body, path) {
			t.Errorf("the list lacks %s", path)
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
