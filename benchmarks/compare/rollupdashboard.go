package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"tsdb/benchmarks/fleet"
	"tsdb/benchmarks/server"
)

// Properties of Grafana, and what is wanted of a dashboard.
const (
	panelPoints    = 900              // of a panel in two columns
	panelsAtOnce   = 6                // connections of a browser to a server
	scrapeInterval = 15 * time.Second // of the provisioned data source, whatever the samples' interval is
	dashboardMax   = time.Second
	rolledUpMin    = 0.9 // of the samples
)

// panelOutcome is what a panel's question costs.
type panelOutcome struct {
	panelQuestion
	needed, read int64  // samples, by explain: from samples alone, and with tiers
	buckets      int64  // by explain
	alone        []cost // cold, a run each
}

// dashboardOutcome is what a whole dashboard costs, cold, with all panels asked as a
// browser asks them.
type dashboardOutcome struct {
	panels         []panelOutcome
	tiers, samples []cost // a run each
}

// dashboardMetrics are the metrics of the fleet's dashboards, with the values of the
// labels of those series that are kept: 42 a target.
var dashboardMetrics = map[string]map[string][]string{
	"up": nil, "node_uname_info": nil, "node_boot_time_seconds": nil, "node_load1": nil, "node_memory_MemAvailable_bytes": nil,
	"node_cpu_seconds_total":               {"cpu": {"0", "1"}},
	"node_filesystem_size_bytes":           {"mountpoint": {"/", "/var"}},
	"node_filesystem_avail_bytes":          {"mountpoint": {"/", "/var"}},
	"node_disk_read_bytes_total":           {"device": {"nvme0n1"}},
	"node_disk_written_bytes_total":        {"device": {"nvme0n1"}},
	"node_network_receive_bytes_total":     {"device": {"eth0"}},
	"node_network_transmit_bytes_total":    {"device": {"eth0"}},
	"node_hwmon_temp_celsius":              {"sensor": {"temp1"}},
	"http_request_duration_seconds_count":  {"handler": {"/healthz"}},
	"http_request_duration_seconds_sum":    {"handler": {"/healthz"}},
	"http_request_duration_seconds_bucket": {"handler": {"/healthz"}, "le": {"0.005", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "5", "+Inf"}},
}

// onDashboard says whether a series of the fleet is one of dashboardMetrics.
func onDashboard(metric string, value func(label string) string) bool {
	kept, ok := dashboardMetrics[metric]
	for label, values := range kept {
		ok = ok && slices.Contains(values, value(label))
	}
	return ok
}

// measureDashboard loads a year of the fleet and asks what its dashboard of a year asks.
func measureDashboard(ctx context.Context, o rollupOptions) error {
	if o.data != "" {
		return askDashboard(ctx, o, o.data)
	}
	return server.InEmptyDir(o.scratch, func(dir string) error { return askDashboard(ctx, o, dir) })
}

// askDashboard is measureDashboard with the server's directory below dir.
func askDashboard(ctx context.Context, o rollupOptions, dir string) error {
	span := time.Duration(o.days) * day
	f := fleet.New(fleet.Options{
		Targets: o.targets, Start: firstRollupDay.Add(time.Millisecond), Span: span, Interval: o.interval,
		Scrapes: max(1, int(min(day, 240*o.interval)/o.interval)), Keep: onDashboard,
	})
	d := dataset{
		name: "dashboard", fleet: f, end: firstRollupDay.Add(span),
		about: fmt.Sprintf("node_exporter fleet for its dashboard, %d targets, %s from %s, every %s\n", o.targets, span, firstRollupDay, o.interval),
	}
	// The page cache and the server's own are empty: the files are read from the disk.
	c := &contender{Server: server.TSDB(o.tsdb).With(keepAll...).With("--query.lookback-delta", (2*o.interval + time.Minute).String()), dir: filepath.Join(dir, "dashboard")}
	defer c.end()
	if err := load(ctx, c.Server, d, c.dir); err != nil {
		return err
	}
	if err := c.restart(ctx); err != nil {
		return err
	}
	// The range ends when all of it is rolled up, but not at a full hour.
	end := d.end.Add(-(7*time.Hour + 13*time.Minute + 11*time.Second))
	questions, err := readDashboard(o.dashboard, span-day, scrapeInterval, panelPoints)
	if err != nil {
		return err
	}
	var out dashboardOutcome
	for _, q := range questions {
		p := panelOutcome{panelQuestion: q}
		if err := p.explain(ctx, c, end); err != nil {
			return fmt.Errorf("panel %q: %w", q.panel, err)
		}
		out.panels = append(out.panels, p)
	}
	for range o.runs {
		if err := out.run(ctx, c, end); err != nil {
			return err
		}
	}
	fmt.Printf("\n%s over %d days: %d series every %s, %.0f M samples:\n\n", filepath.Base(o.dashboard), o.days, f.Series(), o.interval, float64(f.Samples())/1e6)
	out.write(os.Stdout)
	return nil
}

