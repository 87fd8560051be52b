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

	"tsdb/storage"
)

// Bounds of a connection. A body has no time limit but a minimum rate, see
// package reqbody: one of the largest size must get through a slow line. Writing
// has no bound, because a query may take as long as its timeout says.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 5 * time.Minute

	// DefaultMaxConnections is how many connections each port has by default.
	DefaultMaxConnections = 4096
)

// Options are what a server needs; all fields but the switches are required.
type Options struct {
	// DB returns the database, or an error for which errors.Is(err,
	// storage.ErrBusy) holds while there is none: the server listens before
	// the log is replayed. Safe for concurrent use.
	DB func() (*storage.DB, error)
	// Doors register what they answer, by pattern of http.ServeMux.
	Doors []func(*http.ServeMux)
	// Registry is what /metrics shows; the server adds its own metrics.
	Registry *prometheus.Registry
	Logger   *slog.Logger
	Version  string

	EnableAdmin bool // admin endpoints answer every peer, not only loopback
	EnablePprof bool // the same for profiles
	// Refuse answers a request that the server lets through to no door, in the
	// form of the protocol that the path speaks, and reports whether it knows
	// the path; nil = none. Prometheus' form is the default.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, text string) bool

	ExternalURL string   // address that users have for the server; empty = none
	Hosts       []string // further host names of it
	CORSOrigin  string   // pattern of origins whose pages may read answers and write samples; empty = none

	// MaxConnections bounds the connections; 0 = DefaultMaxConnections.
	MaxConnections int
	// WebConfigFile names the TLS and authentication settings in the format
	// of Prometheus' exporter toolkit; empty = plain HTTP, no authentication.
	WebConfigFile string
}

// Server answers HTTP. Make one with NewServer, run it with Serve.
type Server struct {
	opts      Options
	origins   *originRules
	config    *webConfig
	passwords *passwords
	rate      *rate.Limiter // of requests; nil = none
	http      *http.Server
	draining  atomic.Bool
	conns     *connections
}

// NewServer mounts the doors and the server's own pages.
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
	s.mountPages(mux)
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
		Handler:           collapseSlashes(m.wrap(mux, s.protect(s.authenticate(s.guard(mux))))),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		ConnState:         s.conns.follow,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Serve answers requests that come in at l until Shutdown, and returns nil
// after it. It closes l.
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

// Drain makes the server say that it is not ready, so that a balancer looks
// for another one while requests are still taken.
func (s *Server) Drain() { s.draining.Store(true) }

// Shutdown stops taking requests and returns when those under way are
// finished, or, with an error, when ctx ends; these are then cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	s.conns.closeSilent()
	err := s.http.Shutdown(ctx)
	if err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}
