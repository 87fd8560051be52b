package api

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// TestBrowsersAreLedToThePage: the root and Prometheus' links lead to the page by
// relative addresses, which hold below a proxy's prefix.
func TestBrowsersAreLedToThePage(t *testing.T) {
	s := newTestServer(t, Options{})
	for path, want := range map[string]string{
		"/":   "ui/explore",
		"/ui": "ui/explore", "/ui/": "explore",
		"/graph": "ui/explore",
		"/graph?g0.expr=rate(x%5B5m%5D)&g0.tab=1": "ui/explore?g0.expr=rate(x%5B5m%5D)&g0.tab=1",
	} {
		r := request("GET", path, "127.0.0.1")
		r.Header.Set("Accept", "text/html,application/xhtml+xml")
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, r)
		if w.Code != 302 || w.Header().Get("Location") != want {
			t.Errorf("%s: %d, Location %q", path, w.Code, w.Header().Get("Location"))
		}
	}
	if code, body := ask(s, "GET", "/", "127.0.0.1:1"); code != 200 || !strings.Contains(body, "/api/v1/query") || strings.Contains(body, "<") {
		t.Errorf("a program gets %d %s", code, body)
	}
}

// TestPageHasAPolicyOfItsOwn: without inline code; one that the web configuration
// file sets stays.
func TestPageHasAPolicyOfItsOwn(t *testing.T) {
	s := newTestServer(t, Options{})
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, request("GET", "/ui/explore", "127.0.0.1"))
	policy := w.Header().Get("Content-Security-Policy")
	if w.Code != 200 || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "script-src 'self'") || !strings.HasSuffix(policy, "frame-ancestors 'none'") {
		t.Errorf("%d %s", w.Code, policy)
	}
	w = httptest.NewRecorder()
	w.Header().Set("Content-Security-Policy", "default-src 'self'")
	s.http.Handler.ServeHTTP(w, request("GET", "/ui/explore", "127.0.0.1"))
	if p := w.Header().Get("Content-Security-Policy"); p != "default-src 'self'" {
		t.Errorf("the configured policy is %q", p)
	}
}
