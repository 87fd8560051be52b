package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"tsdb/storage"

	"tsdb/api/adminctx"
	"tsdb/internal/doctortest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openDB(t *testing.T) *storage.DB {
	t.Helper()
	db, err := storage.Open(t.Context(), doctortest.NewMem(t), "data", storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return db
}

func newTestServer(t *testing.T, o Options) *Server {
	t.Helper()
	if o.DB == nil {
		db := openDB(t)
		o.DB = func() (*storage.DB, error) { return db, nil }
	}
	o.Registry = prometheus.NewRegistry()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask sends a request as peer and returns code and body.
func ask(s *Server, method, path, peer string, header ...string) (int, string) {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "127.0.0.1:9201"
	r.RemoteAddr = peer
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const local, remote = "127.0.0.1:4711", "192.0.2.7:4711"

func TestAdminAndProfilesAnswerLoopbackOnlyUnlessOpened(t *testing.T) {
	admin := func(mux *http.ServeMux) {
		mux.HandleFunc("/api/v1/admin/flush", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "flushed") })
	}
	closed := newTestServer(t, Options{Doors: []func(*http.ServeMux){admin}})
	open := newTestServer(t, Options{Doors: []func(*http.ServeMux){admin}, EnableAdmin: true, EnablePprof: true})
	f := func(s *Server, path, peer string, want int, header ...string) {
		t.Helper()
		if got, body := ask(s, "POST", path, peer, header...); path != "/debug/pprof/" && got != want {
			t.Errorf("POST %s from %s: %d %s, want %d", path, peer, got, body, want)
		}
		if got, body := ask(s, "GET", path, peer, header...); got != want {
			t.Errorf("GET %s from %s: %d %s, want %d", path, peer, got, body, want)
		}
	}
	f(closed, "/api/v1/admin/flush", local, 200)
	f(closed, "/api/v1/admin/flush", "[::1]:99", 200)
	f(closed, "/api/v1/admin/flush", "[::ffff:127.0.0.1]:99", 200)
	f(closed, "/api/v1/admin/flush", remote, 403)
	f(closed, "/api/v1/admin/flush", local, 403, "X-Forwarded-For", "192.0.2.7")
	f(closed, "/api/v1/admin/flush", local, 403, "Origin", "https://example.org")
	f(closed, "/api/v1/admin/flush", local, 200, "Origin", "http://127.0.0.1:9201") // the request's own host
	f(closed, "/debug/pprof/", local, 200)
	f(closed, "/debug/pprof/", remote, 403)
	f(closed, "/debug/pprof/", remote, 403, "X-Forwarded-For", "127.0.0.1")
	f(open, "/api/v1/admin/flush", remote, 200)
	f(open, "/debug/pprof/", remote, 200)
	if code, _ := ask(closed, "GET", "/debug/pprof/goroutine?debug=1", remote); code != 403 {
		t.Errorf("a profile for a remote peer: %d", code)
	}
}

// InfluxDB's path of deletions is closed like the admin paths; statements of /query
// learn whether their client could use those.
func TestDeletionsOfInfluxNeedTheRightsOfAdministrators(t *testing.T) {
	door := func(mux *http.ServeMux) {
		mux.HandleFunc("/api/v2/delete", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "true") })
		mux.HandleFunc("/query", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, adminctx.Allowed(r.Context())) })
	}
	closed := newTestServer(t, Options{Doors: []func(*http.ServeMux){door}})
	open := newTestServer(t, Options{Doors: []func(*http.ServeMux){door}, EnableAdmin: true})
	for _, c := range []struct {
		server *Server
		peer   string
		header []string
		want   bool
	}{
		{closed, local, nil, true},
		{closed, remote, nil, false},
		{closed, local, []string{"X-Forwarded-For", "192.0.2.7"}, false},
		{open, remote, nil, true},
		{open, remote, []string{"X-Forwarded-For", "192.0.2.7"}, true},
	} {
		if code, body := ask(c.server, "POST", "/api/v2/delete", c.peer, c.header...); (code == 200) != c.want || code != 200 && code != 403 {
			t.Errorf("delete from %s %v: %d %s", c.peer, c.header, code, body)
		}
		if code, body := ask(c.server, "POST", "/query", c.peer, c.header...); code != 200 || body != fmt.Sprint(c.want) {
			t.Errorf("query from %s %v: %d %s", c.peer, c.header, code, body)
		}
	}
}

