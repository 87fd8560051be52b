package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"tsdb/api"
	"tsdb/api/limiter"
	"tsdb/internal/vfs"
	"tsdb/query"
	"tsdb/storage"
)

// A shutdown has to end before those who ordered it lose patience: container
// runtimes kill after 10 s.
const (
	stopLimit   = 8 * time.Second // for everything
	finishLimit = 5 * time.Second // of it for requests under way
)

// serve runs the server until a signal ends it.
func serve(args []string, stdout, stderr io.Writer) error {
	c, err := loadConfig(args, stdout)
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(paceCollector())
	cpus := spareProcessors()
	log := newLogger(stderr, c)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stopOnSignal(log, stop)

	s, err := newService(c, log, cpus)
	if err != nil {
		return err
	}
	return s.run(ctx)
}

// spareProcessors gives Go's scheduler two processors more than there are CPUs,
// and returns for how many there are. Queries that work keep no more than those
// busy, and one that has nothing to do waits for the network: otherwise a request
// that comes in while big queries work waits up to 10 ms each time before anybody
// looks, and it is the operating system that lets it on a CPU at once. The other
// is what the garbage collector takes while it marks (go run ./benchmarks/fair).
func spareProcessors() (cpus int) {
	cpus = runtime.GOMAXPROCS(0)
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(cpus + 2)
	}
	return cpus
}

// stopOnSignal calls stop at the first SIGINT or SIGTERM and ends the process
// at the second.
func stopOnSignal(log *slog.Logger, stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		log.Info("stopping", "signal", (<-signals).String())
		stop()
		log.Warn("stopped at once", "signal", (<-signals).String())
		os.Exit(exitFailure)
	}()
}

func newLogger(w io.Writer, c *config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.logLevel.value)); err != nil {
		panic(fmt.Sprintf("BUG: --log.level: %v", err))
	}
	o := &slog.HandlerOptions{Level: level}
	if c.logFormat.value == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// service is the running server: its listeners, what answers on them and the
// database behind.
type service struct {
	config   *config
	cpus     int // goroutines that evaluate queries at a time
	log      *slog.Logger
	dataDir  string
	registry *prometheus.Registry
	database database
	self     *api.SelfScrape // nil = off

	httpListener, grpcListener net.Listener
	engine                     *query.Engine
	reads                      *limiter.Limiter                                           // of what reads samples without the engine
	refuse                     func(http.ResponseWriter, *http.Request, int, string) bool // in the form of a path's protocol
	http                       *api.Server
	rpc                        *api.RPC
}

// newService takes the ports and mounts the doors. On an error nothing is left
// open.
func newService(c *config, log *slog.Logger, cpus int) (_ *service, err error) {
	s := &service{config: c, cpus: cpus, log: log, registry: prometheus.NewRegistry()}
	if s.dataDir, err = c.dataDir(); err != nil {
		return nil, err
	}
	if s.httpListener, err = listen("--http", c.http); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.closeListeners()
		}
	}()
	if s.grpcListener, err = listen("--grpc", c.grpc); err != nil {
		return nil, err
	}
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tsdb_build_info", Help: "Always 1; the label says which version runs.",
		ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
	s.registry.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	if c.selfScrape > 0 {
		s.self = api.NewSelfScrape(api.SelfScrapeOptions{
			DB: s.database.get, Gatherer: s.registry, Interval: time.Duration(c.selfScrape), Instance: s.instance(),
		})
	}
	doors, calls := s.doors()
	if s.http, err = api.NewServer(api.Options{
		DB: s.database.get, Doors: doors, Registry: s.registry, Logger: log, Version: version,
		EnableAdmin: bool(c.enableAdmin), EnablePprof: bool(c.enablePprof), WebConfigFile: c.webConfig, MaxConnections: int(c.webMaxConns),
		Refuse: s.refuse, ExternalURL: c.webExternalURL, Hosts: c.hosts(), CORSOrigin: c.webCORSOrigin,
	}); err != nil {
		return nil, err
	}
	if s.rpc, err = api.NewRPC(s.registry, log, c.webConfig, calls...); err != nil {
		return nil, err
	}
	s.rpc.LimitConnections(int(c.webMaxConns))
	return s, nil
}

// run answers requests while it opens the database and after, until ctx ends.
func (s *service) run(ctx context.Context) error {
	failed := make(chan error, 2)
	var servers sync.WaitGroup
	servers.Go(func() { failed <- s.http.Serve(s.httpListener) })
	servers.Go(func() { failed <- s.rpc.Serve(s.grpcListener) })
	s.log.Info("listening", "url", s.url(), "grpc", s.grpcListener.Addr().String(), "data", s.dataDir,
		"retention", s.retentionText(), "wal.sync", s.config.walSync.String(), "durability", s.config.walSync.promise(), "version", version)

	err := s.open(ctx)
	if err == nil {
		scrape, cancel := context.WithCancel(context.Background())
		var scraping sync.WaitGroup
		if s.self != nil {
			scraping.Go(func() { s.self.Run(scrape) })
		}
		db := s.database.orNil()
		var lost <-chan struct{}
		if db != nil { // a signal may have come first
			lost = db.Failed()
		}
		select {
		case <-ctx.Done():
		case err = <-failed:
		case <-lost:
			err = fmt.Errorf("stopped: %w", db.Health())
		}
		cancel()
		scraping.Wait()
	}
	err = errors.Join(err, s.shutdown())
	servers.Wait()
	return err
}

