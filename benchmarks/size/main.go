package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"tsdb/benchmarks/server"
	"tsdb/benchmarks/sets"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "size:", err)
		os.Exit(1)
	}
}

func run() error {
	var (
		record   = flag.String("record", "", "scrape a node_exporter of this machine into this new `file`, and do nothing else")
		duration = flag.Duration("for", 30*time.Minute, "how long to record")
		exporter = flag.String("node-exporter", "prometheus-node-exporter", "the node_exporter that -record starts")

		tsdb    = flag.String("tsdb", "bin/tsdb", "the tsdb binary")
		vm      = flag.String("victoriametrics", "", "the VictoriaMetrics binary to run beside it (default: none)")
		vmOld   = flag.String("victoriametrics-old", "", "a second, older one (default: none)")
		names   = flag.String("sets", "", "which sets, by their short names, separated by commas (default: all)")
		real    = flag.String("recording", "", "the `file` that -record wrote; without it there is no set real")
		o       options
		scratch = flag.String("scratch", "", "where data directories are made (default: the system's temporary directory)")
	)
	flag.IntVar(&o.hosts, "hosts", 100, "hosts of cpu, devops, sensors and uniform")
	flag.IntVar(&o.targets, "targets", 40, "targets of the fleet")
	flag.DurationVar(&o.span, "span", day, "time that the generated sets cover, at most a week")
	flag.Uint64Var(&o.seed, "seed", 1, "same seed, same samples")
	flag.Parse()
	if flag.NArg() > 0 || o.hosts < 1 || o.targets < 1 || o.span < time.Minute || o.span > 7*day {
		return errors.New("usage: size [-victoriametrics PATH] [-recording FILE] [-sets NAME,…] [-hosts N] [-targets N] [-span DURATION]")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *record != "" {
		return recordNode(ctx, *exporter, *duration, *record)
	}

	o.recording = *real
	chosen, err := choose(*names, o)
	if err != nil {
		return err
	}
	// The samples are compared, not what is made of them.
	servers := []server.Server{server.TSDB(*tsdb).With("--rollups", "off")}
	if *vm != "" {
		servers = append(servers, server.VictoriaMetrics("VictoriaMetrics", *vm))
	}
	if *vmOld != "" {
		servers = append(servers, server.VictoriaMetrics("VictoriaMetrics, old", *vmOld))
	}
	var rows []row
	for _, s := range chosen {
		r, err := measure(ctx, s, servers, *scratch)
		if err != nil {
			return fmt.Errorf("%s: %w", s.set.Name, err)
		}
		rows = append(rows, r)
	}
	writeTable(os.Stdout, servers, rows)
	return nil
}

// recordNode starts a node_exporter and records it once a second.
func recordNode(ctx context.Context, program string, span time.Duration, file string) error {
	p, _, err := server.Start(ctx, server.NodeExporter(program), "")
	if err != nil {
		return err
	}
	defer p.Kill()
	n, err := sets.Record(ctx, p.URL+"/metrics", time.Second, span, file)
	if err != nil {
		return p.Fail(err)
	}
	fmt.Printf("%d scrapes in %s\n", n, file)
	return nil
}
