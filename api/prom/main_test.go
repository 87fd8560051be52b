package prom

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"tsdb/api/prom/promtest"
	"tsdb/query"
	"tsdb/query/querytest"
	"tsdb/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is the API over a database in memory.
type server struct {
	*httptest.Server
	db *storage.DB
}

// newServer serves the API over the samples of promtest. Unset options get
// working values.
func newServer(t testing.TB, o Options) *server {
	t.Helper()
	s := querytest.New(t, false)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := promtest.Load(s); err != nil {
		t.Fatalf("load: %v", err)
	}
	if o.DB == nil {
		o.DB = func() (*storage.DB, error) { return s.DB, nil }
	}
	if o.Engine == nil {
		o.Engine = query.New(query.Options{})
	}
	mux := http.NewServeMux()
	New(o).Register(mux)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return &server{srv, s.DB}
}

// reply is a response.
type reply struct {
	status int
	header http.Header
	body   string
}

func (s *server) do(t testing.TB, r *http.Request) reply {
	t.Helper()
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

// get sends a GET with parameters, given as alternating names and values.
func (s *server) get(t testing.TB, path string, params ...string) reply {
	t.Helper()
	return s.send(t, http.MethodGet, path, params)
}

func (s *server) post(t testing.TB, path string, params ...string) reply {
	t.Helper()
	return s.send(t, http.MethodPost, path, params)
}

func (s *server) send(t testing.TB, method, path string, params []string) reply {
	t.Helper()
	c := promtest.Case{Name: path, Method: method, Path: path, Form: url.Values{}}
	for i := 0; i < len(params); i += 2 {
		c.Form.Add(params[i], params[i+1])
	}
	r, err := c.Request(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return s.do(t, r)
}

// want checks status, error type and a part of the error of a refusal.
func (r reply) want(t testing.TB, status int, errorType, part string) {
	t.Helper()
	var e struct{ Status, ErrorType, Error string }
	if err := json.Unmarshal([]byte(r.body), &e); err != nil {
		t.Fatalf("status %d, body is no JSON: %q", r.status, clip(r.body))
	}
	if r.status != status || e.Status != "error" || e.ErrorType != errorType || !strings.Contains(e.Error, part) {
		t.Errorf("got %d %s, want %d %s with %q", r.status, clip(r.body), status, errorType, part)
	}
	if got := r.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
}

// data returns the data of a success, decoded into v.
func (r reply) data(t testing.TB, v any) {
	t.Helper()
	e := struct {
		Status string
		Data   any
	}{Data: v}
	if err := json.Unmarshal([]byte(r.body), &e); err != nil || r.status != 200 || e.Status != "success" {
		t.Fatalf("got %d %s: %v", r.status, clip(r.body), err)
	}
}

func clip(s string) string {
	if len(s) > 600 {
		return s[:600] + "…"
	}
	return s
}

var ctx = context.Background()
