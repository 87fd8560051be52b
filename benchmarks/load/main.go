// Load writes a simulated fleet of machines with node_exporter to a
// remote-write 1 receiver as fast as it acknowledges, and reports samples a
// second and latencies.
//
//	go run ./benchmarks/load -targets 200 -span 1h -url http://localhost:9201/api/v1/write
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"tsdb/benchmarks/fleet"
)

func main() {
	var o fleet.Options
	url := flag.String("url", "http://localhost:9201/api/v1/write", "where to write")
	start := flag.String("start", "", "time of the first scrape, RFC 3339 (default: so that the last one lies a minute back)")
	flag.IntVar(&o.Targets, "targets", 200, "targets of 500 series each")
	flag.DurationVar(&o.Span, "span", time.Hour, "time that the scrapes cover")
	flag.DurationVar(&o.Interval, "interval", 15*time.Second, "time between two scrapes of a target")
	flag.Float64Var(&o.Churn, "churn", 0, "share of the targets replaced in an hour of the span")
	flag.IntVar(&o.RequestSamples, "request", 2000, "samples a request")
	flag.IntVar(&o.Senders, "senders", 2, "concurrent senders")
	flag.Uint64Var(&o.Seed, "seed", 1, "same seed, same samples")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "load: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	if *start != "" {
		t, err := time.Parse(time.RFC3339, *start)
		if err != nil {
			fmt.Fprintf(os.Stderr, "load: -start: %v\n", err)
			os.Exit(2)
		}
		o.Start = t
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	f := fleet.New(o)
	fmt.Printf("%d series, %d samples, to %s\n", f.Series(), f.Samples(), *url)
	report, err := f.Send(ctx, *url)
	fmt.Println(report)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
