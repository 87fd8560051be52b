package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"tsdb/benchmarks/remote"
	"tsdb/benchmarks/server"
	"tsdb/benchmarks/sets"
)

// rollupOptions are the sizes of the measurements of rollups.
type rollupOptions struct {
	tsdb, vm string // binaries; vm "" = none
	series   int    // of the queries, a multiple of seriesPerService
	days     int    // of the queries
	hosts    int    // of the sizes
	targets  int    // of the sizes
	runs     int    // a query
	parts    string // of the measurements, separated by commas
	scratch  string
}

// seriesPerService is the number of series of an instance of sets.Services.
const seriesPerService = 10

// keepAll are the flags of a tsdb that keeps everything.
var keepAll = []string{"--retention.raw", "0", "--retention.1m", "0", "--retention.1h", "0"}

// runRollups measures what rollups cost and save.
func runRollups(ctx context.Context, args []string) error {
	var o rollupOptions
	flags := flag.NewFlagSet("compare rollups", flag.ExitOnError)
	flags.StringVar(&o.tsdb, "tsdb", "bin/tsdb", "the tsdb binary")
	flags.StringVar(&o.vm, "victoriametrics", "", "the VictoriaMetrics binary that is asked the same (default: none)")
	flags.IntVar(&o.series, "series", 100, "series of 15 s that are queried")
	flags.IntVar(&o.days, "days", 60, "days that the queries cover")
	flags.IntVar(&o.hosts, "hosts", 20, "hosts of the set cpu, of 10 series each, in the table of sizes")
	flags.IntVar(&o.targets, "targets", 4, "targets of the set fleet, of 500 series each, in the table of sizes")
	flags.IntVar(&o.runs, "runs", 5, "runs a query; the median is printed")
	flags.StringVar(&o.parts, "parts", "size,query", "what is measured")
	flags.StringVar(&o.scratch, "scratch", "", "where data directories are made (default: the system's temporary directory)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || o.series < seriesPerService || o.days < 2 || o.hosts < 1 || o.targets < 1 || o.runs < 1 {
		return errors.New("usage: compare rollups [-tsdb PATH] [-victoriametrics PATH] [-parts size,query] [-series N] [-days N] [-hosts N] [-targets N] [-runs N]")
	}
	for part := range strings.SplitSeq(o.parts, ",") {
		var err error
		switch part {
		case "size":
			err = measureTiers(ctx, o)
		case "query":
			err = measureTierQueries(ctx, o)
		default:
			err = fmt.Errorf("nothing to measure is named %q (size, query)", part)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
	}
	return nil
}

// tierQuestions are the queries of long ranges. Steps end at full hours.
func tierQuestions(days int) []question {
	span := time.Duration(days) * 24 * time.Hour
	return []question{
		{name: "rate 1h", span: span - 2*time.Hour, step: time.Hour, query: `sum by (job) (rate(requests_total[1h]))`},
		{name: "rate 1h15s", span: span - 2*time.Hour, step: time.Hour, query: `sum by (job) (rate(requests_total[1h15s]))`},
		{name: "max 1h", span: span - 2*time.Hour, step: time.Hour, query: `max by (job) (max_over_time(queue_length[1h]))`},
		{name: "avg 1h", span: span - 2*time.Hour, step: time.Hour, query: `avg by (job) (avg_over_time(temperature_celsius[1h]))`},
		{name: "rate 1d", span: span - 48*time.Hour, step: 24 * time.Hour, query: `sum by (job) (rate(requests_total[1d]))`},
		{name: "last, step 1h", span: span - 2*time.Hour, step: time.Hour, query: `sum by (job) (queue_length)`},
		{name: "increase 30d, instant", step: time.Second, query: fmt.Sprintf(`sum by (job) (increase(requests_total[%dd]))`, min(30, days-1))},
	}
}

// tierOutcome holds the medians of a question, cold.
type tierOutcome struct {
	question
	tiers, raw, vm cost
}

// measureTierQueries loads the set of services and asks the questions cold: from the
// tiers, from the samples, and of VictoriaMetrics if there is one.
func measureTierQueries(ctx context.Context, o rollupOptions) error {
	set := sets.Services(sets.Options{Groups: o.series / seriesPerService, Start: firstDay, Span: time.Duration(o.days) * 24 * time.Hour, Seed: 1})
	end := firstDay.Add(time.Duration(o.days) * 24 * time.Hour)
	return server.InEmptyDir(o.scratch, func(dir string) error {
		ours := &contender{Server: server.TSDB(o.tsdb).With(keepAll...), dir: dir + "/tsdb"}
		all := []*contender{ours}
		var vm *contender
		if o.vm != "" {
			vm = &contender{Server: server.VictoriaMetrics("VictoriaMetrics", o.vm).With("-retentionPeriod", "100y", "-search.maxQueryDuration", "10m"), dir: dir + "/vm"}
			all = append(all, vm)
		}
		for _, c := range all {
			if err := c.fill(ctx, set); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			defer c.end()
		}
		var outcomes []tierOutcome
		for _, q := range tierQuestions(o.days) {
			out, err := measureTierQuestion(ctx, q, end, o.runs, ours, vm)
			if err != nil {
				return fmt.Errorf("query %q: %w", q.name, err)
			}
			outcomes = append(outcomes, out)
		}
		writeTierOutcomes(os.Stdout, o, outcomes)
		return nil
	})
}

// fill starts the server on a new directory and writes a set into it.
func (c *contender) fill(ctx context.Context, set sets.Set) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	if err := c.restart(ctx); err != nil {
		return err
	}
	report, err := remote.Send(ctx, c.process.URL+server.WritePath, set.Sources(1))
	if err != nil {
		return c.process.Fail(fmt.Errorf("after %s: %w", report, err))
	}
	fmt.Fprintf(os.Stderr, "%s, %s: %s\n", set.Name, c.Name, report)
	if _, err := c.Settle(ctx, c.process, c.dir); err != nil {
		return c.process.Fail(err)
	}
	return nil
}

