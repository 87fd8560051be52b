package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"tsdb/benchmarks/remote"
	"tsdb/benchmarks/server"
	"tsdb/benchmarks/sets"
)

// rollupOptions are the sizes of the measurements of rollups.
type rollupOptions struct {
	tsdb, vm    string // binaries; vm "" = none
	targets     int    // of the queries: nodes, of 42 series each
	days        int    // of the queries
	sizeTargets int    // of the sizes: nodes, of 500 series each
	sizeHosts   int    // of the sizes: TSBS hosts, of 10 series each
	sizeDays    int    // of the sizes
	runs        int    // of a query
	parts       string // what is measured, separated by commas
	data        string // where the set of the queries is kept; "" = not kept
	scratch     string // where directories are made; "" = the system's temporary directory

	dashboard string        // file of the dashboard
	interval  time.Duration // between samples of the dashboard's series

	stored      string        // address of a server whose samples are a set of the sizes
	storedSpan  time.Duration // how long ago the first of these were
	storedTimes int           // how often they are written, one after another
}

// maxRollupDays keeps the samples before the clock of the machine.
const maxRollupDays = 600

// firstRollupDay is the start of the sets that are rolled up.
var firstRollupDay = time.Date(2025, 1, 6, 0, 0, 0, 0, time.UTC)

// keepAll are the flags of a tsdb that deletes nothing.
var keepAll = []string{"--retention.raw", "0", "--retention.1m", "0", "--retention.30m", "0", "--retention.1h", "0", "--retention.6h", "0"}

// runRollup measures what rollups cost and save.
func runRollup(ctx context.Context, args []string) error {
	var o rollupOptions
	flags := flag.NewFlagSet("compare rollup", flag.ExitOnError)
	flags.StringVar(&o.tsdb, "tsdb", "bin/tsdb", "the tsdb binary")
	flags.StringVar(&o.vm, "victoriametrics", "", "the VictoriaMetrics binary that is asked the same (default: none)")
	flags.IntVar(&o.targets, "targets", 3, "targets under node_exporter that are queried, 42 series of 15 s each")
	flags.IntVar(&o.days, "days", 60, "days that the queries cover")
	flags.IntVar(&o.sizeTargets, "size-targets", 2, "targets under node_exporter in the table of sizes, 500 series of 15 s each")
	flags.IntVar(&o.sizeHosts, "size-hosts", 50, "hosts of TSBS' cpu-only in the table of sizes, 10 series of 10 s each")
	flags.IntVar(&o.sizeDays, "size-days", 8, "days in the table of sizes; a twelfth of them, but at least one, for samples of 1 s")
	flags.IntVar(&o.runs, "runs", 5, "runs of a query; the median is printed")
	flags.StringVar(&o.parts, "parts", "size,query", "what is measured: size, stored, query, dashboard")
	flags.StringVar(&o.data, "data", "", "`directory` where the set of the queries is kept for the next time (default: a temporary one, removed at the end)")
	flags.StringVar(&o.dashboard, "dashboard", "deploy/grafana/dashboards/year.json", "the `file` of the dashboard, for -parts dashboard")
	flags.DurationVar(&o.interval, "interval", 5*time.Minute, "time between two samples of the 42 series a target that the dashboard shows")
	flags.StringVar(&o.stored, "stored", "http://localhost:9201", "`address` of a server with Prometheus' API whose samples are rolled up here, for -parts stored")
	flags.DurationVar(&o.storedSpan, "stored-span", time.Hour, "how many of them: the latest, at most 24h")
	flags.IntVar(&o.storedTimes, "stored-times", 1, "how often they are written, one after another")
	flags.StringVar(&o.scratch, "scratch", "", "where data directories are made (default: the system's temporary directory)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || min(o.targets, o.sizeTargets, o.sizeHosts, o.sizeDays, o.runs) < 1 || o.days < 3 || o.interval < time.Second || max(o.days, o.sizeDays) > maxRollupDays {
		return fmt.Errorf("usage: compare rollup [-tsdb PATH] [-victoriametrics PATH] [-parts size,stored,query,dashboard] [-data DIR] [-targets N] [-days N] [-runs N], with 3 to %d days", maxRollupDays)
	}
	for part := range strings.SplitSeq(o.parts, ",") {
		measure := map[string]func(context.Context, rollupOptions) error{
			"size": measureRollupSizes, "stored": measureStoredSizes, "query": measureRollupQueries, "dashboard": measureDashboard,
		}[part]
		if measure == nil {
			return fmt.Errorf("nothing to measure is named %q (size, stored, query, dashboard)", part)
		}
		before := loadAverage()
		if err := measure(ctx, o); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
		fmt.Printf("\nLoad of the machine: %s at the start, %s at the end.\n", before, loadAverage())
	}
	return nil
}

// fill starts a server on an empty directory, writes a set, settles it and returns the
// number of samples. The server keeps running.
func (c *contender) fill(ctx context.Context, set sets.Set) (samples int, err error) {
	if err := errors.Join(os.RemoveAll(c.dir), os.MkdirAll(c.dir, 0o755)); err != nil {
		return 0, err
	}
	if err := c.restart(ctx); err != nil {
		return 0, err
	}
	report, err := remote.Send(ctx, c.process.URL+server.WritePath, set.Sources(1))
	if err != nil {
		return 0, c.process.Fail(fmt.Errorf("after %s: %w", report, err))
	}
	fmt.Fprintf(os.Stderr, "%s, %s: %s\n", set.Name, c.Name, report)
	begin := time.Now()
	if _, err := c.Settle(ctx, c.process, c.dir); err != nil {
		return 0, c.process.Fail(err)
	}
	fmt.Fprintf(os.Stderr, "%s, %s: settled in %.1f s\n", set.Name, c.Name, time.Since(begin).Seconds())
	return report.Samples, nil
}
