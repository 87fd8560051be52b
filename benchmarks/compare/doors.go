package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"tsdb/benchmarks/fleet"
	"tsdb/benchmarks/forms"
	"tsdb/benchmarks/remote"
	"tsdb/benchmarks/server"
	"tsdb/benchmarks/sets"
)

// doorLoad is a row of the table of doors.
type doorLoad struct {
	name   string
	form   string
	rows   int // in a request: scrapes of a machine, which has 500 series, or 10 of a TSBS host
	unit   doorUnit
	wanted float64 // of the unit a CPU second
	ratio  float64 // wanted beside VictoriaMetrics; 0 = none
	data   func(rows int) (forms.Data, []remote.Source, error)
	half   bool          // sent at half of the rate that the server takes, which is measured first
	p99    time.Duration // wanted latency; 0 = none
}

// doorUnit is what is counted in a CPU second.
type doorUnit struct {
	name  string
	count func(d forms.Data, r *remote.Report) float64
}

var (
	inSamples = doorUnit{"M samples", func(_ forms.Data, r *remote.Report) float64 { return float64(r.Samples) / 1e6 }}
	inText    = doorUnit{"MB of text", func(_ forms.Data, r *remote.Report) float64 { return float64(r.Messages) / 1e6 }}
	inSeries  = doorUnit{"k new series", func(d forms.Data, _ *remote.Report) float64 { return float64(d.Series) / 1e3 }}
)

// senders is how many requests are under way at a time.
const senders = 2

// machines returns the data of a fleet.
func machines(targets int, span time.Duration) func(int) (forms.Data, []remote.Source, error) {
	return func(int) (forms.Data, []remote.Source, error) {
		return forms.Fleet(fleet.Options{Targets: targets, Span: span, Senders: senders}), nil, nil
	}
}

// raw is like machines, for loads whose labels would take much memory here: it gives the requests
// of remote write 1 too.
func raw(targets int, span time.Duration) func(int) (forms.Data, []remote.Source, error) {
	return func(rows int) (forms.Data, []remote.Source, error) {
		f := fleet.New(fleet.Options{Targets: targets, Span: span, Senders: senders, RequestSamples: rows * fleet.SeriesPerTarget})
		return forms.Data{Series: f.Series(), Samples: f.Samples()}, f.Sources(), nil
	}
}

// hosts returns the data of TSBS' cpu-only.
func hosts(n int, span time.Duration) func(int) (forms.Data, []remote.Source, error) {
	return func(int) (forms.Data, []remote.Source, error) {
		start := time.Now().Add(-span - time.Minute).Truncate(10 * time.Second)
		d, err := forms.Hosts(sets.CPUOnly(sets.Options{Groups: n, Start: start, Span: span, Seed: 1}), senders)
		return d, nil, err
	}
}