// measureTierQuestion asks a question cold, runs times of each, in turns, and compares
// the answers of tiers and samples. vm may be nil.
func measureTierQuestion(ctx context.Context, q question, end time.Time, runs int, ours, vm *contender) (tierOutcome, error) {
	out := tierOutcome{question: q}
	raw := q
	raw.resolution = "raw"
	var tierCosts, rawCosts, vmCosts []cost
	for range runs {
		fromTiers, took, err := ours.askCold(ctx, q, end)
		if err != nil {
			return out, err
		}
		tierCosts = append(tierCosts, took)
		fromSamples, took, err := ours.askCold(ctx, raw, end)
		if err != nil {
			return out, err
		}
		rawCosts = append(rawCosts, took)
		if err := fromTiers.differs(fromSamples, 1e-9); err != nil {
			return out, fmt.Errorf("tiers and samples differ: %w", err)
		}
		if vm == nil {
			continue
		}
		if _, took, err = vm.askCold(ctx, q, end); err != nil {
			return out, err
		}
		vmCosts = append(vmCosts, took)
	}
	out.tiers, out.raw, out.vm = medianCost(tierCosts), medianCost(rawCosts), medianCost(vmCosts)
	return out, nil
}

// askCold asks a question with nothing cached in the server.
func (c *contender) askCold(ctx context.Context, q question, end time.Time) (answer, cost, error) {
	if err := c.forget(ctx); err != nil {
		return nil, cost{}, err
	}
	body, took, err := c.ask(ctx, q, end, nil)
	if err != nil {
		return nil, took, err
	}
	a, err := parseAnswer(body)
	return a, took, err
}

// medianCost returns the medians of wall and CPU time, 0 without any.
func medianCost(costs []cost) cost {
	if len(costs) == 0 {
		return cost{}
	}
	var wall, cpu []time.Duration
	for _, c := range costs {
		wall, cpu = append(wall, c.wall), append(cpu, c.cpu)
	}
	slices.Sort(wall)
	slices.Sort(cpu)
	return cost{wall: wall[len(wall)/2], cpu: cpu[len(cpu)/2]}
}
