package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"strings"

	"tsdb/storage"
)

// mountPages registers health, readiness and reload.
func (s *Server) mountPages(mux *http.ServeMux) {
	mux.HandleFunc("GET /-/healthy", s.healthy)
	mux.HandleFunc("GET /-/ready", s.ready)
	if s.opts.Reload != nil {
		mux.HandleFunc("POST /-/reload", s.reload)
		mux.HandleFunc("PUT /-/reload", s.reload)
	}
}

// reload reads the configuration again, as Prometheus does.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if err := s.opts.Reload(r.Context()); err != nil {
		http.Error(w, "failed to reload config: "+err.Error(), http.StatusInternalServerError)
	}
}

// healthy responds with 200 while the server works or is starting, and with 503
// when it refuses writes until an operator intervenes. Other problems are listed
// as warnings.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	db, err := s.opts.DB()
	if err != nil {
		fmt.Fprintln(w, "tsdb is healthy.") // it is starting
		return
	}
	var text strings.Builder
	code := http.StatusOK
	switch err := db.Health(); {
	case errors.Is(err, storage.ErrBusy): // such as a full disk: a restart does not help, and reads work
		fmt.Fprintln(&text, "tsdb is healthy, but "+err.Error())
	case err != nil:
		code = http.StatusServiceUnavailable
		fmt.Fprintln(&text, "tsdb is unhealthy: "+err.Error())
	default:
		fmt.Fprintln(&text, "tsdb is healthy.")
	}
	for _, warning := range db.Warnings() {
		fmt.Fprintln(&text, "warning: "+warning)
	}
	quarantined(&text, db)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text.String()) // an error means that the client has disconnected
}

// quarantined lists the blocks that cannot be read in full. They do not make the
// server unhealthy: writes work, and a restart does not help.
func quarantined(w io.Writer, db *storage.DB) {
	lost := db.Quarantined()
	if len(lost) == 0 {
		return
	}
	fmt.Fprintf(w, "warning: blocks missing or damaged: %d; query results over their time ranges are incomplete and carry a warning:\n", len(lost))
	for i, err := range lost {
		if i == maxQuarantined {
			fmt.Fprintln(w, "…")
			break
		}
		fmt.Fprintln(w, err)
	}
}

// maxQuarantined is the maximum number of blocks that the health page lists.
const maxQuarantined = 10

// ready responds with 200 when the server accepts reads and writes.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	_, err := s.opts.DB()
	switch {
	case s.draining.Load():
		http.Error(w, "tsdb is shutting down.", http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, "tsdb is not ready: "+err.Error(), http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "tsdb is ready.")
	}
}

// mountProfiles registers the profiles of net/http/pprof. Server.guard restricts
// access to them.
func (s *Server) mountProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

// writeError responds with an error in the form of Prometheus' API.
func writeError(w http.ResponseWriter, code int, errorType, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// An error means that the client has disconnected.
	_ = json.NewEncoder(w).Encode(struct {
		Status    string `json:"status"`
		ErrorType string `json:"errorType"`
		Error     string `json:"error"`
	}{"error", errorType, text})
}