func TestPanicIsRecoveredAndCounted(t *testing.T) {
	s := newTestServer(t, Options{Doors: []func(*http.ServeMux){func(mux *http.ServeMux) {
		mux.HandleFunc("/early", func(http.ResponseWriter, *http.Request) { panic("oops") })
		mux.HandleFunc("/late", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Repeat("x", 1<<16))
			panic("oops")
		})
		mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Repeat("x", 1<<16))
			panic(http.ErrAbortHandler)
		})
	}}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	get := func(path string) (int, string, error) {
		resp, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b), err
	}
	code, body, err := get("/early")
	if code != 500 || err != nil || !strings.Contains(body, `"errorType":"internal"`) || strings.Contains(body, "oops") {
		t.Errorf("early panic: %d %q %v", code, body, err)
	}
	if _, _, err := get("/late"); err == nil {
		t.Error("a truncated response is not detected")
	}
	if _, _, err := get("/broken"); err == nil {
		t.Error("an aborted response is not detected")
	}
	_, body, _ = get("/metrics")
	for _, want := range []string{
		"tsdb_panics_total 2",
		"tsdb_http_requests_in_flight 1\n", // the one for /metrics
		`tsdb_http_requests_total{code="500",handler="/early"} 1`,
		`tsdb_http_requests_total{code="200",handler="/late"} 1`,
		`tsdb_http_requests_total{code="200",handler="/broken"} 1`,
		`tsdb_http_request_duration_seconds_count{handler="/late"} 1`,
		`tsdb_http_request_duration_seconds_count{handler="/broken"} 1`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestReadinessFollowsTheDatabase(t *testing.T) {
	var db *storage.DB
	s := newTestServer(t, Options{DB: func() (*storage.DB, error) {
		if db == nil {
			return nil, fmt.Errorf("%w: starting, 3 of 7 MiB", storage.ErrBusy)
		}
		return db, nil
	}})
	if code, body := ask(s, "GET", "/-/ready", remote); code != 503 || !strings.Contains(body, "3 of 7 MiB") {
		t.Errorf("ready while starting: %d %s", code, body)
	}
	if code, _ := ask(s, "GET", "/-/healthy", remote); code != 200 {
		t.Errorf("healthy while starting: %d", code)
	}
	db = openDB(t)
	if code, _ := ask(s, "GET", "/-/ready", remote); code != 200 {
		t.Errorf("ready: %d", code)
	}
	s.Drain()
	if code, _ := ask(s, "GET", "/-/ready", remote); code != 503 {
		t.Errorf("ready while draining: %d", code)
	}
	if code, body := ask(s, "GET", "/", remote); code != 200 || !strings.Contains(body, "/api/v1/write") {
		t.Errorf("home page: %d %s", code, body)
	}
	if code, body := ask(s, "GET", "/nothing", remote); code != 404 || !strings.HasPrefix(body, `404 page not found: "/nothing" is not served here.`) ||
		!strings.Contains(body, "/api/v1/write") || strings.Count(body, "page not found") != 1 {
		t.Errorf("unknown page: %d %s", code, body)
	}
	if code, _ := ask(s, "POST", "/metrics", remote); code != 405 {
		t.Errorf("another method: %d", code)
	}
}

func TestWebConfigIsCheckedAtStart(t *testing.T) {
	_, err := NewServer(Options{WebConfigFile: "testdata/missing.yml", Registry: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	if err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("a missing file gave %v", err)
	}
}
