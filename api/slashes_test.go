package api

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRepeatedSlashesCountAsOne(t *testing.T) {
	s := newTestServer(t, Options{Doors: []func(*http.ServeMux){func(mux *http.ServeMux) {
		mux.HandleFunc("POST /write", func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s", r.URL.Query().Get("db"), b)
		})
		mux.HandleFunc("POST /api/v1/admin/flush", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "flushed") })
		mux.HandleFunc("GET /api/v1/label/{name}/values", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.PathValue("name")) })
	}}})
	f := func(method, path, peer string, code int, body string) {
		t.Helper()
		r := httptest.NewRequest(method, "http://127.0.0.1:9201"+path, strings.NewReader("m v=1"))
		r.RemoteAddr = peer
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, r)
		if w.Code != code || !strings.Contains(w.Body.String(), body) {
			t.Errorf("%s %s: %d %q, want %d %q", method, path, w.Code, w.Body, code, body)
		}
	}
	f("POST", "//write?db=a", remote, 200, "a m v=1")
	f("POST", "///write?db=a//b", remote, 200, "a//b m v=1")
	f("GET", "/api//v1///label/a%2F%2Fb/values", remote, 200, "a//b")
	f("GET", "/api/v1/label/a%2F%2Fb/values", remote, 200, "a//b")
	f("GET", "//-//ready", remote, 200, "ready")
	f("POST", "//api/v1//admin/flush", remote, 403, "only peers on this machine")
	f("POST", "//api/v1//admin/flush", local, 200, "flushed")
	f("POST", "//api/v1/%61dmin/flush", remote, 403, "only peers on this machine")
}

// A request is known by the path that serves it: to the mux and to the rules of pages of
// other origins.
func TestRequestsAreRerouted(t *testing.T) {
	s := newTestServer(t, Options{
		Doors: []func(*http.ServeMux){func(mux *http.ServeMux) {
			mux.HandleFunc("POST /api/v1/series", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "reads") })
			mux.HandleFunc("POST /other", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "writes "+r.URL.Path) })
		}},
		Route: func(r *http.Request) string {
			if r.Header.Get("Content-Type") == "application/json" {
				return "/other"
			}
			return ""
		},
	})
	f := func(media, origin string, code int, body string) {
		t.Helper()
		r := httptest.NewRequest("POST", "http://127.0.0.1:9201/api/v1/series?a=b", nil)
		r.Header.Set("Content-Type", media)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, r)
		if w.Code != code || !strings.Contains(w.Body.String(), body) {
			t.Errorf("%s: %d %q, want %d %q", media, w.Code, w.Body, code, body)
		}
	}
	f("text/plain", "", 200, "reads")
	f("text/plain", "http://evil.example", 200, "reads")
	f("application/json", "", 200, "writes /other")
	f("application/json", "http://evil.example", 403, "may not change data")
}
