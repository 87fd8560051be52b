package api

import (
	"fmt"
	"net/http"
	"strings"
)

// pageHeader marks the requests that the page sends.
const pageHeader = "X-Tsdb-Page"

// isPagePath reports whether a path belongs to the page: files without data.
func isPagePath(path string) bool {
	return path == "/" || path == "/graph" || under(path, "/ui")
}

// mountBrowser registers the page for browsers, and what leads to it.
func (s *Server) mountBrowser(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /graph", s.graph)
	mux.HandleFunc("GET /api/v1/status/whoami", s.whoami)
	mux.HandleFunc("GET /ui", func(w http.ResponseWriter, _ *http.Request) { redirect(w, "ui/explore") })
	mux.HandleFunc("GET /ui/{$}", func(w http.ResponseWriter, _ *http.Request) { redirect(w, "explore") })
	mux.HandleFunc("GET /ui/{name}", s.view)
	mux.HandleFunc("GET /ui/assets/{name}", s.asset)
}

// view sends the page, which shows the view that the path names.
func (s *Server) view(w http.ResponseWriter, r *http.Request) {
	s.page.Index(w, r, func(policy string) {
		h := w.Header()
		// A policy of the web configuration file stays.
		if rest, ok := strings.CutPrefix(h.Get("Content-Security-Policy"), contentPolicy); ok {
			h.Set("Content-Security-Policy", policy+rest)
		}
	})
}

func (s *Server) asset(w http.ResponseWriter, r *http.Request) { s.page.Asset(w, r) }

// home redirects browsers to the page, and tells other clients in plain text what the
// server is.
func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		redirect(w, "ui/explore")
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	// An error means that the client has disconnected.
	_, _ = fmt.Fprintf(w, homeText, s.opts.Version)
}

const homeText = `tsdb %s, a time-series database. A browser shows its page at /ui/explore.
  query     /api/v1/query?query=up
  write     Prometheus remote write to /api/v1/write, InfluxDB line protocol to /write and /api/v2/write
  Grafana   a data source of type Prometheus with this address
  health    /-/ready /-/healthy /metrics
Any unknown path lists all that is served.
`

// graph takes the links to Prometheus' page, which alerts carry, to the view that
// knows their parameters.
func (s *Server) graph(w http.ResponseWriter, r *http.Request) {
	to := "ui/explore"
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	redirect(w, to)
}

// graphLinks passes links to the page of Prometheus 3 on to graph. Their path is that of
// a door for InfluxDB clients, whose requests have none of these parameters.
func (s *Server) graphLinks(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/query" && r.URL.Query().Has("g0.expr") {
			s.graph(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// redirect leads a client to a path relative to that of the request. Unlike
// http.Redirect it leaves the path relative, so that it stays below the prefix
// that a proxy has removed.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
}
