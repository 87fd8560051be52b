package api

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"

	"tsdb/api/web"
	"tsdb/storage"
)

// Timeouts of a connection. A body has a minimum rate instead of a timeout, see
// package reqbody: the largest body must get through a slow line. Writing a
// response has no timeout here because queries have their own.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 5 * time.Minute

	// DefaultMaxConnections is the default number of connections per port.
	DefaultMaxConnections = 4096
)

// Options are the options of a Server. DB, Registry, Logger and Version are
// required.
type Options struct {
	// DB returns the database. Until it is open, the error wraps storage.ErrBusy:
	// the server listens before the log is replayed. Safe for concurrent use.
	DB func() (*storage.DB, error)
	// Doors register the handlers of the protocols.
	Doors []func(*http.ServeMux)
	// Registry is exposed at /metrics; the server adds its own metrics.
	Registry *prometheus.Registry
	Logger   *slog.Logger
	Version  string

	EnableAdmin bool // admin endpoints answer every peer, not only loopback
	EnablePprof bool // the same for profiles
	// Reload reads the configuration again, for /-/reload; nil = that path does not exist.
	Reload func(ctx context.Context) error
	// Refuse responds to a request that the server does not pass to a door, in
	// the error format of the protocol of its path. It returns false if it does
	// not know the path; the response then has Prometheus' format. nil = none.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, text string) bool

	// Route returns the path that serves a request in the place of its own, "" for its
	// own; nil = always its own.
	Route func(r *http.Request) string

	ExternalURL string   // address under which users reach the server; empty = none
	Hosts       []string // further host names of the server
	CORSOrigin  string   // pattern of origins whose pages may read responses and write samples; empty = none

	// MaxConnections bounds the connections; 0 = DefaultMaxConnections.
	MaxConnections int
	// WebConfigFile names the TLS and authentication settings in the format
	// of Prometheus' exporter toolkit; empty = plain HTTP, no authentication.
	WebConfigFile string
}

// Server is the HTTP server. Create one with NewServer and run it with Serve.
type Server struct {
	opts      Options
	origins   *originRules
	config    *webConfig
	passwords *passwords
	rate      *rate.Limiter // of requests; nil = none
	http      *http.Server
	draining  atomic.Bool
	conns     *connections
	page      *web.Page
}

// NewServer returns a server with the doors and its own pages mounted.
func NewServer(o Options) (*Server, error) {
	conf, err := openWebConfig(o.WebConfigFile, o.Logger)
	if err != nil {
		return nil, err
	}
	origins, err := newOriginRules(o.ExternalURL, o.Hosts, o.CORSOrigin)
	if err != nil {
		return nil, err
	}
	s := &Server{opts: o, origins: origins, config: conf, passwords: newPasswords()}
	if err := s.limitRate(); err != nil {
		return nil, err
	}
	refused, err := refusedCounter(o.Registry)
	if err != nil {
		return nil, err
	}
	s.conns = newConnections(o.MaxConnections, refused.WithLabelValues("http"))
	mux := http.NewServeMux()
	if s.page, err = web.New(); err != nil {
		return nil, err
	}
	s.mountPages(mux)
	s.mountBrowser(mux)
	s.mountProfiles(mux)
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{Registry: o.Registry, EnableOpenMetrics: true}))
	for _, mount := range o.Doors {
		mount(mux)
	}
	m, err := newMiddleware(o.Registry, o.Logger)
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler:           collapseSlashes(cutInfluxPrefix(reroute(o.Route, m.wrap(mux, s.protect(s.graphLinks(s.authenticate(s.guard(mux)))))))),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		ConnState:         s.conns.connState,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Serve accepts connections on l until Shutdown and then returns nil. It closes l.
func (s *Server) Serve(l net.Listener) error {
	conf, err := s.config.current()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	protocols := []string{"h2", "http/1.1"}
	if !conf.HTTPConfig.HTTP2 {
		protocols = protocols[1:]
		s.http.TLSNextProto = make(map[string]func(*http.Server, *tls.Conn, http.Handler))
	}
	if s.http.TLSConfig, err = s.config.tls(protocols...); err != nil {
		return errors.Join(err, l.Close())
	}
	if s.http.TLSConfig == nil {
		err = s.http.Serve(l)
	} else {
		err = s.http.ServeTLS(l, "", "")
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Drain makes /-/ready respond with 503, so that load balancers stop sending
// requests, while the server still accepts them.
func (s *Server) Drain() { s.draining.Store(true) }

// Shutdown stops accepting requests and waits for those in flight. If ctx ends
// first, it closes their connections and returns an error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	s.conns.closeUnused()
	err := s.http.Shutdown(ctx)
	if err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}
