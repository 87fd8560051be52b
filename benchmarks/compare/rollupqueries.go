package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tsdb/benchmarks/fleet"
	"tsdb/benchmarks/server"
)

// rollupQuestion is a question of a long range, and the goal for it.
type rollupQuestion struct {
	question
	end      time.Time
	speedup  float64 // time and CPU from samples, at least, in multiples of those from tiers; 0 = no goal
	ofFirst  float64 // CPU, at most, in multiples of that of the first question; 0 = no goal
	outcomes rollupOutcomes
}

// rollupOutcomes are the costs of a question, cold, a run each.
type rollupOutcomes struct {
	tiers, samples, vm []cost
}

// queriedMetrics are those of the fleet that are asked for: counters with two decimals
// and gauges.
var queriedMetrics = []string{"node_cpu_seconds_total", "node_hwmon_temp_celsius"}

// rollupQuestions returns the questions over days that end at end. Steps of ranges lie
// at full hours.
func rollupQuestions(days int, end time.Time) []rollupQuestion {
	odd := end.Add(-(7*time.Hour + 13*time.Minute + 11*time.Second))
	month := fmt.Sprintf("%dd", min(30, days-1))
	long := func(name, query string, speedup, ofFirst float64) rollupQuestion {
		return rollupQuestion{question: question{name: name, span: time.Duration(days)*day - 2*time.Hour, step: time.Hour, query: query}, end: end, speedup: speedup, ofFirst: ofFirst}
	}
	once := func(name, query string) rollupQuestion {
		return rollupQuestion{question: question{name: name, instant: true, query: query}, end: odd, speedup: 20}
	}
	return []rollupQuestion{
		long("rate-1h", `sum by (mode) (rate(node_cpu_seconds_total[1h]))`, 25, 0),
		long("rate-1h15s", `sum by (mode) (rate(node_cpu_seconds_total[1h15s]))`, 0, 0),
		long("max-1h", `max by (instance) (max_over_time(node_hwmon_temp_celsius[1h]))`, 0, 0),
		long("avg-1h", `avg by (instance) (avg_over_time(node_hwmon_temp_celsius[1h]))`, 0, 0),
		long("last", `sum by (mode) (node_cpu_seconds_total)`, 0, 1.3),
		once("increase-"+month, `sum by (mode) (increase(node_cpu_seconds_total[`+month+`]))`),
		once("avg-"+month, `avg by (instance) (avg_over_time(node_hwmon_temp_celsius[`+month+`]))`),
	}
}

// measureRollupQueries loads the fleet and asks the questions cold: from the tiers,
// from the samples, and of VictoriaMetrics if there is one. It returns an error if
// answers from tiers and samples differ.
func measureRollupQueries(ctx context.Context, o rollupOptions) error {
	if o.data != "" {
		return askRollupQuestions(ctx, o, o.data)
	}
	return server.InEmptyDir(o.scratch, func(dir string) error { return askRollupQuestions(ctx, o, dir) })
}

// askRollupQuestions is measureRollupQueries with the servers' directories below dir.
func askRollupQuestions(ctx context.Context, o rollupOptions, dir string) error {
	span := time.Duration(o.days) * day
	d := dataset{
		name: "nodes",
		fleet: fleet.New(fleet.Options{
			Targets: o.targets, Start: firstRollupDay.Add(time.Millisecond), Span: span, Scrapes: 240,
			Keep: func(metric string, _ func(string) string) bool { return slices.Contains(queriedMetrics, metric) },
		}),
		end:   firstRollupDay.Add(span),
		about: fmt.Sprintf("node_exporter fleet, %d targets, %s from %s, %v, an hour a request\n", o.targets, span, firstRollupDay, queriedMetrics),
	}
	ours := &contender{Server: server.TSDB(o.tsdb).With(keepAll...), dir: filepath.Join(dir, "tsdb")}
	all := []*contender{ours}
	var vm *contender
	if o.vm != "" {
		vm = &contender{Server: server.VictoriaMetrics("VictoriaMetrics", o.vm).With("-retentionPeriod", "100y", "-search.maxQueryDuration", "10m", "-search.maxSamplesPerQuery", "10000000000"), dir: filepath.Join(dir, "vm")}
		all = append(all, vm)
	}
	for _, c := range all {
		defer c.end()
		if err := load(ctx, c.Server, d, c.dir); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		if err := c.restart(ctx); err != nil {
			return err
		}
	}
	questions := rollupQuestions(o.days, d.end)
	for i := range questions {
		if err := questions[i].measure(ctx, o.runs, ours, vm); err != nil {
			return fmt.Errorf("%s: %w", questions[i].name, err)
		}
	}
	fmt.Printf("\n%d series of 15 s over %d days, cold:\n\n", 42*o.targets, o.days)
	writeRollupQueries(os.Stdout, questions)
	return nil
}