// run asks all panels at once with tiers, and each by itself. The first run asks them
// without tiers, too, and compares the answers.
func (o *dashboardOutcome) run(ctx context.Context, c *contender, end time.Time) error {
	fromTiers, took, err := o.askAll(ctx, c, end, "")
	if err != nil {
		return err
	}
	o.tiers = append(o.tiers, took)
	if len(o.samples) == 0 {
		fromSamples, took, err := o.askAll(ctx, c, end, "raw")
		if err != nil {
			return err
		}
		o.samples = append(o.samples, took)
		for i, p := range o.panels {
			if err := samePromise(fromTiers[i], fromSamples[i]); err != nil {
				return fmt.Errorf("panel %q: the answers of tiers and samples differ: %w", p.panel, err)
			}
		}
	}
	for i := range o.panels {
		p := &o.panels[i]
		if err := c.forgetAll(ctx); err != nil {
			return err
		}
		_, took, err := c.ask(ctx, p.question, p.last(end), nil)
		if err != nil {
			return fmt.Errorf("panel %q: %w", p.panel, err)
		}
		p.alone = append(p.alone, took)
	}
	return nil
}

// askAll asks the questions of all panels, some at a time, and returns the answers and
// the cost of all.
func (o *dashboardOutcome) askAll(ctx context.Context, c *contender, end time.Time, resolution string) ([][]byte, cost, error) {
	if err := c.forgetAll(ctx); err != nil {
		return nil, cost{}, err
	}
	before, err := c.process.CPU()
	if err != nil {
		return nil, cost{}, err
	}
	answers, errs := make([][]byte, len(o.panels)), make([]error, len(o.panels))
	next := make(chan int, len(o.panels))
	for i := range o.panels {
		next <- i
	}
	close(next)
	begin := time.Now()
	var wg sync.WaitGroup
	for range panelsAtOnce {
		wg.Go(func() {
			for i := range next {
				q := o.panels[i].question
				q.resolution = resolution
				answers[i], _, errs[i] = c.ask(ctx, q, o.panels[i].last(end), nil)
			}
		})
	}
	wg.Wait()
	took := cost{wall: time.Since(begin)}
	after, err := c.process.CPU()
	if err != nil {
		return nil, cost{}, err
	}
	took.cpu = after - before
	for i, err := range errs {
		if err != nil {
			return nil, cost{}, fmt.Errorf("panel %q: %w", o.panels[i].panel, err)
		}
	}
	return answers, took, nil
}

// last returns the time of the last step: Grafana aligns steps of ranges to their
// length.
func (p *panelOutcome) last(end time.Time) time.Time {
	if p.instant {
		return end
	}
	return end.Truncate(p.step)
}

// explain asks the server what it would read.
func (p *panelOutcome) explain(ctx context.Context, c *contender, end time.Time) error {
	for _, resolution := range []string{"raw", "auto"} {
		q := p.question
		q.resolution = resolution
		u, err := url.Parse(q.path(p.last(end)))
		if err != nil {
			return err
		}
		body, err := c.process.Get(ctx, "/api/v1/explain?"+u.RawQuery)
		if err != nil {
			return err
		}
		var answer struct {
			Data struct {
				Total struct{ Samples, Buckets int64 }
			}
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return err
		}
		total := answer.Data.Total
		if resolution == "raw" {
			p.needed = total.Samples
		} else {
			p.read, p.buckets = total.Samples, total.Buckets
		}
	}
	return nil
}

// rolledUp returns which share of the samples is not read, because buckets are.
func rolledUp(needed, read int64) float64 { return 1 - float64(read)/float64(max(1, needed)) }

// write writes the medians as Markdown. What misses a goal is bold.
func (o *dashboardOutcome) write(w io.Writer) {
	fmt.Fprint(w, "| panel | step | buckets, M | samples, M | of samples in tiers | alone, ms · CPU |\n|---|---|---:|---:|---:|---:|\n")
	millions := func(n int64) string { return fmt.Sprintf("%.2f", float64(n)/1e6) }
	share := func(needed, read int64) string {
		x := rolledUp(needed, read)
		return bold(fmt.Sprintf("%.1f %%", 100*x), x < rolledUpMin)
	}
	row := func(name, step string, buckets, read int64, share, took string) {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", name, step, millions(buckets), millions(read), share, took)
	}
	var needed, read, buckets int64
	for _, p := range o.panels {
		step := "once"
		if !p.instant {
			step = promDuration(p.step)
		}
		row(p.panel, step, p.buckets, p.read, share(p.needed, p.read), medianCost(p.alone).String())
		needed, read, buckets = needed+p.needed, read+p.read, buckets+p.buckets
	}
	tiers, samples := medianCost(o.tiers), medianCost(o.samples)
	row("all at once", "", buckets, read, share(needed, read), bold(tiers.String(), tiers.wall > dashboardMax))
	row("all at once, from samples", "", 0, needed, "–", samples.String())
}
