package api

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// TestBrowsersAreLedToThePage: the root and Prometheus' links lead to the page by
// relative addresses, which hold below a proxy's prefix.
func TestBrowsersAreLedToThePage(t *testing.T) {
	s := newTestServer(t, Options{})
	for path, want := range map[string]string{
		"/":   "ui/explore",
		"/ui": "ui/explore", "/ui/": "explore",
		"/graph": "ui/explore",
		"/query?g0.expr=up&g0.show_tree=0&g0.tab=table": "ui/explore?g0.expr=up&g0.show_tree=0&g0.tab=table",
		"/graph?g0.expr=rate(x%5B5m%5D)&g0.tab=1":       "ui/explore?g0.expr=rate(x%5B5m%5D)&g0.tab=1",
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

// TestPageAsksForCredentialsItself: its files are open, all else is not, and its
// requests do not make the browser open a dialog.
func TestPageAsksForCredentialsItself(t *testing.T) {
	s := newTestServer(t, Options{WebConfigFile: usersFile(t)})
	for _, path := range []string{"/", "/ui", "/ui/explore", "/ui/assets/x", "/graph"} {
		if code, _ := ask(s, "GET", path, "127.0.0.1:1"); code == 401 {
			t.Errorf("%s needs credentials", path)
		}
		if code, _ := ask(s, "POST", path, "127.0.0.1:1"); code != 401 {
			t.Errorf("POST %s: %d", path, code)
		}
	}
	for _, path := range []string{"/metrics", "/uix", "/api/v1/query", "/-/ready"} {
		for header, want := range map[string]string{"": `Basic realm="tsdb"`, "1": `Page realm="tsdb"`} {
			r := request("GET", path, "127.0.0.1")
			r.Header.Set(pageHeader, header)
			w := httptest.NewRecorder()
			s.http.Handler.ServeHTTP(w, r)
			if w.Code != 401 || w.Header().Get("WWW-Authenticate") != want {
				t.Errorf("%s: %d %q", path, w.Code, w.Header().Get("WWW-Authenticate"))
			}
		}
	}
}

// usersFile writes a web configuration file with one user.
func usersFile(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("sea salt"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(file, []byte("basic_auth_users:\n  ann: "+string(hash)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