// open opens the database and lets requests at it. A signal meanwhile is no
// error.
func (s *service) open(ctx context.Context) error {
	begin := time.Now()
	// Clients see errors: they need not learn where the directory is.
	fsys, dir := vfs.NewRelative(vfs.OS, filepath.ToSlash(s.dataDir))
	db, err := storage.Open(ctx, fsys, dir, s.storageOptions())
	if ctx.Err() != nil {
		if err == nil {
			s.database.set(db) // for shutdown to close
		}
		return nil
	}
	if err != nil {
		return s.explain(err)
	}
	s.database.set(db)
	s.rpc.SetServing(true)
	s.log.Info("ready", "after", time.Since(begin).Round(time.Millisecond))
	return nil
}

func (s *service) storageOptions() storage.Options {
	return storage.Options{
		Strict:      bool(s.config.strict),
		RetentionMs: s.config.retention.ms(),
		MaxFutureMs: s.config.maxFuture.ms(),
		Limits:      s.limits(),
		WALSync:     s.config.walSync.mode,
		Background:  true,
		Owner:       s.owner(time.Now()),
		Clock:       vfs.SystemClock,
		Logger:      s.log,
		Registerer:  s.registry,
		Progress:    s.database.progress,
	}
}

// owner says in LOCK which process has the data directory open.
func (s *service) owner(started time.Time) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("pid %d on host %s, started %s, serving %s", os.Getpid(), host, started.UTC().Format(time.RFC3339), s.url())
}

// explain adds to an error of Open what can be done about it.
func (s *service) explain(err error) error {
	var lost *storage.LogLossError
	switch {
	case errors.As(err, &lost):
		return fmt.Errorf("open %s: %w. If the files are elsewhere (is the disk of %s mounted?), put them back and start again. "+
			"To go on without these samples: tsdb repair --data %s --accept-log-loss=%s", s.dataDir, err, filepath.Join(s.dataDir, "wal"), s.dataDir, lost.Token)
	case errors.Is(err, storage.ErrInUse):
		return fmt.Errorf("open %s: %w: stop that one, or choose another directory with --data", s.dataDir, err)
	case errors.Is(err, storage.ErrStrict):
		return fmt.Errorf("open %s: %w\nNothing was changed. tsdb check --data %s shows all of it; without --strict the server starts, warns where samples are missing, "+
			"and restores a damaged copy of MANIFEST", s.dataDir, err, s.dataDir)
	case errors.Is(err, storage.ErrManifestDamaged):
		return fmt.Errorf("open %s: %w. What can be done is shown by: tsdb repair --data %s", s.dataDir, err, s.dataDir)
	case errors.Is(err, storage.ErrNewerFormat):
		return fmt.Errorf("open %s: %w: start the version that wrote it, or choose another directory with --data", s.dataDir, err)
	}
	return fmt.Errorf("open %s: %w", s.dataDir, err)
}

// shutdown stops taking requests, finishes those under way and closes the
// database, which cuts its head. What does not end in time is cut off: the log
// has it.
func (s *service) shutdown() error {
	deadline, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	finish, cancel := context.WithTimeout(deadline, finishLimit)
	defer cancel()
	s.rpc.SetServing(false)
	var rpc sync.WaitGroup
	rpc.Go(func() { s.rpc.Shutdown(finish) })
	if err := s.http.Shutdown(finish); err != nil {
		s.log.Warn("requests under way were cut off", "err", err)
	}
	rpc.Wait()
	if err := errors.Join(s.engine.Drain(finish), s.reads.Drain(finish)); err != nil {
		s.log.Warn("queries under way were cut off", "err", err)
	} else {
		s.engine.Close()
	}
	db := s.database.orNil()
	if db == nil {
		return nil
	}
	begin := time.Now()
	closed := make(chan error, 1)
	go func() { closed <- db.Close(deadline) }()
	select {
	case err := <-closed:
		if err != nil && deadline.Err() == nil {
			return fmt.Errorf("close database: %w", err)
		}
		s.log.Info("stopped", "closing", time.Since(begin).Round(time.Millisecond))
	case <-deadline.Done():
		s.log.Warn("the head was not cut in time: the next start replays the log", "limit", stopLimit)
	}
	return nil
}

func (s *service) closeListeners() {
	for _, l := range []net.Listener{s.httpListener, s.grpcListener} {
		if l != nil {
			_ = l.Close() // nothing was served on it
		}
	}
}

// listen takes a port, and says which flag chooses another.
func listen(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the port of %s %s is taken by another process: stop it, or choose another with %s", flag, addr, flag)
	case err != nil:
		return nil, fmt.Errorf("listen on %s %s: %w", flag, addr, err)
	}
	return l, nil
}

// instance names this server in its own metrics: host:port.
func (s *service) instance() string {
	addr := s.httpListener.Addr().(*net.TCPAddr)
	host := "localhost"
	if !addr.IP.IsUnspecified() && !addr.IP.IsLoopback() {
		host = addr.IP.String()
	}
	return net.JoinHostPort(host, fmt.Sprint(addr.Port))
}

func (s *service) url() string {
	scheme := "http"
	if hasTLS(s.config.webConfig) {
		scheme = "https"
	}
	return scheme + "://" + s.instance() + "/"
}

// hasTLS reports whether a web configuration, valid or absent, sets TLS up.
func hasTLS(file string) bool {
	if file == "" {
		return false
	}
	content, err := os.ReadFile(file)
	var web struct {
		TLS map[string]any `yaml:"tls_server_config"`
	}
	return err == nil && yaml.Unmarshal(content, &web) == nil && len(web.TLS) > 0
}

func (s *service) retentionText() string {
	if s.config.retention == 0 {
		return "for ever"
	}
	return model.Duration(s.config.retention).String()
}
