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
	"tsdb/api/ingest"
	"tsdb/api/limiter"
	"tsdb/api/scrape"
	"tsdb/internal/vfs"
	"tsdb/query"
	"tsdb/storage"
)

// Time limits of a shutdown. Container runtimes kill the process after 10 s.
const (
	stopLimit   = 8 * time.Second // of the whole shutdown
	finishLimit = 5 * time.Second // of it for requests in flight
)

// serve runs the server until it receives a signal.
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
	s.reloader.reloadOnSignal(ctx)
	return s.run(ctx)
}

// spareProcessors raises GOMAXPROCS by two above the number of CPUs, and returns
// the number of CPUs, which bounds the goroutines that evaluate queries. The first
// spare processor is idle and polls the network. Without it, a request that arrives
// while big queries run waits up to 10 ms each time until a processor polls; with
// it, the operating system gives the request a CPU at once. The second is for the
// garbage collector while it marks (go run ./benchmarks/fair).
func spareProcessors() (cpus int) {
	cpus = runtime.GOMAXPROCS(0)
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(cpus + 2)
	}
	return cpus
}

// stopOnSignal calls stop at the first SIGINT or SIGTERM and exits the process at
// the second.
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

// service is the running server: its listeners, its HTTP and gRPC servers and the
// database.
type service struct {
	config   *config
	cpus     int // number of goroutines that evaluate queries concurrently
	log      *slog.Logger
	dataDir  string
	registry *prometheus.Registry
	database database
	reloader *reloader
	self     *api.SelfScrape // nil = off

	httpListener, grpcListener net.Listener
	lines                      []*linePorts
	engine                     *query.Engine
	ingest                     *ingest.Ingest
	scraper                    *scrape.Manager
	reads                      *limiter.Limiter                                           // of reads without the engine
	status                     *limiter.Limiter                                           // of reports over the index
	refuse                     func(http.ResponseWriter, *http.Request, int, string) bool // in the error format of a path's protocol
	route                      func(*http.Request) string                                 // the path that serves a request
	http                       *api.Server
	rpc                        *api.RPC
}

// newService opens the listeners and mounts the doors. On an error it closes the
// listeners.
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
		Name: "tsdb_build_info", Help: "Always 1; the label is the version of the server.",
		ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
	memory := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tsdb_memory_limit_bytes", Help: "Memory that the process may use: that of the machine or of its control group, whichever is lower; 0 if unknown.",
	})
	memory.Set(float64(memoryBytes("/")))
	s.registry.MustRegister(info, memory, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	if c.selfScrape > 0 {
		s.self = api.NewSelfScrape(api.SelfScrapeOptions{
			DB: s.database.get, Gatherer: s.registry, Interval: time.Duration(c.selfScrape), Instance: s.instance(),
		})
	}
	s.reloader = newReloader(s, c)
	if err = s.openLinePorts(); err != nil {
		return nil, err
	}
	doors, calls := s.doors()
	s.attachLinePorts()
	if s.http, err = api.NewServer(api.Options{
		DB: s.database.get, Doors: doors, Registry: s.registry, Logger: log, Version: version,
		EnableAdmin: bool(c.enableAdmin), EnablePprof: bool(c.enablePprof), Reload: s.reloader.reload, WebConfigFile: c.webConfig, MaxConnections: int(c.webMaxConns),
		Refuse: s.refuse, Route: s.route, ExternalURL: c.webExternalURL, Hosts: c.hosts(), CORSOrigin: c.webCORSOrigin,
	}); err != nil {
		return nil, err
	}
	if s.rpc, err = api.NewRPC(s.registry, log, c.webConfig, calls...); err != nil {
		return nil, err
	}
	s.rpc.LimitConnections(int(c.webMaxConns))
	return s, nil
}

// run serves requests, opens the database meanwhile, and shuts down when ctx ends
// or a server or the database fails.
func (s *service) run(ctx context.Context) error {
	failed := make(chan error, 2+2*len(s.lines))
	var servers sync.WaitGroup
	servers.Go(func() { failed <- s.http.Serve(s.httpListener) })
	servers.Go(func() { failed <- s.rpc.Serve(s.grpcListener) })
	for _, p := range s.lines {
		p.serve(&servers, failed)
		s.log.Info("listening for lines", append([]any{"flags", p.flag + ".*"}, p.addresses()...)...)
	}
	for _, w := range s.config.warnings() {
		s.log.Warn(w)
	}
	s.log.Info("listening", "url", s.url(), "grpc", s.grpcListener.Addr().String(), "data", s.dataDir,
		"retention", s.retentionText(), "rollups", s.config.rollupsText(), "wal.sync", s.config.walSync.String(), "durability", s.config.walSync.promise(), "version", version)

	err := s.open(ctx)
	if err == nil {
		scrapes, cancel := context.WithCancel(context.Background())
		var scraping sync.WaitGroup
		if s.self != nil {
			scraping.Go(func() { s.self.Run(scrapes) })
		}
		scraping.Go(s.reloader.startScraping) // which asks the name service for the host's name
		db := s.database.orNil()
		var lost <-chan struct{}
		if db != nil { // nil if a signal came first
			lost = db.Failed()
		}
		select {
		case <-ctx.Done():
		case err = <-failed:
		case <-lost:
			err = fmt.Errorf("stopped: %w", db.Health())
		}
		cancel()
		s.stopScraping()
		scraping.Wait()
	}
	err = errors.Join(err, s.shutdown())
	servers.Wait()
	return err
}

