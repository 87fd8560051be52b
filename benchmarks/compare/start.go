package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"tsdb/benchmarks/fleet"
	"tsdb/benchmarks/server"
	"tsdb/benchmarks/sets"
)

// startOptions are the sizes of the directories that are started on.
type startOptions struct {
	tsdb  string
	years int    // of daily blocks and folded rollups, 0 = not measured
	hosts int    // of the years: TSBS hosts, of 10 series with a sample an hour each
	load  string // that is in the log when the server is killed, "" = not measured
	runs  int    // starts of each; the median is printed
	data  string // where the directories are kept; "" = not kept
	cold  bool   // with the page cache empty
	log   fleet.Options
}

// firstStartDay is the start of the years.
var firstStartDay = time.Date(2016, 1, 4, 0, 0, 0, 0, time.UTC)

// Goals of the starts. The time is that of an idle machine.
const (
	maxYearsReady = 2 * time.Second
	maxLogReady   = 3 * time.Second
	maxLogCPU     = 4 * time.Second
)

// runStart measures the time and the CPU time from the start of a server until it is
// ready: on years of daily blocks, and after kill -9 with everything in the log.
func runStart(ctx context.Context, args []string) error {
	var o startOptions
	flags := flag.NewFlagSet("compare start", flag.ExitOnError)
	flags.StringVar(&o.tsdb, "tsdb", "bin/tsdb", "the tsdb binary")
	flags.IntVar(&o.years, "years", 10, "years of daily blocks, at most 10; 0 = none")
	flags.IntVar(&o.hosts, "hosts", 20, "hosts in the years, 10 series with a sample an hour each")
	flags.StringVar(&o.load, "load", "2000x10m", "TARGETSxSPAN that the log holds, 500 series of 15 s a target; empty = none")
	flags.IntVar(&o.runs, "runs", 5, "starts; the median is printed")
	flags.BoolVar(&o.cold, "cold", false, "empty the page cache before each start")
	flags.StringVar(&o.data, "data", "", "`directory` where the directories are kept for the next time (default: a temporary one, removed at the end)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || o.years < 0 || o.years > 10 || min(o.hosts, o.runs) < 1 {
		return errors.New("usage: compare start [-tsdb PATH] [-years N] [-hosts N] [-load TARGETSxSPAN] [-runs N] [-cold] [-data DIR], with at most 10 years")
	}
	if o.load != "" {
		var err error
		if o.log, err = parseLoad(o.load); err != nil {
			return err
		}
	}
	if o.data != "" {
		return measureStarts(ctx, o)
	}
	return server.InEmptyDir("", func(dir string) error {
		o.data = dir
		return measureStarts(ctx, o)
	})
}

// startCost is the cost of a start until the server is ready.
type startCost struct {
	ready, cpu time.Duration
	rss        int64 // bytes, then
}

func measureStarts(ctx context.Context, o startOptions) error {
	before := loadAverage()
	fmt.Printf("| start on | files | MB | ready, s | CPU, s | RSS, MB | wanted |\n|---|---:|---:|---:|---:|---:|---|\n")
	if o.years > 0 {
		name := fmt.Sprintf("years-%d-%d", o.years, o.hosts)
		dir, err := o.prepare(name, func(dir string) error { return writeYears(ctx, o, dir) })
		if err != nil {
			return err
		}
		wanted := fmt.Sprintf("≤ %v", maxYearsReady)
		if err := o.measure(ctx, fmt.Sprintf("%d years of daily blocks", o.years), dir, wanted); err != nil {
			return err
		}
	}
	if o.load != "" {
		dir, err := o.prepare("log-"+o.load, func(dir string) error { return writeLog(ctx, o, dir) })
		if err != nil {
			return err
		}
		f := fleet.New(o.log)
		name := fmt.Sprintf("a log of %.1f M samples, %d series", float64(f.Samples())/1e6, f.Series())
		if err := o.measure(ctx, name, dir, fmt.Sprintf("≤ %v, CPU ≤ %v", maxLogReady, maxLogCPU)); err != nil {
			return err
		}
	}
	fmt.Printf("\nLoad of the machine: %s at the start, %s at the end.\n", before, loadAverage())
	return nil
}

// prepare returns a directory that write has written, now or in an earlier run.
func (o *startOptions) prepare(name string, write func(dir string) error) (string, error) {
	dir := filepath.Join(o.data, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	unfinished := dir + ".tmp"
	if err := errors.Join(os.RemoveAll(unfinished), os.MkdirAll(unfinished, 0o755)); err != nil {
		return "", err
	}
	if err := write(unfinished); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return dir, os.Rename(unfinished, dir)
}

// server returns the server that is started: it keeps everything.
func (o *startOptions) server() server.Server {
	return server.TSDB(o.tsdb).With("--retention.raw", "0", "--retention.1m", "0", "--retention.1h", "0")
}

// writeYears leaves what the planners leave of years of which all samples are kept: an
// L2 a day, and hours folded to 64 days. The samples stand in for the minutes.
func writeYears(ctx context.Context, o startOptions, dir string) error {
	c := &contender{Server: o.server(), dir: dir}
	defer c.end()
	set := sets.CPUOnly(sets.Options{Groups: o.hosts, Start: firstStartDay, Span: time.Duration(o.years) * 365 * day, Step: time.Hour, Seed: 1})
	_, err := c.fill(ctx, set)
	return err
}

// writeLog leaves a server killed at the last acknowledgement.
func writeLog(ctx context.Context, o startOptions, dir string) error {
	p, _, err := server.Start(ctx, o.server(), dir)
	if err != nil {
		return err
	}
	report, err := fleet.New(o.log).Send(ctx, p.URL+server.WritePath)
	if err != nil {
		return p.Fail(fmt.Errorf("after %s: %w", report, err))
	}
	p.Kill()
	return nil
}

// measure starts a server on copies of a directory and prints a line of the table.
func (o *startOptions) measure(ctx context.Context, name, dir, wanted string) error {
	var costs []startCost
	for range o.runs {
		cost, err := o.start(ctx, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(os.Stderr, "%s: ready after %v, CPU %v\n", name, cost.ready, cost.cpu)
		costs = append(costs, cost)
	}
	files, size, err := countFiles(dir)
	if err != nil {
		return err
	}
	fmt.Printf("| %s | %d | %.0f | %.2f | %.2f | %.0f | %s |\n", name, files, float64(size)/1e6,
		middle(costs, func(c startCost) time.Duration { return c.ready }).Seconds(),
		middle(costs, func(c startCost) time.Duration { return c.cpu }).Seconds(),
		float64(middle(costs, func(c startCost) int64 { return c.rss }))/1e6, wanted)
	return nil
}

// start measures one start on a copy of a directory: a start leaves segments of the log
// behind that the next one would read.
func (o *startOptions) start(ctx context.Context, dir string) (cost startCost, err error) {
	copied := dir + ".copy"
	defer os.RemoveAll(copied)
	if err := errors.Join(os.RemoveAll(copied), os.CopyFS(copied, os.DirFS(dir))); err != nil {
		return cost, err
	}
	if o.cold {
		if err := server.DropPages(copied); err != nil {
			return cost, err
		}
	}
	p, ready, err := server.Start(ctx, o.server(), copied)
	if err != nil {
		return cost, err
	}
	defer p.Kill()
	cost.ready = ready
	if cost.cpu, err = p.CPU(); err != nil {
		return cost, err
	}
	cost.rss, err = p.RSS()
	return cost, err
}

// countFiles returns the number of files below dir and their bytes.
func countFiles(dir string) (n int, size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	size, err = server.Size(dir)
	return n, size, err
}
