package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"tsdb/benchmarks/server"
)

// peer is a server under measurement and the goal that the first peer, tsdb, has
// beside it.
type peer struct {
	server.Server
	key string // of its directories
	goal
	differs bool // some of its answers differ by design: reported, but not an error
}

// goal is the most that tsdb may take beside a peer, as ratios to the peer's time
// and CPU; 0 = no limit.
type goal struct {
	time  float64
	brief float64 // the same where the peer takes less than briefTime
	cpu   float64
}

const briefTime = 2 * time.Millisecond

// runQuery measures queries.
func runQuery(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("compare query", flag.ExitOnError)
	tsdb := flags.String("tsdb", "bin/tsdb", "the tsdb binary")
	vm := flags.String("victoriametrics", "", "the VictoriaMetrics binary to run beside it (default: none)")
	prometheus := flags.String("prometheus", "", "the Prometheus binary to run beside it (default: none)")
	list := flags.String("queries", "benchmarks/queries.txt", "the `file` of queries")
	only := flags.String("only", "", "ask the queries whose names match this `expression` (default: all)")
	setNames := flags.String("sets", "cpu,fleet", "data sets that are loaded and asked")
	hosts := flags.Int("hosts", 1000, "hosts of the set cpu")
	targets := flags.Int("targets", 200, "targets of the set fleet, of 500 series each")
	runs := flags.Int("runs", 5, "runs a query; the median is printed; 0 = load only")
	restart := flags.Bool("restart", false, "start tsdb anew for a cold query, as its peers, in place of dropping its caches")
	data := flags.String("data", "", "`directory` where loaded sets are kept for the next time (default: a temporary one, removed at the end)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *runs < 0 || *hosts < 1 || *targets < 1 {
		return errors.New("usage: compare query [-tsdb PATH] [-victoriametrics PATH] [-prometheus PATH] [-data DIR] [-sets NAME,…] [-only EXPRESSION] [-runs N]")
	}
	questions, err := chosenQuestions(*list, *only)
	if err != nil {
		return err
	}
	peers := peersOf(*tsdb, *vm, *prometheus)
	if *restart {
		peers[0].DropCaches = nil
	}
	chosen, err := chosenSets(*setNames, datasets(*hosts, *targets))
	if err != nil {
		return err
	}
	measure := func(dir string) error { return measureSets(ctx, peers, chosen, questions, *runs, dir) }
	if *data == "" {
		return server.InEmptyDir("", measure)
	}
	return measure(*data)
}

// measureSets runs the questions on their sets, in directories below dir, and
// prints the table of the runs, if there are any. It then returns an error if
// answers differ.
func measureSets(ctx context.Context, peers []peer, chosen []dataset, questions []question, runs int, dir string) (err error) {
	before := loadAverage()
	var outcomes []outcome
	for _, d := range chosen {
		asked := slices.DeleteFunc(slices.Clone(questions), func(q question) bool { return q.set != d.name })
		of, err := measureSet(ctx, peers, d, asked, runs, dir)
		if err != nil {
			return fmt.Errorf("set %s: %w", d.name, err)
		}
		outcomes = append(outcomes, of...)
	}
	if runs == 0 {
		return nil
	}
	writeTable(os.Stdout, peers, outcomes)
	fmt.Printf("\nLoad of the machine: %s at the start, %s at the end.\n", before, loadAverage())
	for _, o := range outcomes {
		err = errors.Join(err, o.err)
	}
	return err
}

// chosenSets returns the sets with the given names, which are separated by commas.
func chosenSets(names string, all map[string]dataset) (chosen []dataset, err error) {
	for name := range strings.SplitSeq(names, ",") {
		d, ok := all[name]
		if !ok {
			return nil, fmt.Errorf("no data set is named %q", name)
		}
		chosen = append(chosen, d)
	}
	return chosen, nil
}