// measure asks the question in runs, in which tiers, samples and VictoriaMetrics take
// turns; vm may be nil.
func (q *rollupQuestion) measure(ctx context.Context, runs int, ours, vm *contender) error {
	samples := q.question
	samples.resolution = "raw"
	for range runs {
		fromTiers, took, err := ours.askCold(ctx, q.question, q.end)
		if err != nil {
			return err
		}
		q.outcomes.tiers = append(q.outcomes.tiers, took)
		fromSamples, took, err := ours.askCold(ctx, samples, q.end)
		if err != nil {
			return err
		}
		q.outcomes.samples = append(q.outcomes.samples, took)
		if err := samePromise(fromTiers, fromSamples); err != nil {
			return fmt.Errorf("the answers of tiers and samples differ: %w", err)
		}
		if vm == nil {
			continue
		}
		if _, took, err = vm.askCold(ctx, q.question, q.end); err != nil {
			return err
		}
		q.outcomes.vm = append(q.outcomes.vm, took)
	}
	return nil
}

// askCold asks a question with nothing cached in the server and returns the body of the
// answer.
func (c *contender) askCold(ctx context.Context, q question, end time.Time) ([]byte, cost, error) {
	if err := c.forget(ctx); err != nil {
		return nil, cost{}, err
	}
	return c.ask(ctx, q, end, nil)
}

// samePromise returns an error unless two answers agree as rollups promise: the same
// series, steps, warnings and infos, and the same values but for the order in which
// sums are added.
func samePromise(a, b []byte) error {
	var ours, theirs struct{ Warnings, Infos []string }
	if err := json.Unmarshal(a, &ours); err != nil {
		return err
	}
	if err := json.Unmarshal(b, &theirs); err != nil {
		return err
	}
	if !slices.Equal(ours.Warnings, theirs.Warnings) || !slices.Equal(ours.Infos, theirs.Infos) {
		return fmt.Errorf("warnings %q and %q, infos %q and %q", ours.Warnings, theirs.Warnings, ours.Infos, theirs.Infos)
	}
	x, err := parseAnswer(a)
	if err != nil {
		return err
	}
	y, err := parseAnswer(b)
	if err != nil {
		return err
	}
	if len(x) == 0 {
		return fmt.Errorf("no series")
	}
	return x.differs(y, tolerance)
}

// writeRollupQueries writes the medians as Markdown. What misses a goal is bold. The
// machine may be shared, so that the CPU of the server says more than time does.
func writeRollupQueries(w io.Writer, questions []rollupQuestion) {
	fmt.Fprint(w, "| query | tiers, ms · CPU | samples, ms · CPU | ratio · CPU | CPU ÷ first | VictoriaMetrics, ms · CPU |\n")
	fmt.Fprint(w, "|---|---:|---:|---:|---:|---:|\n")
	ratio := func(a, b time.Duration) float64 { return float64(a) / float64(max(1, b)) }
	times := func(x float64, limit float64) string { return bold(fmt.Sprintf("%.1f", x), x < limit) }
	var first cost
	for i, q := range questions {
		tiers, samples, vm := medianCost(q.outcomes.tiers), medianCost(q.outcomes.samples), medianCost(q.outcomes.vm)
		if i == 0 {
			first = tiers
		}
		ofFirst := ratio(tiers.cpu, first.cpu)
		fmt.Fprintf(w, "| %s | %s | %s | %s · %s | %s | %s |\n", q.name, tiers, samples,
			times(ratio(samples.wall, tiers.wall), q.speedup), times(ratio(samples.cpu, tiers.cpu), q.speedup),
			bold(fmt.Sprintf("%.2f", ofFirst), q.ofFirst > 0 && ofFirst > q.ofFirst), vm)
	}
}

// String returns both times in milliseconds.
func (c cost) String() string { return milliseconds(c.wall) + " · " + milliseconds(c.cpu) }

// medianCost returns the medians, field by field, 0 without costs.
func medianCost(costs []cost) cost {
	return cost{
		wall: middle(costs, func(c cost) time.Duration { return c.wall }),
		cpu:  middle(costs, func(c cost) time.Duration { return c.cpu }),
	}
}
