package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"tsdb/internal/await"
)

// exchange sends a request and returns the response. headers are pairs of name
// and value.
func exchange(t *testing.T, c *http.Client, method, url, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// A page of another site, and one whose host name an attacker resolves to the
// server, cannot write through any door.
func TestForeignPagesCannotWriteThroughAnyDoor(t *testing.T) {
	s, client, _ := startService(t, "--web.enable-admin-api", "--self-scrape.interval", "0")
	base := strings.TrimSuffix(s.url(), "/")
	await.That(t, "ready", func() bool { code, _ := get(t, client, base+"/-/ready"); return code == 200 })
	pages := [][]string{
		{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		{"Origin", "http://evil.example", "Host", "evil.example"},
	}
	for path, form := range map[string]string{
		"/write":                     `{"error":"`,
		"/query?q=CREATE+DATABASE+x": `{"error":"`,
		"/api/v2/write":              `{"code":"forbidden","message":"`,
		"/api/v1/write":              "",
		"/api/v1/push":               "",
		"/api/v1/admin/flush":        `{"status":"error","errorType":"forbidden"`,
		"/api/v1/admin/compact":      `{"status":"error","errorType":"forbidden"`,
		"/api/v1/admin/drop_caches":  `{"status":"error","errorType":"forbidden"`,
	} {
		for _, page := range pages {
			if code, _, body := exchange(t, client, "POST", base+path, "m v=1", page...); code != 403 || !strings.HasPrefix(body, form) {
				t.Errorf("POST %s of %s: %d %s", path, page[1], code, body)
			}
		}
		// Any page can send a GET through a link or an image.
		if code, _, body := exchange(t, client, "GET", base+path, ""); strings.Contains(path, "admin") && code != 405 || strings.Contains(path, "/query") && !strings.Contains(body, "use a POST request instead") {
			t.Errorf("GET %s: %d %s", path, code, body)
		}
	}
	// Reads by POST are allowed.
	for _, path := range []string{"query?query=1", "query_range?query=1&start=0&end=1&step=1", "query_exemplars?query=x&start=0&end=1", "explain?query=x",
		"format_query?query=x", "parse_query?query=x", "series?match[]=x", "labels"} {
		if code, _, body := exchange(t, client, "POST", base+"/api/v1/"+path, "", pages[0]...); code != 200 {
			t.Errorf("POST %s: %d %s", path, code, body)
		}
	}
	if _, body := get(t, client, base+"/query?q=SHOW+DATABASES"); strings.Contains(body, `"x"`) {
		t.Errorf("a foreign page made a database: %s", body)
	}
	if _, body := get(t, client, base+"/api/v1/label/__name__/values"); !strings.Contains(body, `"data":[]`) {
		t.Errorf("a foreign page wrote: %s", body)
	}
	// The server's own pages and programs may write.
	for _, header := range [][]string{{"Origin", base, "Sec-Fetch-Site", "same-origin"}, {"Host", "tsdb:9201"}, nil} {
		if code, _, body := exchange(t, client, "POST", base+"/write", "m v=1", header...); code != 204 {
			t.Errorf("write with %v: %d %s", header, code, body)
		}
	}
}