var doorLoads = []doorLoad{
	{name: "remote write 1, 100 k series, 1 h, 2,000 samples a request", form: "remote1", rows: 4, unit: inSamples, wanted: 1.9, ratio: 4.3, data: raw(200, time.Hour)},
	{name: "remote write 1, 100 k series, 6 h, 5,000 samples a request", form: "remote1", rows: 10, unit: inSamples, wanted: 2.5, ratio: 5.5, data: raw(200, 6*time.Hour)},
	{name: "remote write 2, 100 k series, 1 h, 2,000 samples a request", form: "remote2", rows: 4, unit: inSamples, wanted: 1.6, data: machines(200, time.Hour)},
	{name: "remote write 1, 100 k series, 20 min, 2,000 samples a request, half load", form: "remote1", rows: 4, unit: inSamples,
		data: raw(200, 20*time.Minute), half: true, p99: 5 * time.Millisecond},
	{name: "remote write 1, 1 M series, 10 min", form: "remote1", rows: 4, unit: inSamples, wanted: 1.3, ratio: 5, data: raw(2000, 10*time.Minute)},
	{name: "remote write 1, 1 M new series, one sample each", form: "remote1", rows: 4, unit: inSeries, wanted: 150, ratio: 4, data: raw(2000, 15*time.Second)},
	{name: "line protocol, TSBS cpu-only, 1,000 lines a request", form: "lines", rows: 1000, unit: inSamples, wanted: 2.2, ratio: 3, data: hosts(2000, 2*time.Hour)},
	{name: "line protocol, TSBS cpu-only, 10,000 lines a request", form: "lines", rows: 10000, unit: inSamples, wanted: 2.6, ratio: 3.5, data: hosts(2000, 2*time.Hour)},
	{name: "OTLP, zstd, 100 k series, 1 h", form: "otlp", rows: 4, unit: inSamples, wanted: 1.2, ratio: 3, data: machines(200, time.Hour)},
	{name: "JSON lines, 100 k series, 20 min", form: "jsonl", rows: 4, unit: inText, wanted: 150, ratio: 2, data: machines(200, 20*time.Minute)},
	{name: "exposition text, 100 k series, 20 min", form: "text", rows: 4, unit: inText, wanted: 150, ratio: 2, data: machines(200, 20*time.Minute)},
	{name: "CSV, TSBS cpu-only, 1,000 lines a request", form: "csv", rows: 1000, unit: inText, wanted: 150, ratio: 2, data: hosts(2000, 2*time.Hour)},
	{name: "line protocol over TCP, TSBS cpu-only", form: "lines-tcp", rows: 1000, unit: inText, data: hosts(2000, 2*time.Hour)},
	{name: "Graphite over TCP, 100 k series, 20 min", form: "graphite", rows: 4, unit: inText, data: machines(200, 20*time.Minute)},
	{name: "OpenTSDB, 100 k series, 20 min", form: "opentsdb", rows: 4, unit: inText, data: machines(200, 20*time.Minute)},
	{name: "DataDog 1, 100 k series, 20 min", form: "datadog1", rows: 4, unit: inText, data: machines(200, 20*time.Minute)},
	{name: "DataDog 2, zstd, 100 k series, 20 min", form: "datadog2", rows: 4, unit: inSamples, data: machines(200, 20*time.Minute)},
	{name: "OTLP in JSON, 100 k series, 20 min", form: "otlp-json", rows: 4, unit: inText, data: machines(200, 20*time.Minute)},
}

// doorResult holds the figures of one run of one server.
type doorResult struct {
	perCPUSecond float64 // of the load's unit
	samples      float64 // millions a CPU second
	p50, p99     time.Duration
	peakRSS      int64         // bytes
	elapsed      time.Duration // from the first request to the last acknowledgement
	requests     int
	series       int
}

// runDoors measures writing through each protocol.
func runDoors(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("compare doors", flag.ExitOnError)
	tsdb := flags.String("tsdb", "bin/tsdb", "the tsdb binary")
	victoria := flags.String("victoriametrics", "", "the VictoriaMetrics binary to run beside it (default: none)")
	only := flags.String("forms", "", "forms to measure, separated by commas (default: all): "+strings.Join(formNames(), ", "))
	loads := flags.String("loads", "", "a regular expression for the names of the loads to measure, the first column (default: all)")
	runs := flags.Int("runs", 3, "runs a number; the median is printed")
	scratch := flags.String("scratch", "", "where data directories are made (default: the system's temporary directory)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *runs < 1 {
		return errors.New("usage: compare doors [-tsdb PATH] [-victoriametrics PATH] [-forms FORM,…] [-loads REGEXP] [-runs N]")
	}
	wanted, err := regexp.Compile(*loads)
	if err != nil {
		return fmt.Errorf("-loads: %w", err)
	}
	servers := []server.Server{server.TSDB(*tsdb)}
	if *victoria != "" {
		servers = append(servers, server.VictoriaMetrics("VictoriaMetrics", *victoria))
	}
	fmt.Println("| load | unit a CPU second | tsdb | VictoriaMetrics | ratio | wanted | M samples | p50 · p99, ms | peak RSS, MB |")
	fmt.Println("|---|---|---:|---:|---:|---:|---:|---:|---:|")
	for _, load := range doorLoads {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), load.form) || !wanted.MatchString(load.name) {
			continue
		}
		results := make([][]doorResult, len(servers))
		for range *runs {
			for i, s := range servers {
				form, _ := forms.Named(load.form)
				if form.Only != "" && form.Only != s.Name {
					continue
				}
				r, err := load.measure(ctx, s, form, *scratch)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", s.Name, load.name, err)
				}
				fmt.Fprintf(os.Stderr, "%s, %s: %.3f %s a CPU second\n", s.Name, load.name, r.perCPUSecond, load.unit.name)
				results[i] = append(results[i], r)
			}
		}
		load.print(results)
	}
	return nil
}

