// Fair measures how long small queries take beside big ones:
//
//	go run ./benchmarks/fair -url http://localhost:9201 -end 2026-01-05T06:00:00Z
//
// Many clients send small range queries, one after the other, each about one
// machine of the fleet of ./benchmarks/compare query; first alone, then while
// other clients send big ones without a pause. The aim: the 99th percentile of
// the small ones beside the big ones is at most twice that without.
//
// Both kinds of rounds alternate, so that other work of the machine affects both
// alike, and the report shows the spread. With -pause 0 the small queries alone
// keep the CPUs busy; with a pause they find them idle, or used by big ones.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "fair:", err)
		stop()
		os.Exit(1)
	}
}

// load describes the queries and the server they are sent to.
type load struct {
	url          string
	small, big   string // PromQL; # in small stands for the number of a machine
	machines     int
	lights       int // clients of small queries
	heavies      int
	pause        time.Duration // of a client between small queries
	start, end   string
	step         string
	http         *http.Client
	bigs, failed atomic.Int64 // big queries answered, and those that were not
}

func run(ctx context.Context) error {
	l := &load{http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}}
	flag.StringVar(&l.url, "url", "http://localhost:9201", "`address` of the server")
	flag.StringVar(&l.small, "small", `sum by (mode) (rate(node_cpu_seconds_total{instance="node-00#-0.example.org:9100"}[5m]))`, "small `query`; # is the number of a machine, three digits")
	flag.StringVar(&l.big, "big", `sum by (datacenter) (rate({__name__!=""}[5m]))`, "big `query`")
	flag.IntVar(&l.machines, "machines", 200, "how many `machines` there are")
	flag.IntVar(&l.lights, "lights", 100, "`clients` that ask small queries")
	flag.IntVar(&l.heavies, "heavies", 20, "`clients` that ask big ones")
	flag.DurationVar(&l.pause, "pause", time.Second, "how `long` a client waits after a small query")
	flag.StringVar(&l.end, "end", "", "last `time` of the queries, as in RFC 3339; empty = now")
	span := flag.Duration("span", time.Hour, "time from first to last")
	flag.StringVar(&l.step, "step", "15s", "`step`")
	each := flag.Duration("for", 10*time.Second, "how `long` a round takes")
	rounds := flag.Int("rounds", 3, "how many rounds of each kind")
	flag.Parse()
	end := time.Now()
	if l.end != "" {
		var err error
		if end, err = time.Parse(time.RFC3339, l.end); err != nil {
			return err
		}
	}
	l.start, l.end = end.Add(-*span).Format(time.RFC3339), end.Format(time.RFC3339)

	var alone, beside []time.Duration
	for i := range *rounds + 1 {
		a, err := l.round(ctx, 0, *each)
		if err != nil {
			return err
		}
		if i == 0 { // the caches are warm now
			continue
		}
		b, err := l.round(ctx, l.heavies, *each)
		if err != nil {
			return err
		}
		fmt.Printf("round %d: alone %v, beside %v\n", i, distribution(a), distribution(b))
		alone, beside = append(alone, a...), append(beside, b...)
	}
	fmt.Printf("small queries alone:  %v\nbeside %d big ones:    %v\n", distribution(alone), l.heavies, distribution(beside))
	fmt.Printf("p99 beside ÷ alone:   %.2f\n", float64(percentile(beside, 99))/float64(percentile(alone, 99)))
	fmt.Printf("big queries answered: %d, not: %d\n", l.bigs.Load(), l.failed.Load())
	return nil
}

// warmup is how long big queries have the server for themselves first.
const warmup = 3 * time.Second

// round returns how long each small query took.
func (l *load) round(ctx context.Context, heavies int, d time.Duration) ([]time.Duration, error) {
	begun, stopBig := context.WithCancel(ctx)
	defer stopBig()
	var bigs sync.WaitGroup
	for range heavies {
		bigs.Go(func() {
			for begun.Err() == nil {
				if _, err := l.ask(begun, l.big); err == nil {
					l.bigs.Add(1)
				} else if begun.Err() == nil {
					l.failed.Add(1)
				}
			}
		})
	}
	if heavies > 0 {
		sleep(ctx, warmup)
	}
	timed, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var (
		mu     sync.Mutex
		all    []time.Duration
		failed error
		lights sync.WaitGroup
	)
	for i := range l.lights {
		lights.Go(func() {
			sleep(timed, l.pause*time.Duration(i)/time.Duration(l.lights)) // not all at once
			for k := i; timed.Err() == nil; k++ {
				took, err := l.ask(ctx, strings.ReplaceAll(l.small, "#", fmt.Sprintf("%03d", 1+k%l.machines)))
				mu.Lock()
				all = append(all, took)
				if err != nil && failed == nil {
					failed = err
				}
				mu.Unlock()
				sleep(timed, l.pause)
			}
		})
	}
	lights.Wait()
	stopBig()
	bigs.Wait()
	return all, failed
}

// ask sends a query, reads its answer and returns how long that took.
func (l *load) ask(ctx context.Context, expr string) (time.Duration, error) {
	form := url.Values{"query": {expr}, "start": {l.start}, "end": {l.end}, "step": {l.step}, "nocache": {"1"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+"/api/v1/query_range", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	begin := time.Now()
	resp, err := l.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status + ": " + string(body[:min(len(body), 300)]))
	}
	return time.Since(begin), err
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// distribution writes the median and what few take longer than.
func distribution(ds []time.Duration) string {
	ms := func(p int) string {
		return strconv.FormatFloat(float64(percentile(ds, p).Microseconds())/1000, 'f', 1, 64)
	}
	return fmt.Sprintf("%d queries, p50 %s ms, p90 %s ms, p99 %s ms", len(ds), ms(50), ms(90), ms(99))
}

func percentile(ds []time.Duration, p int) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	ds = slices.Sorted(slices.Values(ds))
	return ds[min(len(ds)*p/100, len(ds)-1)]
}
