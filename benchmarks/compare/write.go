package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"tsdb/benchmarks/fleet"
	"tsdb/benchmarks/server"
)

// runWrite measures writing.
func runWrite(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("compare write", flag.ExitOnError)
	tsdb := flags.String("tsdb", "bin/tsdb", "the tsdb binary")
	prometheus := flags.String("prometheus", "", "the Prometheus binary to run beside it (default: the one in PATH; none = do not)")
	loads := flags.String("load", "200x1h,2000x10m", "loads, each TARGETSxSPAN")
	runs := flags.Int("runs", 3, "runs a number; the median is printed")
	restarts := flags.Int("restarts", 1, "in how many of the runs the restart after kill -9 is measured, too")
	churn := flags.Float64("churn", 0, "share of the targets replaced in an hour of the span")
	scratch := flags.String("scratch", "", "where data directories are made (default: the system's temporary directory)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *runs < 1 {
		return errors.New("usage: compare [write] [-tsdb PATH] [-prometheus PATH|none] [-load TARGETSxSPAN,…] [-runs N] [-restarts N]")
	}

	servers := []server.Server{server.TSDB(*tsdb)}
	switch *prometheus {
	case "none":
	case "":
		if path, err := exec.LookPath("prometheus"); err == nil {
			servers = append(servers, server.Prometheus(path))
		} else {
			fmt.Println("no prometheus in PATH: tsdb is measured alone")
		}
	default:
		servers = append(servers, server.Prometheus(*prometheus))
	}

	for load := range strings.SplitSeq(*loads, ",") {
		o, err := parseLoad(load)
		if err != nil {
			return err
		}
		o.Churn = *churn
		// The servers take turns, so that changes of the machine's speed affect
		// all of them.
		results := make([][]result, len(servers))
		for n := range *runs {
			for i, s := range servers {
				r, err := measure(ctx, s, o, *scratch, n < *restarts)
				if err != nil {
					return err
				}
				fmt.Fprintf(os.Stderr, "%s, %s, run %d: %s\n", load, s.Name, n+1, r)
				results[i] = append(results[i], r)
			}
		}
		medians := make([]result, len(servers))
		for i := range servers {
			medians[i] = median(results[i])
		}
		printTable(load, o, servers, medians)
	}
	return nil
}

// parseLoad reads TARGETSxSPAN, as in 200x1h.
func parseLoad(s string) (fleet.Options, error) {
	targets, span, ok := strings.Cut(s, "x")
	n, err := strconv.Atoi(targets)
	if !ok || err != nil || n < 1 {
		return fleet.Options{}, fmt.Errorf("load %q is not of the form TARGETSxSPAN, as in 200x1h", s)
	}
	d, err := time.ParseDuration(span)
	if err != nil || d <= 0 {
		return fleet.Options{}, fmt.Errorf("load %q: %q is not a span of time", s, span)
	}
	return fleet.Options{Targets: n, Span: d}, nil
}

// printTable prints the medians as Markdown, with the ratio of the first
// server to each further one.
func printTable(load string, o fleet.Options, servers []server.Server, ms []result) {
	f := fleet.New(o)
	fmt.Printf("\n%s: %d series, %d samples\n\n| |", load, f.Series(), f.Samples())
	for i, s := range servers {
		fmt.Printf(" %s |", s.Name)
		if i > 0 {
			fmt.Printf(" %s ÷ %s |", servers[0].Name, s.Name)
		}
	}
	fmt.Printf("\n|---|%s\n", strings.Repeat("---:|", 2*len(servers)-1))
	row := func(name, format string, field func(result) float64) {
		fmt.Printf("| %s |", name)
		for i, m := range ms {
			fmt.Printf(" "+format+" |", field(m))
			switch {
			case i == 0:
			case field(m) == 0:
				fmt.Print(" – |")
			default:
				fmt.Printf(" %.2f |", field(ms[0])/field(m))
			}
		}
		fmt.Println()
	}
	millis := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	row("million samples a CPU second, flush and compaction included", "%.3f", func(r result) float64 { return r.samplesPerCPUSecond / 1e6 })
	row("million samples a second, senders on the same machine", "%.3f", func(r result) float64 { return r.samplesPerSecond / 1e6 })
	row("latency p50, ms", "%.2f", func(r result) float64 { return millis(r.p50) })
	row("latency p99, ms", "%.2f", func(r result) float64 { return millis(r.p99) })
	row("peak RSS, MB", "%.0f", func(r result) float64 { return float64(r.peakRSS) / 1e6 })
	row("bytes a sample on disk", "%.3f", func(r result) float64 { return r.bytesPerSample })
	row("ready after kill -9, s", "%.2f", func(r result) float64 { return r.ready.Seconds() })
	row("requests sent again", "%.0f", func(r result) float64 { return float64(r.retries) })
}
