package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// send serves a request from the given peer.
func send(s *Server, peer string, r *http.Request) *httptest.ResponseRecorder {
	r.RemoteAddr = peer
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	return w
}

// doors serve every method and count their requests.
func countingDoors(asked *int, paths ...string) []func(*http.ServeMux) {
	return []func(*http.ServeMux){func(mux *http.ServeMux) {
		for _, p := range paths {
			mux.HandleFunc(p, func(w http.ResponseWriter, _ *http.Request) { *asked++; fmt.Fprint(w, "done") })
		}
	}}
}

func TestForeignPagesCannotChangeData(t *testing.T) {
	asked := 0
	paths := []string{"/write", "/api/v2/write", "/api/v1/write", "/query", "/api/v1/admin/flush"}
	s := newTestServer(t, Options{Doors: countingDoors(&asked, append(paths, "/api/v1/query")...), EnableAdmin: true})
	for _, path := range paths {
		for name, header := range map[string][]string{
			"another site": {"Origin", "https://evil.example"},
			"rebinding":    {"Origin", "http://evil.example"},
			"no-cors":      {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"},
		} {
			host := "127.0.0.1:9201"
			if name == "rebinding" {
				host = "evil.example"
			}
			for _, p := range []string{path, "/" + path} {
				if w := send(s, local, request("POST", "http://x"+p, host, header...)); w.Code != 403 || asked != 0 {
					t.Errorf("%s of %s: %d, %d let through", p, name, w.Code, asked)
				}
			}
		}
		if w := send(s, remote, request("POST", path, "tsdb:9201")); w.Code != 200 || asked != 1 {
			t.Errorf("%s of a program: %d", path, w.Code)
		}
		asked = 0
	}
	w := send(s, remote, request("POST", "/api/v1/query", "tsdb:9201", "Origin", "https://evil.example"))
	if w.Code != 200 || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a query of a foreign page: %d %v", w.Code, w.Header())
	}
}

func TestLoopbackTrustNeedsALocalName(t *testing.T) {
	asked := 0
	s := newTestServer(t, Options{Doors: countingDoors(&asked, "/api/v1/admin/flush"), Hosts: []string{"tsdb.lan"}})
	for _, c := range []struct {
		host   string
		header []string
		want   int
	}{
		{"127.0.0.1:9201", nil, 200}, {"[::1]:9201", nil, 200}, {"localhost", nil, 200}, {"LOCALHOST.:9201", nil, 200}, {"192.0.2.1", nil, 200},
		{"evil.example", nil, 403}, {"tsdb.lan:9201", nil, 403}, {"127.0.0.1.evil.example", nil, 403}, {"", nil, 403},
		{"127.0.0.1:9201", []string{"X-Forwarded-For", "192.0.2.1"}, 403}, {"127.0.0.1:9201", []string{"Forwarded", "for=192.0.2.1"}, 403},
		{"127.0.0.1:9201", []string{"Sec-Fetch-Site", "cross-site"}, 403}, {"127.0.0.1:9201", []string{"Sec-Fetch-Site", "same-origin"}, 200},
	} {
		for _, method := range []string{"POST", "GET"} {
			if w := send(s, local, request(method, "/api/v1/admin/flush", c.host, c.header...)); w.Code != c.want {
				t.Errorf("%s flush at %q with %v: %d, want %d", method, c.host, c.header, w.Code, c.want)
			}
		}
		if w := send(s, local, request("GET", "/debug/pprof/cmdline", c.host, c.header...)); w.Code != c.want {
			t.Errorf("pprof at %q with %v: %d, want %d", c.host, c.header, w.Code, c.want)
		}
	}
}

func TestRefusalsHaveTheFormatOfTheirDoor(t *testing.T) {
	asked := 0
	s := newTestServer(t, Options{
		Doors: countingDoors(&asked, "/write", "/api/v1/admin/flush"),
		Refuse: func(w http.ResponseWriter, r *http.Request, status int, text string) bool {
			if r.URL.Path != "/write" {
				return false
			}
			w.WriteHeader(status)
			fmt.Fprint(w, "own form: "+text)
			return true
		},
	})
	if w := send(s, local, request("POST", "/write", "127.0.0.1", "Origin", "https://evil.example")); w.Code != 403 || !strings.HasPrefix(w.Body.String(), "own form: a page of another origin (https://evil.example)") {
		t.Errorf("write: %d %s", w.Code, w.Body)
	}
	if w := send(s, local, request("POST", "/api/v1/admin/flush", "127.0.0.1", "Origin", "https://evil.example")); w.Code != 403 || !strings.HasPrefix(w.Body.String(), `{"status":"error","errorType":"forbidden"`) {
		t.Errorf("admin: %d %s", w.Code, w.Body)
	}
}

func TestCORSIsLimitedToAllowedOrigins(t *testing.T) {
	asked := 0
	s := newTestServer(t, Options{Doors: countingDoors(&asked, "/write", "/query", "/api/v1/query", "/api/v1/admin/flush"), CORSOrigin: `https://ui\.example`, EnableAdmin: true})
	off := newTestServer(t, Options{Doors: countingDoors(&asked, "/write", "/query", "/api/v1/query")})
	for _, path := range []string{"/write", "/query", "/api/v1/query"} {
		for _, method := range []string{"OPTIONS", "POST"} {
			r := func(origin string) *http.Request {
				return request(method, path, "127.0.0.1", "Origin", origin, "Access-Control-Request-Method", "POST")
			}
			w := send(s, remote, r("https://ui.example"))
			h := w.Header()
			if w.Code/100 != 2 || h.Get("Access-Control-Allow-Origin") != "https://ui.example" || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") ||
				!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") || h.Get("Vary") != "Origin" {
				t.Errorf("%s %s: %d %v", method, path, w.Code, h)
			}
			if h := send(s, remote, r("https://evil.example")).Header(); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Vary") != "Origin" {
				t.Errorf("%s %s of another origin: %v", method, path, h)
			}
			if h := send(off, remote, r("https://ui.example")).Header(); h.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s without the setting: %v", method, path, h)
			}
		}
	}
	if w := send(s, remote, request("POST", "/api/v1/admin/flush", "127.0.0.1", "Origin", "https://ui.example")); w.Code != 403 {
		t.Errorf("an allowed origin administers: %d", w.Code)
	}
}

func TestAnswersCarrySecurityHeaders(t *testing.T) {
	s := newTestServer(t, Options{})
	for _, path := range []string{"/", "/metrics", "/-/healthy", "/debug/pprof/", "/nothing"} {
		h := send(s, local, request("GET", path, "127.0.0.1")).Header()
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") ||
			!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", path, h)
		}
	}
	// The headers of the web configuration file take precedence.
	w := httptest.NewRecorder()
	w.Header().Set("X-Frame-Options", "sameorigin")
	s.http.Handler.ServeHTTP(w, request("GET", "/", "127.0.0.1"))
	if h := w.Header(); h.Get("X-Frame-Options") != "sameorigin" || strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors") {
		t.Errorf("the configured header is lost: %v", h)
	}
}
