package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reloader reads the configuration file again and applies the settings that can change
// while the server runs. It is safe for concurrent use.
type reloader struct {
	service *service
	mu      sync.Mutex // one reload at a time
	current atomic.Pointer[config]
	last    atomic.Int64 // Unix milliseconds of the last successful reload, or of the start
	failed  atomic.Bool  // the last reload
}

// newReloader returns the reloader of a service, and registers its metrics.
func newReloader(s *service, c *config) *reloader {
	r := &reloader{service: s}
	r.current.Store(c)
	r.last.Store(time.Now().UnixMilli())
	s.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tsdb_config_last_reload_successful", Help: "1 if the last reload of the configuration file succeeded, or there was none; otherwise 0.",
		}, func() float64 {
			if r.failed.Load() {
				return 0
			}
			return 1
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tsdb_config_last_reload_success_timestamp_seconds", Help: "Time of the last successful reload of the configuration file, or of the start.",
		}, func() float64 { return float64(r.last.Load()) / 1000 }),
	)
	return r
}

// reloadable reports whether a setting can change while the server runs.
func reloadable(name string) bool {
	return strings.HasPrefix(name, "retention.") || name == "limit.series" || name == "limit.new-series"
}

// reload applies the configuration file. After an error the settings are as before.
func (r *reloader) reload(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.reloadLocked(ctx)
	if r.failed.Store(err != nil); err != nil {
		r.service.log.Error("the configuration was not reloaded, the settings are as before", "err", err)
		return err
	}
	r.last.Store(time.Now().UnixMilli())
	return nil
}

func (r *reloader) reloadLocked(ctx context.Context) error {
	old := r.current.Load()
	if old.file == "" {
		return errors.New("there is no configuration file: name one with --config")
	}
	db, err := r.service.database.get()
	if err != nil {
		return err
	}
	next, err := loadConfig(old.args, io.Discard)
	if err != nil {
		return err
	}
	next, waiting, changed, err := merge(old, next)
	if err != nil {
		return err
	}
	if err := next.scrape.Check(); err != nil {
		return fmt.Errorf("%s: %w", next.file, err)
	}
	if err := r.service.scraper.Apply(next.scrape); err != nil { // after which it is as before
		return err
	}
	if err := db.SetRetention(ctx, next.retentionOf()); err != nil {
		return errors.Join(fmt.Errorf("retention: %w", err), r.service.scraper.Apply(old.scrape))
	}
	if next.doors.yaml != old.doors.yaml || next.limitSeries != old.limitSeries || next.limitNewSeries != old.limitNewSeries {
		r.service.ingest.SetRules(next.doorSettings())
	}
	if next.otlp.yaml != old.otlp.yaml {
		r.service.ingest.SetOTLP(next.otlpSettings())
	}
	r.current.Store(next)
	for _, text := range waiting {
		r.service.log.Warn("a restart is needed for a setting to change", "setting", text)
	}
	for _, text := range next.ruleWarnings() {
		r.service.log.Warn(text)
	}
	r.service.log.Info("configuration reloaded", "file", next.file, "changed", changed, "rules", len(next.rules))
	return nil
}

// merge returns the settings in force after a reload: those of next, except that what is
// not reloadable stays as in old. waiting names what needs a restart, changed what does
// not.
func merge(old, next *config) (_ *config, waiting, changed []string, err error) {
	next.flags.VisitAll(func(f *flag.Flag) {
		was := old.flags.Lookup(f.Name).Value.String()
		now := f.Value.String()
		switch {
		case was == now:
		case reloadable(f.Name) && (was == noTiers) == (now == noTiers):
			changed = append(changed, "--"+f.Name)
		default:
			waiting = append(waiting, "--"+f.Name)
			err = errors.Join(err, next.flags.Set(f.Name, was))
		}
	})
	if old.rulesYAML() != next.rulesYAML() {
		changed = append(changed, rulesKey)
	}
	if old.doors.yaml != next.doors.yaml {
		changed = append(changed, relabelKey+" and "+doorsKey)
	}
	if old.otlp.yaml != next.otlp.yaml {
		changed = append(changed, otlpKey)
	}
	if old.scrapeYAML() != next.scrapeYAML() {
		changed = append(changed, "scrape_configs")
	}
	slices.Sort(changed)
	return next, waiting, changed, err
}

// reloadOnSignal reloads at each SIGHUP until ctx ends.
func (r *reloader) reloadOnSignal(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
				_ = r.reload(ctx) // it has logged why
			}
		}
	}()
}