// chosenQuestions reads those questions of a file whose names match only.
func chosenQuestions(file, only string) ([]question, error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	questions, err := readQuestions(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return slices.DeleteFunc(questions, func(q question) bool { return !pattern.MatchString(q.name) }), nil
}

// peersOf returns tsdb and those of the others that have a program. All keep old
// samples, and none limits the memory or duration of a query more than tsdb does
// by default.
func peersOf(tsdb, vm, prometheus string) []peer {
	peers := []peer{{Server: server.TSDB(tsdb).With("--retention.raw", "0"), key: "tsdb"}}
	if vm != "" {
		peers = append(peers, peer{
			Server: server.VictoriaMetrics("VictoriaMetrics", vm).With("-retentionPeriod", "100y",
				"-search.maxQueryDuration", "10m", "-search.logSlowQueryDuration", "0"),
			key:     "victoriametrics",
			goal:    goal{time: 0.5, brief: 1, cpu: 1},
			differs: true, // it does not extrapolate rates, and leaves NaN out
		})
	}
	if prometheus != "" {
		peers = append(peers, peer{
			Server: server.Prometheus(prometheus).With("--storage.tsdb.retention.time", "100y",
				"--query.timeout", "10m", "--query.max-samples", "1000000000"),
			key:  "prometheus",
			goal: goal{time: 0.1, brief: 0.1},
		})
	}
	return peers
}

// outcome holds the results of all peers for one question.
type outcome struct {
	question
	series   int        // of tsdb's answer
	examined []examined // of each peer
	turns    [][]asked  // of each peer, a run each
	failed   []error    // of each peer: why it has no answer; nil = it has
	err      error      // answers that must be equal differ, or tsdb has none
}

// measureSet loads a set into all servers that do not have it yet and runs the
// questions: each once for its answer and the memory it takes, then in runs, in
// which the servers take turns with each question.
func measureSet(ctx context.Context, peers []peer, d dataset, questions []question, runs int, dir string) ([]outcome, error) {
	contenders := make([]*contender, len(peers))
	for i, p := range peers {
		c := &contender{Server: p.Server, dir: filepath.Join(dir, p.key, d.name)}
		if err := load(ctx, p.Server, d, c.dir); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		defer c.end()
		contenders[i] = c
	}
	if runs == 0 {
		return nil, nil
	}
	outcomes := make([]outcome, len(questions))
	for n, q := range questions {
		o := outcome{question: q, turns: make([][]asked, len(peers))}
		for _, c := range contenders {
			x, err := c.examine(ctx, q, d.end)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			o.examined = append(o.examined, x)
			o.failed = append(o.failed, err)
		}
		o.judge(peers)
		outcomes[n] = o
	}
	var buffer []byte
	for run := range runs {
		for n := range outcomes {
			o := &outcomes[n]
			for i := range peers {
				// No server is always the first one.
				i = (i + run) % len(peers)
				if o.failed[i] != nil {
					continue
				}
				var a asked
				var err error
				if buffer, a, err = contenders[i].measure(ctx, o.question, d.end, buffer); err != nil {
					return nil, fmt.Errorf("%s: %s: %w", peers[i].Name, o.name, err)
				}
				fmt.Fprintf(os.Stderr, "run %d, %s, %s: cold %s, CPU %s; warm %s, CPU %s\n", run+1, o.name, peers[i].Name,
					a.cold.wall, a.cold.cpu, a.warm.wall, a.warm.cpu)
				o.turns[i] = append(o.turns[i], a)
			}
		}
	}
	return outcomes, nil
}

// tolerance is the largest relative difference between the values of equal
// answers: servers add up in different orders.
const tolerance = 1e-9

// judge compares the answers of the peers with that of the first one.
func (o *outcome) judge(peers []peer) {
	ours := o.examined[0].answer
	o.series = len(ours)
	for i, p := range peers {
		err := o.failed[i]
		if err == nil && i > 0 && o.failed[0] == nil {
			err = ours.differs(o.examined[i].answer, tolerance)
		}
		o.examined[i].answer = nil // it may be large
		if err == nil {
			continue
		}
		err = fmt.Errorf("%s: %s: %w", o.name, p.Name, err)
		fmt.Fprintln(os.Stderr, err)
		if i == 0 || o.failed[i] == nil && !p.differs {
			o.err = errors.Join(o.err, err)
		}
	}
}

// loadAverage returns the mean number of threads that ran or waited in the last
// minute.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	load, _, _ := strings.Cut(string(text), " ")
	return load
}