// measure runs one load against one server, from an empty directory until all is at rest.
func (l doorLoad) measure(ctx context.Context, s server.Server, form forms.Form, scratch string) (r doorResult, err error) {
	message := form.Message()
	if l.half {
		full, err := l.run(ctx, s, form, message, scratch)
		if err != nil {
			return r, err
		}
		message.Every = 2 * senders * full.elapsed / time.Duration(full.requests)
		message.Warmup = full.series / (l.rows * fleet.SeriesPerTarget * senders) // the requests that register them
	}
	return l.run(ctx, s, form, message, scratch)
}

// run is measure of requests that are sent as message says.
func (l doorLoad) run(ctx context.Context, s server.Server, form forms.Form, message remote.Form, scratch string) (r doorResult, err error) {
	data, sources, err := l.data(l.rows)
	if err != nil {
		return r, err
	}
	if sources == nil {
		sources = form.Sources(data, l.rows)
	}
	address := ""
	if port := form.Ports[s.Name]; port != nil {
		if address, err = server.FreeAddress(); err != nil {
			return r, err
		}
		s = s.With(port(address)...)
	}
	err = server.InEmptyDir(scratch, func(dir string) error {
		p, _, err := server.Start(ctx, s, dir)
		if err != nil {
			return err
		}
		defer p.Kill()
		report, err := send(ctx, form, message, p.URL, address, sources)
		if err != nil {
			return p.Fail(fmt.Errorf("after %s: %w", report, err))
		}
		if _, err := s.Settle(ctx, p, dir); err != nil {
			return p.Fail(err)
		}
		cpu, err := p.CPU()
		if err != nil {
			return err
		}
		if r.peakRSS, err = p.PeakRSS(); err != nil {
			return err
		}
		r.perCPUSecond = l.unit.count(data, report) / cpu.Seconds()
		r.samples = inSamples.count(data, report) / cpu.Seconds()
		r.p50, r.p99 = report.Latency(0.5), report.Latency(0.99)
		r.elapsed, r.requests, r.series = report.Elapsed, report.Requests, data.Series
		return nil
	})
	return r, err
}

// send writes all sources to a server, which takes the form at an address of its own unless
// that is empty.
func send(ctx context.Context, form forms.Form, message remote.Form, url, address string, sources []remote.Source) (*remote.Report, error) {
	switch {
	case form.TCP:
		return remote.SendTCP(ctx, address, sources)
	case address != "":
		url = "http://" + address
	}
	return remote.SendAs(ctx, message, url+form.Path, sources)
}

// formNames returns the names of all forms.
func formNames() []string {
	var names []string
	for _, f := range forms.All() {
		names = append(names, f.Name)
	}
	return names
}

// print prints a row of the table; both figures of a cell are tsdb's and VictoriaMetrics'.
func (l doorLoad) print(results [][]doorResult) {
	rate := func(i int) float64 { return middle(results[i], func(r doorResult) float64 { return r.perCPUSecond }) }
	samples := func(i int) string {
		return fmt.Sprintf("%.2f", middle(results[i], func(r doorResult) float64 { return r.samples }))
	}
	latency := func(f func(doorResult) time.Duration) string {
		if middle(results[0], f) == 0 {
			return "–" // nothing is answered
		}
		return fmt.Sprintf("%.1f", middle(results[0], f).Seconds()*1e3)
	}
	memory := fmt.Sprintf("%.0f", float64(middle(results[0], func(r doorResult) int64 { return r.peakRSS }))/1e6)
	both := samples(0)
	peer, ratio := "–", "–"
	if len(results) > 1 && len(results[1]) > 0 {
		peer, ratio = fmt.Sprintf("%.2f", rate(1)), fmt.Sprintf("%.1f", rate(0)/rate(1))
		memory += fmt.Sprintf(" · %.0f", float64(middle(results[1], func(r doorResult) int64 { return r.peakRSS }))/1e6)
		both += " · " + samples(1)
	}
	wanted := "–"
	if l.wanted > 0 {
		wanted = fmt.Sprintf("≥ %g", l.wanted)
	}
	if l.p99 > 0 {
		wanted = fmt.Sprintf("p99 ≤ %g ms", l.p99.Seconds()*1e3)
	}
	if l.ratio > 0 {
		wanted += fmt.Sprintf(", ≥ %g ×", l.ratio)
	}
	fmt.Printf("| %s | %s | %.2f | %s | %s | %s | %s | %s · %s | %s |\n", l.name, l.unit.name, rate(0), peer, ratio, wanted, both,
		latency(func(r doorResult) time.Duration { return r.p50 }), latency(func(r doorResult) time.Duration { return r.p99 }), memory)
}
