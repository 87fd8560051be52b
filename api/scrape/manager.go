package scrape

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/alecthomas/units"
	"github.com/prometheus/client_golang/prometheus"
	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/logging"
)

// Options are the options of a Manager.
type Options struct {
	Appendable   storage.AppendableV2 // takes the samples
	MaxBodyBytes int64                // limit of the body of a scrape, for jobs without body_size_limit
	Registerer   prometheus.Registerer
	Logger       *slog.Logger // nil = none

	// Interval is the shortest time between two changes of the targets; 0 = 5 s.
	Interval time.Duration

	// Port is that of the server, External the address by which others reach it: they
	// stand for localhost in the addresses of targets that the API shows.
	Port     string
	External *url.URL
}

// Manager scrapes what its Config says. It is safe for concurrent use.
type Manager struct {
	opts Options

	mu      sync.Mutex
	config  *Config  // in force
	running *running // nil until there is a job
	stopped bool
}

// running are Prometheus' managers.
type running struct {
	discovery *discovery.Manager
	scrape    *scrape.Manager
	cancel    context.CancelFunc // of the discovery
	done      sync.WaitGroup
}

// NewManager returns a Manager that scrapes nothing.
func NewManager(o Options) *Manager {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Manager{opts: o}
}

// Apply makes a configuration the one in force. Targets that it does not change are
// scraped on as before. After an error the one before is in force.
func (m *Manager) Apply(c *Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.stopped:
		return errors.New("scraping has ended")
	case m.running == nil && c.Jobs() == 0:
		m.config = c
		return nil
	case m.running == nil:
		r, err := m.start()
		if err != nil {
			return fmt.Errorf("start scraping: %w", err)
		}
		m.running = r
	}
	if err := m.apply(c); err != nil {
		if m.config != nil {
			err = errors.Join(err, m.apply(m.config))
		}
		return err
	}
	m.config = c
	return nil
}

func (m *Manager) apply(c *Config) error {
	all := c.resolved(m.opts.MaxBodyBytes)
	// First the scrapes, because they look up the jobs of the targets that are found.
	if err := m.running.scrape.ApplyConfig(all); err != nil {
		return fmt.Errorf("apply scrape_configs: %w", err)
	}
	found := make(map[string]discovery.Configs)
	for _, j := range all.ScrapeConfigs {
		found[j.JobName] = j.ServiceDiscoveryConfigs
	}
	if err := m.running.discovery.ApplyConfig(found); err != nil {
		return fmt.Errorf("apply scrape_configs: %w", err)
	}
	return nil
}

// start starts Prometheus' managers.
func (m *Manager) start() (*running, error) {
	o := m.opts
	mechanisms, err := discovery.CreateAndRegisterSDMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	interval := o.Interval
	if interval == 0 {
		interval = 5 * time.Second
	}
	r := &running{}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.discovery = discovery.NewManager(ctx, o.Logger.With("component", "discovery"), o.Registerer, mechanisms, discovery.Name("scrape"), discovery.Updatert(interval))
	if r.discovery == nil {
		cancel()
		return nil, errors.New("metrics of discovery are registered already")
	}
	r.scrape, err = scrape.NewManager(&scrape.Options{
		AppendMetadata:           true,
		DiscoveryReloadInterval:  prommodel.Duration(interval),
		DiscoveryReloadOnStartup: true,
	}, o.Logger.With("component", "scrape"), logging.NewJSONFileLogger, nil, o.Appendable, o.Registerer)
	if err != nil {
		cancel()
		return nil, err
	}
	r.done.Go(func() { _ = r.discovery.Run() })                  // returns that of its context
	r.done.Go(func() { _ = r.scrape.Run(r.discovery.SyncCh()) }) // returns nil
	return r, nil
}

// Stop ends all scrapes. It writes no stale markers, because the server is expected back.
// When ctx ends, Stop returns although scrapes wait for their targets.
func (m *Manager) Stop(ctx context.Context) {
	m.mu.Lock()
	r := m.running
	m.running, m.stopped = nil, true
	m.mu.Unlock()
	if r == nil {
		return
	}
	r.cancel()
	ended := make(chan struct{})
	go func() {
		r.scrape.Stop()
		r.done.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// manager returns Prometheus' manager of scrapes, nil if there is none.
func (m *Manager) manager() *scrape.Manager {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running == nil {
		return nil
	}
	return m.running.scrape
}

// discoveries returns the keys of the kinds of discovery that the binary has.
func discoveries() []string {
	var all []string
	for _, name := range discovery.RegisteredConfigNames() {
		if name != "static" {
			all = append(all, name+"_sd_configs")
		}
	}
	slices.Sort(all)
	return all
}

func bytesOf(n int64) units.Base2Bytes { return units.Base2Bytes(n) }