// open opens the database and makes it available to requests. It returns nil if
// ctx ends meanwhile.
func (s *service) open(ctx context.Context) error {
	begin := time.Now()
	// Errors reach clients, which must not learn the path of the directory.
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
		RetentionMs: s.config.retention.ms(), TierRetentionMs: s.config.tierRetentionMs(), RetentionRules: s.config.storageRules(),
		RetentionBytes: int64(s.config.retentionSize.bytes), RetentionPercent: s.config.retentionSize.percent,
		MaxFutureMs: s.config.maxFuture.ms(),
		WALSync:     s.config.walSync.mode,
		WALKeep:     time.Duration(s.config.walKeep),
		HistoryKeep: time.Duration(s.config.historyKeep),
		Background:  true,
		Memory: func() (func(bytes int64) error, func()) {
			charge := s.engine.Charge()
			return charge.Take, charge.Close
		},
		Owner:      s.owner(time.Now()),
		Clock:      vfs.SystemClock,
		Logger:     s.log,
		Registerer: s.registry,
		Progress:   s.database.progress,
	}
}

// owner returns the content of LOCK, which names the process that has the data
// directory open.
func (s *service) owner(started time.Time) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("pid %d on host %s, started %s, serving %s", os.Getpid(), host, started.UTC().Format(time.RFC3339), s.url())
}

// explain adds advice for the operator to an error of Open.
func (s *service) explain(err error) error {
	var lost *storage.LogLossError
	switch {
	case errors.As(err, &lost):
		return fmt.Errorf("open %s: %w. If the files are elsewhere (is the disk of %s mounted?), put them back and start again. "+
			"To continue without these samples: tsdb repair --data %s --accept-log-loss=%s", s.dataDir, err, filepath.Join(s.dataDir, "wal"), s.dataDir, lost.Token)
	case errors.Is(err, storage.ErrInUse):
		return fmt.Errorf("open %s: %w: stop that one, or choose another directory with --data", s.dataDir, err)
	case errors.Is(err, storage.ErrStrict):
		return fmt.Errorf("open %s: %w\nNothing was changed. tsdb check --data %s lists all damage; without --strict the server starts, warns where samples are missing, "+
			"and restores a damaged copy of MANIFEST", s.dataDir, err, s.dataDir)
	case errors.Is(err, storage.ErrManifestDamaged):
		return fmt.Errorf("open %s: %w. To see the possible repair: tsdb repair --data %s", s.dataDir, err, s.dataDir)
	case errors.Is(err, storage.ErrNewerFormat):
		return fmt.Errorf("open %s: %w: start the version that wrote it, or choose another directory with --data", s.dataDir, err)
	}
	return fmt.Errorf("open %s: %w", s.dataDir, err)
}

// shutdown stops accepting requests, waits for those in flight and closes the
// database, which cuts its head. It gives up at its time limits; acknowledged
// samples are in the log.
func (s *service) shutdown() error {
	deadline, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	finish, cancel := context.WithTimeout(deadline, finishLimit)
	defer cancel()
	s.rpc.SetServing(false)
	var rpc sync.WaitGroup
	rpc.Go(func() { s.rpc.Shutdown(finish) })
	rpc.Go(func() { s.drainLinePorts(finish) })
	if err := s.http.Shutdown(finish); err != nil {
		s.log.Warn("requests in flight were aborted at shutdown", "limit", finishLimit, "err", err)
	}
	rpc.Wait()
	if err := errors.Join(s.engine.Drain(finish), s.reads.Drain(finish), s.status.Drain(finish)); err != nil {
		s.log.Warn("running queries were aborted at shutdown", "limit", finishLimit, "err", err)
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
			_ = l.Close() // it has accepted no connection
		}
	}
	for _, p := range s.lines {
		p.close()
	}
}

// listen opens a listener. The error names the flag that sets its address.
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

// instance returns host:port, the label "instance" of the server's own metrics.
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

// hasTLS reports whether a web configuration file enables TLS. The file may be
// invalid or missing.
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
